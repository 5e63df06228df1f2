"""Studies: what fails is shown, and rows are tuned on validation loss and seeds of their own."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from examples.__main__ import main
from examples.data import load
from examples.data.contract import MultimodalData
from examples.recipes import Recipe
from examples.results import Results, Run
from examples.run.folder import RunFolder
from tests.examples.cli.test_commands import ENVIRONMENT, numbers, run


@pytest.mark.slow
def test_a_run_that_fails_is_shown_and_stops_nothing(
    recipe_file: Path, mfeat_root: Path, tmp_path: Path, capsys
):
    """In this process and in two others, with the same numbers."""
    text = recipe_file.read_text() + "  bad: {method: concatenation, settings: {learning_rate: 1.0e+30}}\n"
    recipe_file.write_text(text)
    one, two = tmp_path / "one", tmp_path / "two"
    more = ("--rows", "bad", "pix", "mask")
    assert run(recipe_file, mfeat_root, one, "--workers", "1", *more) == 1
    said = [capsys.readouterr().out]
    command = [sys.executable, "-W", "error::UserWarning", "-m", "examples", "compare", str(recipe_file)]
    command += ["--root", str(mfeat_root), "--output", str(two), "--workers", "2", *more]
    done = subprocess.run(command, env=ENVIRONMENT, cwd=tmp_path, check=False, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (1, "")
    said.append(done.stdout)
    for words in (" ".join(text.split()) for text in said):
        assert "bad, seed 1, failed, FloatingPointError: The loss is " in words
        assert (
            "bad failed with seeds 0, 1: FloatingPointError: The loss is nan in epoch 1: training diverged."
            in words
        )
    for results in (Results.read(folder / "results.json") for folder in (one, two)):
        assert [(failure.row, failure.seed) for failure in results.failures] == [("bad", 0), ("bad", 1)]
        assert [(run.row, run.seed) for run in results.runs] == [
            (row, seed) for row in ("pix", "mask") for seed in (0, 1)
        ]
    assert numbers(one) == numbers(two)
    assert len({json.dumps(run["epochs"]) for run in numbers(one)}) == 4
    assert main(["show", str(two)]) == 0


TUNED = """
data: mfeat
data_options: {labels: 20}
seeds: 1
tuning_seeds: 2
epochs: 2
batch_size: 8
select: validation
network: {width: 8, residual_width: 4, residual_blocks: 1, latent: 6, codes: 5, head_width: 4, head_hidden: 8}
comparison:
  pix: {method: unimodal, arguments: {modality: pix}, tune: {learning_rate: [1.0e+30, 0.01]}}
  mask: {method: complementary_mask, quantise: false, arguments: {init: 0.0505}, tune: {arguments.mask_weight: [0.0, 50.0]}}
  lost: {method: concatenation, quantise: false, tune: {learning_rate: [1.0e+30, 1.0e+31]}}
