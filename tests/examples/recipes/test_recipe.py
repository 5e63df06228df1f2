"""Recipes: the ones that ship, and what is refused."""

from dataclasses import asdict
from pathlib import Path

import pytest
from jsonargparse import get_loader

from examples.data import DATA_SETS
from examples.errors import UserError
from examples.methods import create
from examples.recipes import FOLDER, Network, Recipe, Row, load_recipe, recipe_path


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.yaml")), ids=lambda path: path.stem)
def test_recipes_that_ship(path: Path):
    recipe = load_recipe(path)
    assert recipe.data in DATA_SETS
    assert recipe.seeds >= 3
    for row in recipe.comparison.values():
        create(row.method, row.arguments)
    assert len(path.read_text().splitlines()) <= 30


STUDIES = [path for path in sorted(FOLDER.glob("*.yaml")) if "panel: study" in path.read_text()]


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.stem)
def test_every_row_of_the_study_has_the_same_budget(path: Path):
    recipe = load_recipe(path)
    assert recipe.seeds >= 5
    for name, row in recipe.comparison.items():
        assert len(row.trials()) == 2, name
        for trial in row.trials():
            own = recipe.of_row(name, trial).comparison[name]
            create(own.method, own.arguments)


def test_a_panel_comes_after_the_rows_of_the_recipe(tmp_path: Path):
    path = tmp_path / "own.yaml"
    start = "data: mfeat\nselect: validation\npanel: study\ncomparison:\n"
    own = "{method: unimodal, arguments: {modality: pix}, tune: {weight_decay: [0.0, 0.1]}}"
    path.write_text(f"{start}  pix: {own}\n")
    assert list(load_recipe(path).comparison)[:2] == ["pix", "concatenation"]
    path.write_text(f"{start}  mask: {own}\n")
    with pytest.raises(UserError, match=r"panel 'study' has the rows \['mask'\], which are there already"):
        load_recipe(path)


def test_modalities_alone_come_first_as_the_panel_has_them(tmp_path: Path):
    path = tmp_path / "own.yaml"
    path.write_text(
        "data: mfeat\nalone: [pix, fou]\ncomparison: {mine: {method: concatenation}}\nepochs: 7\nseeds: 2\n"
    )
    plain = load_recipe(path)
    assert list(plain.comparison) == ["pix", "fou", "mine"]
    assert plain.comparison["fou"] == Row("unimodal", arguments={"modality": "fou"})
    both = load_recipe(path, {"panel": ["paper", "paper-rivals"]})
    assert list(both.comparison) == ["pix", "fou", "mine", *list(both.comparison)[3:]]
    assert list(both.comparison)[-3:] == ["blending", "ogm-ge", "pmr"]
    assert both.comparison["pix"].arguments == {
        "modality": "pix",
        "mask_weight": 0.0001,
        "init": 0.1,
        "threshold": 0.05,
    }
    path.write_text(path.read_text().replace("mine", "pix"))
    with pytest.raises(
        UserError, match=r"`comparison` has the rows \['pix'\], which are there already; rename them"
    ):
        load_recipe(path)


@pytest.mark.parametrize("name", ["arrays", "demo"])
def test_modalities_alone_are_networks_of_the_kind_that_they_are_compared_with(name: str):
    recipe = load_recipe(recipe_path(name), modalities=lambda _: ["pix", "fou"])
    assert [row.method for row in recipe.comparison.values()][:2] == ["unimodal", "unimodal"]
    assert {row.quantise for row in recipe.comparison.values()} == {False}


def test_one_row_with_quantisers_is_enough_for_those_alone_to_have_them(tmp_path: Path):
    path = tmp_path / "own.yaml"
    path.write_text(
        "data: mfeat\nalone: [pix]\nepochs: 7\n"
        "comparison: {plain: {method: concatenation, quantise: false}, mine: {method: concatenation}}\n"
    )
    assert load_recipe(path).comparison["pix"].quantise


