"""Recipes: the ones that ship, and what is refused."""

from pathlib import Path

import pytest

from examples.data import DATA_SETS
from examples.methods import create
from examples.recipe import FOLDER, load_recipe, recipe_path


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.yaml")), ids=lambda path: path.stem)
def test_recipes_that_ship(path: Path):
    recipe = load_recipe(path)
    assert recipe.data in DATA_SETS
    assert recipe.seeds >= 3
    for row in recipe.comparison.values():
        create(row.method, row.arguments)
    assert len(path.read_text().splitlines()) <= 30


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
        ("epochs: 0", r"`epochs` \(=0\) must be at least 1"),
        ("seeds: -1", r"`seeds` \(=-1\) must be at least 1"),
        ("network: {width: 0}", r"`width` \(=0\) must be at least 1"),
        ("comparison: {}", r"`comparison` \(=\{\}\) must name at least one row"),
        ("comparison: [", "pars"),
    ],
)
def test_refused_by_name(tmp_path: Path, line: str, message: str):
    path = tmp_path / "bad.yaml"
    comparison = "" if line.startswith("comparison") else "comparison: {a: {method: concatenation}}"
    path.write_text(f"data: mfeat\n{comparison}\n{line}\n")
    with pytest.raises(ValueError, match=rf"(?s)Recipe '.*bad.yaml'.*{message}"):
        load_recipe(path)


def test_rows_by_name(recipe_file: Path):
    recipe = load_recipe(recipe_file)
    assert list(recipe.rows()) == ["pix", "concatenation", "mask"]
    assert list(recipe.rows(["mask", "pix"])) == ["pix", "mask"]
    with pytest.raises(ValueError, match=r"`rows` has unknown names \['masks'\]; the recipe has \['pix', "):
        recipe.rows(["masks"])
