"""One command rebuilds every row of a table of the paper, on small files of the formats of its data sets."""

import json
import re
from collections.abc import Callable
from itertools import product
from pathlib import Path

import pytest

from examples.__main__ import main
from examples.data import load
from examples.data.place import Place
from examples.probes.records import ProbeResults
from examples.recipes import load_recipe, recipe_path
from examples.report.space import project
from examples.results import Results
from examples.run.folder import RunFolder
from examples.run.trained import load_trained
from tests.examples.data.test_recipes_run import FEWER, MAKE

MULTI = ["concatenation", "feature-dropout", "gated", "mask-no-penalty", "mask"]  # Table 2
PARTS = ["vq-concatenation", "mask-no-vq"]  # Table 4 (ii) and (iii); (i) is concatenation
RIVALS = ["blending", "ogm-ge", "pmr"]  # Table 3
ALONE = {
    "crema-d": ["color", "audio"],
    "crema-d-published": ["color", "audio"],
    "rml": ["color", "audio"],
    "penn-action-color": ["color", "pose"],
    "nyuv2": ["color", "depth"],
    "digits": ["mnist", "svhn"],
}
OTHER = {name: ["paper"] for name in ALONE} | {"crema-d": ["published"]}
METHODS = [
    "modality-dropout",
    "gated",
    "ogm-ge",
    "pmr",
    "mmpareto",
    "blending-online",
    "vq-mask",
    "mask-uniform-vote",
]
LABELS = {"crema-d": ["sex", "race"], "rml": ["speaker"]}
NETWORK = {
    "width": 8,
    "residual_width": 4,
    "residual_blocks": 1,
    "latent": 4,
    "codes": 8,
    "head_width": 4,
    "head_hidden": 8,
}
SMALL = ["--seeds", "1", "--epochs", "1", "--batch_size", "16", "--workers", "1"]
SMALL += [f"--network.{key}={value}" for key, value in NETWORK.items()]

Compare = Callable[..., Results]


@pytest.fixture(scope="module")
def roots(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    made: dict[str, Path] = {}

    def root(data: str) -> Path:
        if data not in made:
            made[data] = tmp_path_factory.mktemp(data)
            MAKE[data](made[data])
        return made[data]

    return root


@pytest.fixture
def compared(roots: Callable[[str], Path], tmp_path: Path) -> Compare:
    """Run a command on a small network, and read its results."""

    def run(name: str, *more: str, status: int = 0, command: tuple[str, ...] = ("compare",)) -> Results:
        data = load_recipe(recipe_path(name)).data
        options = [f"--data_options.{key}={value}" for key, value in FEWER.get(data, {}).items()]
        output = tmp_path / f"{command[0]}-{name}"
        place = ["--root", str(roots(data)), "--output", str(output)]
        assert main([*command, name, *place, *SMALL, *options, *more]) == status
        return Results.read(output / "results.json")

    return run


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", [name for name in ALONE if name != "crema-d-published"]
)  # its panels are those of rml
def test_every_row_of_the_tables(name: str, compared: Compare, capsys: pytest.CaptureFixture[str]):
    results = compared(name)
    rivals = RIVALS if ALONE[name] == ["color", "audio"] else []
    rows = results.rows()
    assert list(rows) == [*ALONE[name], *MULTI, *PARTS, *rivals]
    for modality in ALONE[name]:
        (run,) = rows[modality]
        assert (run.method, list(run.complementary)) == ("masked_unimodal", [modality])
    for masked in ("gated", "mask-no-penalty", "mask", "mask-no-vq"):
        assert set(rows[masked][0].complementary) == set(ALONE[name])
    said = capsys.readouterr().out
    assert all(f"{row}, seed 0" in said for row in rows)
    assert re.search(
        rf"(?m)^ {ALONE[name][0]} +[0-9.]+ +50\.0 +50\.0 +- +- $", said
    )  # compl of one modality, in percent of both
    assert re.search(rf"(?m)^ {ALONE[name][1]} +[0-9.]+ +50\.0 +- +50\.0 +- $", said)


@pytest.mark.slow
def test_the_transfer_with_its_rival(compared: Compare, tmp_path: Path):
    """Table 6: from scratch, OGM-GE, without penalty and with it."""
    rows = ["mask-no-penalty", "mask", "ogm-ge"]
    compared("crema-d", "--keep", "--rows", *rows)
    results = compared(
        "rml",
        *("--panel", "paper", "paper-rivals", "--rows", *rows, "--scratch", "mask"),
        command=("transfer", str(tmp_path / "compare-crema-d")),
    )
    assert list(results.rows()) == ["mask-no-penalty-carried", "mask", "mask-carried", "ogm-ge-carried"]
    assert results.recipe["transfer"]["carry"] == ["encoders", "quantizers", "decoders"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "panel"), [(name, panel) for name, panels in OTHER.items() for panel in panels]
)
def test_the_other_constants(name: str, panel: str, compared: Compare):
    """Those that the recipe itself has not."""
    results = compared(name, "--panel", panel)
    assert list(results.rows()) == [*ALONE[name], *MULTI, *PARTS]
    assert results.recipe["optimizer"] == {"paper": "sgd", "published": "adamw"}[panel]


