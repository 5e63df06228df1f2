"""Each modality alone first: what is carried over, and that a run in stages is one run."""

from pathlib import Path

import pytest
import torch

from examples.run.folder import RunFolder
from examples.run.task import FusionTask
from examples.run.training import train
from tests.examples.methods.alone_runs import network, recipe, same, trained
from tests.examples.run.toy_runs import Cut, numbers, toy


def test_a_stage_is_the_run_of_a_modality_alone(tmp_path: Path):
    alone, network_alone = trained("v", RunFolder(tmp_path / "alone"))
    trained("joined", RunFolder(tmp_path / "joined"))
    stage = RunFolder(tmp_path / "joined" / "v")
    assert numbers(stage.read_result()) == numbers(alone)
    assert same(network("v", stage.best), network_alone)
    assert stage.read_plan()["row"] == "v"


def test_a_joined_network_begins_with_the_encoders_and_a_lower_rate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    seen: list[tuple[list[set[float]], dict[str, torch.Tensor]]] = []
    before = FusionTask.training_step

    def watched(task: FusionTask, *batch: object) -> torch.Tensor:
        if len(task.model.channels) == 2:
            groups = task.optimizers().param_groups
            learning = {id(weight): group["lr"] for group in groups for weight in group["params"]}
            rates = [
                {learning[id(w)] for w in part.parameters()}
                for part in (task.model.encoders, task.model.head)
            ]
            seen.append(
                (rates, {name: value.clone() for name, value in task.model.encoders.state_dict().items()})
            )
        return before(task, *batch)

    monkeypatch.setattr(FusionTask, "training_step", watched)
    run, _ = trained("joined", RunFolder(tmp_path), schedule="constant")
    assert len(run.epochs) == 2, "half of four"
    assert [rates for rates, _ in seen] == [[{3e-3 * 0.1}, {3e-3}]] * 6
    stage = network("v", tmp_path / "v" / "best.ckpt").encoders["v"].state_dict()
    assert all(torch.equal(seen[0][1][f"v.{name}"], value) for name, value in stage.items())
    assert any(not torch.equal(seen[1][1][f"v.{name}"], value) for name, value in stage.items())


def test_frozen_encoders_stay_as_they_are(tmp_path: Path):
    run, model = trained("frozen", RunFolder(tmp_path))
    assert len(run.epochs) == 4
    stage = network("v", tmp_path / "v" / "best.ckpt")
    assert same(model.encoders["v"], stage.encoders["v"]), "weights and running statistics"
    assert not same(model.train().encoders["i"], stage.encoders["v"])
    assert not model.encoders.training
    assert model.head.training


@pytest.mark.parametrize(("row", "step"), [("cure", 5), ("cure", 17), ("cure", 26), ("validated", 28)])
def test_goes_on_where_it_was_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, row: str, step: int):
    """In the first stage, in the second, in the joint training."""
    whole, model = trained(row, RunFolder(tmp_path / "whole"))
    with monkeypatch.context() as patch:
        before, done = FusionTask.training_step, []

        def lights_out(task: FusionTask, *batch: object) -> torch.Tensor:
            if len(done) == step:
                raise Cut
            done.append(step)
            return before(task, *batch)

        patch.setattr(FusionTask, "training_step", lights_out)
        with pytest.raises(Cut):
            trained(row, RunFolder(tmp_path / "cut"))
    steps = []
    monkeypatch.setattr(
        FusionTask, "training_step", lambda task, *batch: steps.append(0) or before(task, *batch)
    )
    again, other = trained(row, RunFolder(tmp_path / "cut"))
    assert numbers(again) == numbers(whole)
    assert same(other, model)
    assert len(steps) <= 30 - step + 3


def test_a_stage_is_trained_once_for_all_rows_that_share_it(tmp_path: Path):
    stages = []
    for row in ("joined", "frozen", "experts"):
        told = []
        train(
            row,
            recipe(),
            toy(),
            seed=0,
            folder=RunFolder(tmp_path / row, tmp_path / "stages"),
            on_stage=lambda name, number, _, told=told: told.append((name, number)),
        )
        stages.append(told)
    assert stages == [[(name, number) for name in ("v", "i") for number in range(1, 5)], [], []]
    train(
        "joined",
        recipe(learning_rate=0.01),
        toy(),
        seed=0,
        folder=RunFolder(tmp_path / "x", tmp_path / "stages"),
    )
    made = sorted(path.parent.name.split("-")[0] for path in (tmp_path / "stages").glob("*/run.json"))
    assert made == ["i", "i", "v", "v"], "another rate, another stage"
