"""One run: which epoch it chooses, how it scores, its rates, its precision, and its memory."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from examples.errors import UserError
from examples.nets.model import build_model
from examples.results import EpochRecord
from examples.run.folder import RunFolder
from examples.run.task import FusionTask, read_records
from examples.run.training import train
from tests.examples.run.toy_runs import SMALL, recipe, toy


def test_the_epoch_with_the_lowest_validation_loss_is_scored(tmp_path: Path):
    run = train("mask", recipe(epochs=6, learning_rate=0.05), toy(), seed=1, folder=RunFolder(tmp_path))
    losses = [record.validation["loss"] for record in run.epochs]
    assert run.chosen == 1 + losses.index(min(losses))
    assert run.chosen < 6, "the last epoch is the best, so this shows nothing"
    assert run.epochs[run.chosen - 1].complementary == pytest.approx(run.complementary, rel=1e-5)
    weights = [
        torch.load(tmp_path / name, weights_only=True)["state_dict"] for name in ("best.ckpt", "last.ckpt")
    ]
    assert any((weights[0][name] != weights[1][name]).any() for name in weights[0] if "head" in name)
    best = torch.load(tmp_path / "best.ckpt", weights_only=True)
    assert read_records(best) == run.epochs[: run.chosen]


def test_the_last_weights_are_scored_where_the_recipe_says_so(tmp_path: Path):
    run = train("mask", recipe(select="last", epochs=2), toy(), seed=1, folder=RunFolder(tmp_path))
    assert run.chosen == 2
    assert not (tmp_path / "best.ckpt").exists()


@pytest.mark.parametrize("task", ["classification", "segmentation"])
def test_scores_alone_are_those_of_the_chosen_network_with_the_others_at_zero(tmp_path: Path, task: str):
    data = toy(task)
    run = train(
        "concatenation", recipe(epochs=10, learning_rate=0.03), data, seed=1, folder=RunFolder(tmp_path)
    )
    model = build_model(data, SMALL, quantise=False)
    weights = torch.load(tmp_path / "best.ckpt", weights_only=True)["state_dict"]
    model.load_state_dict(
        {name.removeprefix("model."): value for name, value in weights.items() if "model." in name}
    )
    inputs, target = data.test.everything()
    expected = {}
    for name in inputs:
        there = {key: value * (key == name) for key, value in inputs.items()}
        guess = model.eval()(there).prediction.argmax(1)
        if task == "classification":
            expected[name] = 100 * (guess == target).double().mean().item()
        else:
            both = [
                ((guess == c) & (target == c)).sum() / ((guess == c) | (target == c)).sum() for c in (0, 1)
            ]
            third = (guess == 2).any()  # a class that is never there counts where it is guessed
            expected[name] = 100 * (sum(both) / (3 if third else 2)).item()
    assert run.alone == pytest.approx(expected, rel=1e-4)
    if task == "classification":
        assert len(set(run.alone.values()) | {run.score}) > 1


def test_stops_early(tmp_path: Path):
    settings = recipe(epochs=30, learning_rate=0.1, patience=2, schedule="constant")
    run = train("concatenation", settings, toy(), seed=0, folder=RunFolder(tmp_path))
    losses = [record.validation["loss"] for record in run.epochs]
    assert len(losses) == run.chosen + 2 < 30


def test_one_cycle_rises_and_falls_for_weights_and_omega(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    seen: list[list[float]] = []
    before = FusionTask.training_step

    def watched(task: FusionTask, *batch: object) -> torch.Tensor:
        seen.append([group["lr"] for group in task.optimizers().param_groups])
        return before(task, *batch)

    monkeypatch.setattr(FusionTask, "training_step", watched)
    settings = recipe(epochs=10, schedule="one-cycle", learning_rate=0.02, mask_learning_rate=0.005)
    train("mask", settings, toy(), seed=0, folder=RunFolder(tmp_path))
    rates = np.asarray(seen)
    assert rates.shape == (30, 2)
    assert np.sort(rates.max(axis=0)).tolist() == pytest.approx([0.005, 0.02], rel=1e-6)
    assert rates.argmax(axis=0).tolist() == [8, 8]
    np.testing.assert_allclose(rates[0], rates.max(axis=0) / 25, rtol=1e-6)
    assert (np.diff(rates[:9], axis=0) > 0).all()
    assert (np.diff(rates[8:], axis=0) < 0).all()
    assert (rates[-1] < rates.max(axis=0) / 1e5).all()


def test_segmentation_is_scored_by_intersection_over_union(tmp_path: Path):
    settings = recipe(epochs=20, learning_rate=0.02)
    run = train("concatenation", settings, toy("segmentation"), seed=0, folder=RunFolder(tmp_path))
    always_the_most_frequent = 25.0
    assert run.epochs[0].validation["score"] < 1.5 * always_the_most_frequent < run.score < 100


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_precision(tmp_path: Path, precision: str):
    run = train("mask", recipe(precision=precision), toy(), seed=0, folder=RunFolder(tmp_path))
    assert run.epochs[-1].loss["total"] < run.epochs[0].loss["total"]
    codebook = torch.load(tmp_path / "last.ckpt", weights_only=True)["state_dict"][
        "model.quantizers.i.codebook"
    ]
    assert codebook.dtype == torch.float32


@pytest.mark.parametrize("size", [(4, 4), (8, 8), (21, 4), (21, 6), (4, 21)])
def test_precision_of_narrow_maps(tmp_path: Path, size: tuple[int, int]):
    """In bfloat16 PyTorch's own convolutions read memory that nobody wrote where maps are narrow."""
    losses = []
    for precision in ("32-true", "bf16-mixed"):
        settings = recipe(precision=precision, epochs=1, network=replace(SMALL, dropout=0.0))
        folder = RunFolder(tmp_path / precision)
        run = train("concatenation", settings, toy(size=size), seed=0, folder=folder)
        losses.append(run.epochs[0].validation["loss"])
    assert losses[1] == pytest.approx(losses[0], rel=0.1)


def test_needs_a_validation_part(tmp_path: Path):
    data = replace(toy(), validation=None)
    with pytest.raises(
        UserError, match=r"`select` \(='validation'\) needs a validation part; 'toy' is split"
    ):
        train("mask", recipe(), data, seed=0, folder=RunFolder(tmp_path))


@pytest.mark.slow
def test_memory_does_not_grow_over_epochs(tmp_path: Path):
    held: list[int] = []

    def count(number: int, record: EpochRecord) -> None:
        del number, record
        import gc

        gc.collect()
        held.append(sum(issubclass(type(thing), torch.Tensor) for thing in gc.get_objects()))

    train("mask", recipe(epochs=6), toy(), seed=0, folder=RunFolder(tmp_path), on_epoch=count)
    assert max(held[2:]) <= held[1]