def test_each_modality_of_the_data_has_a_row(tmp_path: Path):
    path = tmp_path / "own.yaml"
    path.write_text("data: mfeat\nalone: each\ncomparison: {mine: {method: concatenation}}\nepochs: 7\n")
    assert list(load_recipe(path).comparison) == ["mine"]
    asked: list[Recipe] = []

    def modalities(recipe: Recipe) -> list[str]:
        asked.append(recipe)
        return ["pix", "fou"]

    made = load_recipe(path, {"seeds": 2}, modalities=modalities)
    assert list(made.comparison) == ["pix", "fou", "mine"]
    assert [(recipe.seeds, list(recipe.comparison)) for recipe in asked] == [(2, ["mine"])]
    path.write_text(path.read_text().replace("mine", "fou"))
    with pytest.raises(
        UserError, match=r"The data has the modalities \['fou'\], and recipe 'own' has rows of these names"
    ):
        load_recipe(path, modalities=modalities)
    with pytest.raises(UserError, match=r"The data has one modality, \['pix'\], .*: it needs two or more"):
        load_recipe(path, modalities=lambda _: ["pix"])
    path.write_text(path.read_text().replace("each", "all"))
    with pytest.raises(UserError, match=r"`alone` \(='all'\) must be a list of modalities, or 'each'"):
        load_recipe(path, modalities=modalities)


def test_a_recipe_holds_over_its_panel_and_a_panel_of_the_command_line_over_the_recipe(tmp_path: Path):
    path = tmp_path / "own.yaml"
    path.write_text("data: mfeat\nalone: [pix]\npanel: paper\noptimizer: adamw\nepochs: 7\n")
    own = load_recipe(path)
    assert (own.optimizer, own.schedule, own.epochs) == ("adamw", "constant", 7)
    other = load_recipe(path, {"panel": "paper"})
    assert (other.optimizer, other.schedule, other.epochs) == ("sgd", "constant", 7)
    changed = load_recipe(path, {"optimizer": "adamw", "panel": "paper", "schedule": "cosine"})
    assert (changed.optimizer, changed.schedule) == ("adamw", "cosine")


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.yaml")), ids=lambda path: path.stem)
def test_what_a_file_says_is_what_is_trained(path: Path):
    recipe = asdict(load_recipe(path))
    for key, value in get_loader("yaml")(path.read_text()).items():
        if key in ("panel", "alone", "comparison"):
            continue
        parts = value if isinstance(value, dict) else {}
        assert {name: recipe[key][name] for name in parts} == parts
        assert parts or recipe[key] == value, key


def test_trials_are_all_combinations_and_change_what_they_name():
    row = Row(
        "ogm", arguments={"noise": False}, tune={"learning_rate": [0.1, 0.2], "arguments.alpha": [1, 2]}
    )
    assert row.trials() == [
        {"learning_rate": 0.1, "arguments.alpha": 1},
        {"learning_rate": 0.1, "arguments.alpha": 2},
        {"learning_rate": 0.2, "arguments.alpha": 1},
        {"learning_rate": 0.2, "arguments.alpha": 2},
    ]
    recipe = Recipe("mfeat", {"a": row}, select="validation", weight_decay=0.5)
    own = recipe.of_row("a", row.trials()[2])
    assert (own.learning_rate, own.weight_decay) == (0.2, 0.5)
    assert own.comparison == {"a": Row("ogm", arguments={"noise": False, "alpha": 1})}
    fixed = Recipe("mfeat", {"a": Row("ogm", settings={"optimizer": "sgd"})}).of_row("a")
    assert (fixed.optimizer, fixed.comparison["a"].settings) == ("sgd", {})


