"""One run: goes on where it was cut, chooses its epoch, logs, and holds its memory."""

import csv
import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from examples.__main__ import main
from examples.data.contract import MultimodalData, split_and_standardise
from examples.data.splits import Split
from examples.errors import UserError
from examples.nets.model import build_model
from examples.recipes import Network, Recipe, Row
from examples.results import EpochRecord, Run
from examples.run.folder import RunFolder
from examples.run.task import FusionTask, read_records
from examples.run.training import train

SMALL = Network(width=8, residual_width=4, residual_blocks=1, latent=6, codes=5, head_width=4, head_hidden=8)
ROWS = {
    "concatenation": Row("concatenation", quantise=False),
    "mask": Row("complementary_mask", arguments={"mask_weight": 1e-3, "init": 0.0015, "threshold": 0.0005}),
}


def recipe(**settings: object) -> Recipe:
    values = {"epochs": 3, "batch_size": 8, "select": "validation", "network": SMALL, **settings}
    return Recipe(data="toy", comparison=ROWS, **values)


def toy(task: str = "classification", samples: int = 48, size: tuple[int, int] = (8, 8)) -> MultimodalData:
    random = torch.Generator().manual_seed(0)
    target = torch.arange(samples) % 3
    image = torch.randn(samples, 1, *size, generator=random) + target[:, None, None, None]
    vector = torch.randn(samples, 5, generator=random) + target[:, None]
    order = np.arange(samples)
    if task == "segmentation":
        target = (image[:, 0] > 1).long()
    return split_and_standardise(
        "toy",
        {"v": vector, "i": image},
        target,
        kinds={"v": "vector", "i": "image"},
        classes=("a", "b", "c"),
        split=Split(order[: samples // 2], order[samples // 2 : 3 * samples // 4], order[3 * samples // 4 :]),
        task=task,
    )


def numbers(run: Run) -> Run:
    return replace(run, seconds=0.0, processor_seconds=0.0)


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


class Cut(Exception):  # noqa: N818 - not an error of the code under test
    """The lights go out."""


@pytest.mark.parametrize(
    ("optimizer", "schedule"), [("adamw", "cosine"), ("sgd", "cosine"), ("adamw", "one-cycle")]
)
@pytest.mark.parametrize("step", [3, 4, 7])
def test_goes_on_where_it_was_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, optimizer: str, schedule: str, step: int
):
    settings = recipe(optimizer=optimizer, schedule=schedule, gradient_clip=1.0)
    whole = train("mask", settings, toy(), seed=0, folder=RunFolder(tmp_path / "whole"))
    with monkeypatch.context() as patch:
        before = FusionTask.training_step

        def lights_out(task: FusionTask, *batch: object) -> torch.Tensor:
            if task.global_step == step:
                raise Cut
            return before(task, *batch)

        patch.setattr(FusionTask, "training_step", lights_out)
        with pytest.raises(Cut):
            train("mask", settings, toy(), seed=0, folder=RunFolder(tmp_path / "cut"))
    seen: list[int] = []
    again = train(
        "mask",
        settings,
        toy(),
        seed=0,
        folder=RunFolder(tmp_path / "cut"),
        on_epoch=lambda number, _: seen.append(number),
    )
    assert numbers(again) == numbers(whole)
    assert seen == list(range(step // 3 + 1, 4))


def test_logs(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    folder = RunFolder(tmp_path)
    run = train("mask", recipe(), toy(), seed=0, folder=folder, loggers=("csv", "tensorboard"))
    with (tmp_path / "csv" / "version_0" / "metrics.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["loss/task"]]
    assert [float(row["loss/task"]) for row in rows] == pytest.approx(
        [epoch.loss["task"] for epoch in run.epochs]
    )
    wanted = {
        "loss/total",
        "loss/reconstruction",
        "loss/code",
        "loss/mask",
        "perplexity/v",
        "compl/i",
        "zeta",
    }
    assert wanted | {"validation/loss", "validation/score"} <= set(rows[0])
    events = EventAccumulator(str(tmp_path / "tensorboard" / "version_0"))
    events.Reload()
    assert wanted | {"validation/loss"} <= set(events.Tags()["scalars"])
    assert [event.value for event in events.Scalars("loss/task")] == pytest.approx(
        [epoch.loss["task"] for epoch in run.epochs]
    )
    assert capsys.readouterr().out == ""


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


def test_machines_with_a_folder_each_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The first process has two epochs behind it, this one none."""

    def broadcast(_: object, value: object, src: int = 0) -> object:
        del src
        return 2 if type(value) is int else value

    monkeypatch.setattr("lightning.pytorch.strategies.SingleDeviceStrategy.broadcast", broadcast)
    with pytest.raises(
        UserError,
        match=r"must be one folder that all machines share: 2 epochs are done in that of the first process, 0 in",
    ):
        train("mask", recipe(), toy(), seed=0, folder=RunFolder(tmp_path))


def test_starts_anew_where_it_shall_not_go_on(tmp_path: Path):
    seen: list[int] = []
    for resume, epochs in ((True, 1), (False, 2), (True, 3)):
        train(
            "concatenation",
            recipe(epochs=epochs, schedule="constant"),
            toy(),
            seed=0,
            folder=RunFolder(tmp_path),
            resume=resume,
            on_epoch=lambda number, _: seen.append(number),
        )
    assert seen == [1, 1, 2, 3]


def test_the_split_is_written_by_name(tmp_path: Path):
    data = replace(toy(), names=tuple(f"clip{number}" for number in range(48)))
    train("concatenation", recipe(epochs=1), data, seed=0, folder=RunFolder(tmp_path))
    written = json.loads((tmp_path / "split.json").read_text())
    assert {part: len(names) for part, names in written.items()} == {
        "train": 24,
        "validation": 12,
        "test": 12,
    }
    assert written["test"][0] == "clip36"


def test_needs_a_validation_part(tmp_path: Path):
    data = replace(toy(), validation=None)
    with pytest.raises(
        UserError, match=r"`select` \(='validation'\) needs a validation part; 'toy' is split"
    ):
        train("mask", recipe(), data, seed=0, folder=RunFolder(tmp_path))


def test_train_from_the_command_line(recipe_file: Path, mfeat_root: Path, tmp_path: Path, capsys):
    arguments = [
        "train",
        str(recipe_file),
        "--root",
        str(mfeat_root),
        "--output",
        str(tmp_path / "run"),
    ]
    assert main([*arguments, "--row", "mask"]) == 0
    text = capsys.readouterr().out
    assert re.search(
        r"epoch 1/2: loss .* \(task .*, reconstruction .*, code .*\); perplexity pix .*; compl pix", text
    )
    assert re.search(
        r"mask, seed 0: accuracy .* % on the test part with the weights of epoch 2", " ".join(text.split())
    )
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == [
        "csv",
        "last.ckpt",
        "plan.json",
        "run.json",
    ]
    assert main([*arguments, "--row", "masks"]) == 2
    assert "`rows` has unknown names ['masks']" in capsys.readouterr().err
    assert main([*arguments, "--devices", "0"]) == 2
    assert "`devices` (=0) must be above 0" in capsys.readouterr().err
    if not torch.cuda.is_available():
        assert main([*arguments, "--accelerator", "cuda", "--fresh"]) == 2
        assert "`accelerator` (='cuda')" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="2"):
        main([*arguments, "--log", "[cvs]"])