"""


def test_rows_are_tuned_on_seeds_of_their_own(
    recipe_file: Path, tmp_path: Path, utd_arrays: dict[str, np.ndarray], capsys
):
    utd_root = tmp_path / "utd"
    utd_root.mkdir()
    subjects = np.repeat(np.array([1, 2, 3], dtype="uint8"), 18)
    np.savez_compressed(utd_root / "utd_mhad.npz", **{**utd_arrays, "subject": subjects})
    text = (
        TUNED.replace("mfeat", "utd-mhad").replace("pix", "skeleton").replace("labels: 20", "validation: 1")
    )
    recipe_file.write_text(text)
    output = tmp_path / "out"
    assert run(recipe_file, utd_root, output, "--workers", "1") == 1
    words = " ".join(capsys.readouterr().out.split())
    results = Results.read(output / "results.json")
    assert [(trial.row, trial.settings) for trial in results.trials] == [
        ("skeleton", {"learning_rate": 1e30}),
        ("skeleton", {"learning_rate": 0.01}),
        ("mask", {"arguments.mask_weight": 0.0}),
        ("mask", {"arguments.mask_weight": 50.0}),
        ("lost", {"learning_rate": 1e30}),
        ("lost", {"learning_rate": 1e31}),
    ]
    assert [trial.chosen for trial in results.trials][:2] == [False, True]
    tried = [trial for trial in results.trials if trial.row == "mask"]
    assert [trial.chosen for trial in tried] == [trial.loss == min(t.loss for t in tried) for trial in tried]
    records = [
        chosen_loss(output / "mask" / f"trial-{number}" / f"seed-{seed}" / "run.json")
        for number in (0, 1)
        for seed in (1000, 1001)
    ]
    assert [trial.losses for trial in tried] == [records[:2], records[2:]]
    assert [trial.loss for trial in tried] == pytest.approx([sum(trial.losses) / 2 for trial in tried])
    assert results.trials[0].losses == []  # it failed
    assert [run.row for run in results.runs] == ["skeleton", "mask"]  # of `lost` nothing could be chosen
    assert "lost failed with seeds 1000, 1001" in words


def chosen_loss(path: Path) -> float:
    """Validation loss of the epoch that a finished run chose."""
    raw = json.loads(path.read_text())
    return raw["epochs"][raw["chosen"] - 1]["validation"]["loss"]


def test_a_data_set_is_read_once_for_each_seed(
    recipe_file: Path, mfeat_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    seeds = []

    def counted(*arguments: object, seed: int, **more: object) -> MultimodalData:
        seeds.append(seed)
        return load(*arguments, seed=seed, **more)

    monkeypatch.setattr("examples.run.loading.load", counted)
    rows = ("--rows", "pix", "concatenation", "--epochs", "1")
    assert run(recipe_file, mfeat_root, tmp_path / "out", "--workers", "1", *rows) == 0
    assert seeds == [0, 1]


STAGED = """
data: utd-mhad
data_options: {modalities: [skeleton, inertial], validation: 1}
seeds: 2
epochs: 2
batch_size: 9
select: validation
network: {encoder: plain, width: 4, latent: 6, head_hidden: 8}
comparison:
  skeleton: {method: unimodal, quantise: false, arguments: {modality: skeleton}}
  inertial: {method: unimodal, quantise: false, arguments: {modality: inertial}}
  pooled: {method: pooled_experts, quantise: false}
  faster: {method: joined, quantise: false, settings: {learning_rate: 0.01}}
"""


def test_rows_that_begin_alone_share_what_they_begin_with(
    recipe_file: Path,
    tmp_path: Path,
    utd_arrays: dict[str, np.ndarray],
    monkeypatch: pytest.MonkeyPatch,
):
    from examples.run import training

    root = tmp_path / "utd"
    root.mkdir()
    subjects = np.repeat(np.array([1, 2, 3], dtype="uint8"), 18)
    np.savez_compressed(root / "utd_mhad.npz", **{**utd_arrays, "subject": subjects})
    recipe_file.write_text(STAGED)
    trained, before = [], training.train

    def counted(row: str, recipe: Recipe, *arguments: object, **more: object) -> Run:
        trained.append((row, recipe.learning_rate, more["seed"]))
        return before(row, recipe, *arguments, **more)

    monkeypatch.setattr(training, "train", counted)
    kept, other = tmp_path / "kept", tmp_path / "other"
    assert run(recipe_file, root, kept, "--workers", "1", "--keep") == 0
    assert len(trained) == len(set(trained)) == 4 * 2 + 2 * 2, "each once, and anew at another rate"
    for row in ("skeleton", "pooled", "faster"):
        assert RunFolder(kept / row / "seed-1").best.is_file()
    assert len(list((kept / "stages").glob("*/best.ckpt"))) == 8
    assert run(recipe_file, root, other, "--workers", "1") == 0
    assert not list(other.rglob("*.ckpt"))
    assert numbers(kept) == numbers(other)
    runs = {(made.row, made.seed): made for made in Results.read(kept / "results.json").runs}
    assert runs["pooled", 0].seconds > runs["skeleton", 0].seconds + runs["inertial", 0].seconds
    del trained[:]
    assert run(recipe_file, root, kept, "--workers", "1", "--fresh") == 0
    assert len(trained) == 12
