"""Each modality alone first: which networks are pooled, and by which weights."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from examples.data.contract import Batch
from examples.data.splits import Split
from examples.errors import UserError
from examples.methods import create
from examples.methods.alone_first import fit_pool
from examples.nets.model import JOINT, TOGETHER, FusionModel, build_model
from examples.recipes import Network
from examples.run.folder import RunFolder
from examples.run.training import train
from maskfusion import LogarithmicPool
from tests.examples.methods.alone_runs import SMALL, network, recipe, same, score, trained
from tests.examples.run.toy_runs import SMALL as FOR_PIXELS
from tests.examples.run.toy_runs import numbers, toy


def test_experts_are_the_networks_alone_pooled_by_validation(tmp_path: Path):
    run, model = trained("experts", RunFolder(tmp_path))
    data = toy()
    inputs, target = data.validation.everything()
    alone = network("v", tmp_path / "v" / "best.ckpt")
    assert torch.equal(model(inputs).unimodal["v"], alone({"v": inputs["v"]}).prediction)
    output = model(inputs)
    pool = LogarithmicPool(["v", "i"]).fit(output.unimodal, target, ridge=0.01)
    torch.testing.assert_close(output.prediction, pool(output.unimodal))
    assert run.score == score(model, data)
    assert (run.chosen, len(run.epochs)) == (1, 1)
    loss = cross_entropy(output.prediction, target).item()
    assert run.epochs[0].validation["loss"] == pytest.approx(loss, rel=1e-5)
    stages = [RunFolder(tmp_path / name).read_result() for name in ("v", "i")]
    assert run.parameters == sum(stage.parameters for stage in stages)
    assert run.seconds > sum(stage.seconds for stage in stages)
    assert set(model.pool.weights) == {"v", "i"}


@pytest.mark.parametrize(("task", "settings"), [("classification", SMALL), ("segmentation", FOR_PIXELS)])
def test_classes_count_the_same_in_the_pool_where_they_do_in_the_score(task: str, settings: Network):
    data = toy(task)
    torch.manual_seed(0)
    model = build_model(data, settings, quantise=False)
    model.add_experts()
    inputs, _ = data.train.everything()
    output = model.eval()(inputs)
    heads = {JOINT: output.joint, **output.unimodal}
    said = [scores.argmax(1) for scores in heads.values()]
    target = torch.where(torch.rand(said[0].shape) < 0.3, said[1], said[0])
    fit_pool(model, [Batch(inputs, target)], ridge=0.1)
    plain, balanced = (
        LogarithmicPool(heads).fit(heads, target, ridge=0.1, balanced=balanced).weights
        for balanced in (False, True)
    )
    assert plain != pytest.approx(balanced, rel=0.01)
    wanted = balanced if task == "segmentation" else plain
    assert model.pool.weights == pytest.approx(wanted, abs=1e-4)


@pytest.mark.parametrize("row", ["pooled", "cure"])
def test_the_joint_network_is_pooled_with_those_of_single_modalities(tmp_path: Path, row: str):
    run, model = trained(row, RunFolder(tmp_path))
    data = toy()
    inputs, target = data.validation.everything()
    stage = network("v", tmp_path / "v" / "best.ckpt")
    output = model(inputs)
    assert torch.equal(output.unimodal["v"], stage({"v": inputs["v"]}).prediction)
    assert not same(model.encoders["v"], stage.encoders["v"])
    heads = {JOINT: output.joint, **output.unimodal}
    pool = LogarithmicPool([JOINT, "v", "i"]).fit(heads, target, ridge=0.01)
    assert model.pool.weights == pytest.approx(pool.weights, abs=1e-4)
    torch.testing.assert_close(output.prediction, model.pool(heads))
    assert run.score == score(model, data)
    losses = [record.validation["loss"] for record in run.epochs]
    assert run.chosen == 1 + losses.index(min(losses))
    assert min(losses) == pytest.approx(cross_entropy(output.prediction, target).item(), rel=1e-5)
    assert (model.mask is not None) == (row == "cure")
    learning = model.train()(inputs)
    assert learning.unimodal == {}, "experts are not asked in training"
    assert learning.prediction is learning.joint


def test_a_network_trained_together_is_pooled_too(tmp_path: Path):
    plain, together = trained("concatenation", RunFolder(tmp_path / "plain"))
    run, model = trained("all", RunFolder(tmp_path / "all"))
    data = toy()
    inputs, target = data.validation.everything()
    output = model(inputs)
    assert list(output.unimodal) == ["v", "i", TOGETHER]
    assert torch.equal(output.unimodal[TOGETHER], together(inputs).prediction)
    stage = RunFolder(tmp_path / "all" / TOGETHER).read_result()
    assert numbers(replace(stage, row=plain.row)) == numbers(plain)
    alone = network("v", tmp_path / "all" / "v" / "best.ckpt")
    assert torch.equal(output.unimodal["v"], alone({"v": inputs["v"]}).prediction)
    pool = LogarithmicPool([JOINT, "v", "i", TOGETHER]).fit(
        {JOINT: output.joint, **output.unimodal}, target, ridge=0.01
    )
    torch.testing.assert_close(
        output.prediction, pool({JOINT: output.joint, **output.unimodal}), atol=1e-4, rtol=1e-4
    )
    assert run.score == score(model, data)
    assert run.seconds > stage.seconds
    _, cure = trained("cure", RunFolder(tmp_path / "cure"))
    assert sum(w.numel() for w in model.parameters()) == sum(
        w.numel() for part in (cure, together) for w in part.parameters()
    )


def test_modalities_may_be_called_joint_and_together():
    data = toy()
    parts = {"joint": data.modalities["v"], "together": data.modalities["i"]}
    model = FusionModel(parts, len(data.classes), SMALL, quantise=False)
    model.add_experts(together=True)
    inputs, _ = data.test.everything()
    output = model.eval()({"joint": inputs["v"], "together": inputs["i"]})
    assert list(output.unimodal) == ["joint", "together", TOGETHER]
    assert output.prediction.shape == output.joint.shape


def test_a_modality_called_like_the_network_of_all_is_refused():
    data = toy()
    model = FusionModel({TOGETHER: data.modalities["v"]}, len(data.classes), SMALL, quantise=False)
    with pytest.raises(ValueError, match=r"`heads` .*'\(together\)', '\(together\)'.* each once"):
        model.add_experts(together=True)


def test_without_a_validation_part_the_pool_is_equal(tmp_path: Path):
    data = toy()
    whole = replace(
        data, validation=None, split=Split(data.split.train, np.empty(0, dtype=np.int64), data.split.test)
    )
    for row in ("cure", "experts"):
        folder = RunFolder(tmp_path / row)
        train(row, recipe(select="last"), whole, seed=0, folder=folder)
        weights = network(row, folder.last).pool.weights
        assert list(weights.values()) == pytest.approx([1 / len(weights)] * len(weights))


@pytest.mark.parametrize(
    ("arguments", "words"), [({"ridge": 0}, "`ridge` .* above 0"), ({"epochs_after": 0}, "above 0")]
)
def test_impossible_arguments(arguments: dict[str, float], words: str):
    with pytest.raises(UserError, match=words):
        create("alone_joined_pooled", arguments)


def test_nothing_to_fit():
    with pytest.raises(ValueError, match="`model` has no pool"):
        fit_pool(build_model(toy(), SMALL, quantise=False), [], ridge=0.01)


def test_one_omega_for_each_modality_or_one_that_validation_moves(tmp_path: Path):
    _, plain = trained("cure", RunFolder(tmp_path / "plain"))
    _, tied = trained("tied", RunFolder(tmp_path / "tied"))
    parts = torch.split(tied.mask.weight, list(tied.channels.values()))
    assert [len(part.unique()) for part in parts] == [1, 1]
    assert parts[0][0] != parts[1][0]
    assert len(plain.mask.weight.unique()) > 2
    run, moved = trained("validated", RunFolder(tmp_path / "validated"))
    assert len(moved.mask.weight.unique()) > 2
    assert all(record.loss["total"] == record.loss["task"] for record in run.epochs), "there is no lambda"
