"""One run: goes on where it was cut, and starts anew where it shall."""

from pathlib import Path

import pytest
import torch

from examples.errors import UserError
from examples.run.folder import RunFolder
from examples.run.task import FusionTask
from examples.run.training import train
from tests.examples.run.toy_runs import Cut, numbers, recipe, toy


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