@pytest.mark.slow
@pytest.mark.parametrize("name", ALONE)
def test_the_study_on_the_data_of_the_paper(name: str, compared: Compare):
    """Both trials of rows of the panel, of every method for voices and faces and for one class per pixel, which PMR refuses."""
    segmented = name == "nyuv2"
    every = name in ("crema-d", "nyuv2")
    rows = [ALONE[name][0], "concatenation", *(METHODS if every else ["vq-mask"])]
    results = compared(name, "--panel", "study", "--rows", *rows, status=int(segmented))
    assert list(results.rows()) == [row for row in rows if not (segmented and row == "pmr")]
    assert [trial.row for trial in results.trials] == [row for row in rows for _ in range(2)]
    assert {failure.row for failure in results.failures} == ({"pmr"} if segmented else set())


@pytest.mark.slow
@pytest.mark.parametrize(("name", "labels"), LABELS.items())
def test_the_probe_and_the_map(
    name: str,
    labels: list[str],
    compared: Compare,
    roots: Callable[[str], Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
):
    """Table 5 and Fig. 5, of ours with and without the penalty, on a test part that is large enough for both."""
    data = load(name, Place(roots(name)), seed=0, options=load_recipe(recipe_path(name)).data_options)
    shares = {part: data.names[start::3] for start, part in enumerate(("train", "validation", "test"))}
    split = tmp_path / "split.json"
    split.write_text(json.dumps({part: sorted(names) for part, names in shares.items()}))
    rows = ("mask", "mask-no-penalty")
    compared(name, "--keep", "--rows", *rows, "--data_options.split", str(split))
    runs = [str(tmp_path / f"compare-{name}" / row / "seed-0") for row in rows]
    wanted = ["--folds", "2", "--draws", "1", "--part", "all", "--labels", *labels]
    output = ["--root", str(roots(name)), "--output", str(tmp_path / "probes.json")]
    capsys.readouterr()
    assert main(["probe", *runs, *output, *wanted]) == 0
    said = capsys.readouterr().out
    assert all(f"{label}: " in said for label in labels)
    probes = ProbeResults.read(tmp_path / "probes.json").probes
    assert {(probe.row, probe.label, probe.modality, probe.channels) for probe in probes} == set(
        product(rows, labels, ("all", *ALONE[name]), ("complementary", "contradictory"))
    )
    space = project(load_trained(RunFolder(Path(runs[0])), Place(roots(name))))
    assert space is not None
    assert set(space.labels) >= {"class", *labels}
    for side in space.places[ALONE[name][0]].values():
        assert {way: len(places) for way, places in side.items()} == dict.fromkeys(
            ("t-SNE", "PCA"), len(shares["test"])
        )


@pytest.mark.parametrize("name", ALONE)
def test_constants_of_the_paper_and_of_its_code_apart(name: str):
    path = recipe_path(name)
    paper, published = (load_recipe(path, {"panel": [panel]}) for panel in ("paper", "published"))
    assert list(paper.comparison) == list(published.comparison) == [*ALONE[name], *MULTI, *PARTS]
    for recipe, optimizer, start, threshold in ((paper, "sgd", 0.1, 0.05), (published, "adamw", 0.01, 0.005)):
        assert (recipe.optimizer, recipe.learning_rate, recipe.schedule) == (optimizer, 0.001, "constant")
        for row in (*ALONE[name], "gated", "mask", "mask-no-vq", "mask-no-penalty"):
            arguments = recipe.comparison[row].arguments
            weight = 0.0 if row == "mask-no-penalty" else 0.0001
            assert (arguments["init"], arguments["threshold"], arguments["mask_weight"]) == (
                start,
                threshold,
                weight,
            )
    quantised = {row for row, made in paper.comparison.items() if made.quantise}
    assert quantised == {*ALONE[name], *MULTI, *PARTS} - {"concatenation", "mask-no-vq"}
    study = load_recipe(path, {"panel": "study"})
    assert list(study.comparison)[:3] == [*ALONE[name], "concatenation"]
    assert study.comparison[ALONE[name][0]].method == "unimodal"