def test_a_row_may_have_a_network_of_its_own():
    row = Row("concatenation", settings={"epochs": 7, "network.latent": 8, "network.encoder": "plain"})
    recipe = Recipe("mfeat", {"a": row, "b": Row("concatenation")}, network=Network(width=12))
    own = recipe.of_row("a")
    assert own.network == Network(width=12, latent=8, encoder="plain")
    assert (own.epochs, own.comparison["a"].settings) == (7, {})
    assert recipe.of_row("b").network == recipe.network


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("latnet", 8, r"^Row 'a': It has the unknown key 'latnet'; did you mean 'latent'\?$"),
        ("latent", 0, r"^Row 'a': `latent` \(=0\) must be above 0\.$"),
    ],
)
def test_no_such_network(key: str, value: int, message: str):
    recipe = Recipe("mfeat", {"a": Row("concatenation", settings={f"network.{key}": value})})
    with pytest.raises(UserError, match=message):
        recipe.of_row("a")


def test_every_data_set_has_a_recipe():
    assert {recipe_path(name) for name in DATA_SETS} <= set(FOLDER.glob("*.yaml"))


def test_reads_numbers_as_numbers(recipe_file: Path):
    recipe = load_recipe(recipe_file)
    assert recipe.comparison["mask"].arguments == {"mask_weight": 0.001, "init": 0.0015, "threshold": 0.0005}
    assert recipe.comparison["concatenation"].quantise is False
    assert recipe.network.width == 8
    assert recipe.network.dropout == 0.5


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("epoch: 3", "epoch"),
        ("network: {widht: 3}", "widht"),
        ("loss: {mask: 1.0}", "mask"),
        ("comparison: {a: {method: concatenation, weight: 3}}", "weight"),
        ("epochs: many", "epochs.*many"),
        ("epochs: 0", r"`epochs` \(=0\) must be above 0"),
        ("seeds: -1", r"`seeds` \(=-1\) must be above 0"),
        ("network: {width: 0}", r"`network.width` \(=0\) must be above 0"),
        ("comparison: {}", r"`comparison` \(=\{\}\) must name at least one row"),
        ("comparison: [", "pars"),
        (
            "comparison: {a: {method: b, settings: {seeds: 3}}}",
            "unknown key 'seeds'; they know.*'learning_rate'",
        ),
        ("comparison: {a: {method: b, tune: {alpha: [1]}}}", "unknown key 'alpha'.*also arguments.NAME"),
        (
            "comparison: {a: {method: b, tune: {learning_rate: []}}}",
            "at least one value for each of.*learning_rate",
        ),
        (
            "comparison: {a: {method: b, tune: {learning_rate: [1.0, 2.0]}}, c: {method: b}}",
            r"as many trials, so that none is favoured; it gives \{'a': 2, 'c': 1\}",
        ),
        (
            "comparison: {a: {method: b, tune: {learning_rate: [1.0, 2.0]}}}",
            "`tune` needs `select: validation`",
        ),
        (
            "panel: all",
            r"`panel` \(='all'\) must be one of \['hurts', 'paper', 'paper-rivals', 'published', .*'study', 'sweep', 'trade', 'variants'\]",
        ),
        ("alone: pix", r"`alone` \(='pix'\) must be a list of modalities"),
    ],
)
def test_refused_by_name(tmp_path: Path, line: str, message: str):
    path = tmp_path / "bad.yaml"
    comparison = "" if line.startswith("comparison") else "comparison: {a: {method: concatenation}}"
    path.write_text(f"data: mfeat\n{comparison}\n{line}\n")
    with pytest.raises(UserError, match=rf"(?s)Recipe '.*bad.yaml'.*{message}"):
        load_recipe(path)


def test_rows_by_name(recipe_file: Path):
    recipe = load_recipe(recipe_file)
    assert list(recipe.rows()) == ["pix", "concatenation", "mask"]
    assert list(recipe.rows(["mask", "pix"])) == ["pix", "mask"]
    with pytest.raises(UserError, match=r"`rows` has unknown names \['masks'\]; the recipe has \['pix', "):
        recipe.rows(["masks"])
