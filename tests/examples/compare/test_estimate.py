"""The time that a comparison will take, before it is taken."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from examples.compare import estimate as module
from examples.compare.estimate import estimate, in_words
from examples.compare.study import Study
from examples.data.place import Place
from examples.errors import UserError
from examples.recipes import Row, load_recipe
from examples.run.folder import RunFolder


def study(recipe_file: Path, root: Path, folder: Path, **changes: object) -> Study:
    return Study(replace(load_recipe(recipe_file), **changes), folder, Place(root))


@pytest.fixture
def second(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every step takes a second, and nothing else takes any time."""
    monkeypatch.setattr(module, "_step", lambda *_: 1.0)
    for name in ("_PER_STEP", "_PER_EPOCH", "_PER_RUN", "_PER_PROCESS", "_FORWARD"):
        monkeypatch.setattr(module, name, 0.0)


@pytest.mark.usefixtures("second")
def test_steps_of_all_runs_shared_by_the_processes(recipe_file: Path, mfeat_root: Path, tmp_path: Path):
    made = study(recipe_file, mfeat_root, tmp_path)
    each = 2 * 20 / 8  # epochs, samples, size of a batch
    assert estimate(made, 1) == pytest.approx(3 * 2 * each)  # rows, seeds
    assert estimate(made, 2) == pytest.approx(3 * each)
    assert estimate(replace(made, rows=["mask"]), 1) == pytest.approx(2 * each)


@pytest.mark.usefixtures("second")
def test_runs_that_are_finished_take_no_time(
    recipe_file: Path, mfeat_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    made = study(recipe_file, mfeat_root, tmp_path)
    monkeypatch.setattr(
        RunFolder, "read_result", lambda folder: "done" if "seed-0" in str(folder.path) else None
    )
    assert estimate(made, 1) == pytest.approx(3 * 5)
    assert estimate(replace(made, fresh=True), 1) == pytest.approx(6 * 5)
    monkeypatch.setattr(RunFolder, "read_result", lambda _: "done")
    assert estimate(made, 1) == 0


@pytest.mark.usefixtures("second")
def test_stages_that_are_rows_too_count_once(recipe_file: Path, mfeat_root: Path, tmp_path: Path):
    views = {
        name: Row("unimodal", False, {"modality": name})
        for name in ("pix", "fou", "fac", "kar", "zer", "mor")
    }
    joined = Row("joined", False)  # half the epochs of the others
    both = study(recipe_file, mfeat_root, tmp_path, comparison={**views, "joined": joined}, seeds=1)
    assert estimate(both, 1) == pytest.approx(6 * 5 + 2.5)
    alone = study(recipe_file, mfeat_root, tmp_path, comparison={"joined": joined}, seeds=1)
    assert estimate(alone, 1) == pytest.approx(6 * 5 + 2.5)


@pytest.mark.usefixtures("second")
def test_stages_of_several_rows_count_once(recipe_file: Path, mfeat_root: Path, tmp_path: Path):
    """At another rate they are other runs."""
    rows = {
        "joined": Row("joined", False),
        "again": Row("joined_pooled", False),
        "faster": Row("joined", False, settings={"learning_rate": 0.01}),
    }
    made = study(recipe_file, mfeat_root, tmp_path, comparison=rows, seeds=1)
    assert estimate(made, 1) == pytest.approx(6 * 5 + 2.5 + 2.5 + 6 * 5 + 2.5)


def test_where_measuring_takes_long_the_rest_counts_as_the_dearest(
    recipe_file: Path, mfeat_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    clock = iter([0.0, 1.0, 9.0, 9.0])
    monkeypatch.setattr(module, "perf_counter", lambda: next(clock))
    monkeypatch.setattr(module, "_seconds", lambda *_: 7.0)
    monkeypatch.setattr(module, "_PER_PROCESS", 0.0)
    assert estimate(study(recipe_file, mfeat_root, tmp_path), 1) == 3 * 2 * 7


def test_measuring_changes_neither_threads_nor_what_is_drawn_next(
    recipe_file: Path, mfeat_root: Path, tmp_path: Path
):
    threads, state = torch.get_num_threads(), torch.get_rng_state()
    assert estimate(study(recipe_file, mfeat_root, tmp_path), 1) > 0
    assert torch.get_num_threads() == threads
    assert torch.equal(torch.get_rng_state(), state)
    assert list(tmp_path.glob("*/seed-*")) == []


def test_every_method_of_the_study_can_be_measured(mfeat_root: Path, tmp_path: Path, recipe_file: Path):
    rows = load_recipe(recipe_file, {"panel": "study", "comparison": {}, "select": "validation"}).comparison
    tiny = replace(load_recipe(recipe_file), data="mfeat")
    for name, row in rows.items():
        own = replace(tiny, comparison={name: row.chosen(row.trials()[0])}).of_row(name)
        assert module._step(own, own.comparison[name], Study(tiny, tmp_path, Place(mfeat_root)).data()) > 0, (
            name
        )


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(3, "10 seconds"), (41, "50 seconds"), (119, "2 minutes"), (5000, "83 minutes"), (9000, "2.5 hours")],
)
def test_a_time_in_words(seconds: float, words: str):
    assert in_words(seconds) == words


@pytest.mark.usefixtures("second")
def test_a_row_that_cannot_run_counts_nothing(
    recipe_file: Path, mfeat_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Its runs fail and say why; the other rows go on."""

    def step(recipe: object, row: Row, data: object) -> float:
        del recipe, data
        if row.method == "complementary_mask":
            raise UserError("`task` must be another one.")
        return 1.0

    made = study(recipe_file, mfeat_root, tmp_path)
    whole = estimate(made, 1)
    monkeypatch.setattr(module, "_step", step)
    masked = sum(row.method == "complementary_mask" for row in made.recipe.comparison.values())
    assert estimate(made, 1) == pytest.approx(whole * (3 - masked) / 3)
    assert masked
