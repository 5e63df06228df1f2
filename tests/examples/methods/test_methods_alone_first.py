"""Each modality alone first: what is carried, what is pooled, and that a run in stages is one run."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from examples.data.contract import MultimodalData
from examples.data.splits import Split
from examples.errors import UserError
from examples.methods import METHODS, create
from examples.methods.alone_first import fit_pool
from examples.nets.model import JOINT, TOGETHER, FusionModel, build_model, opinion_pool
from examples.recipes import Network, Recipe, Row
from examples.results import Run
from examples.run.folder import RunFolder
from examples.run.task import FusionTask
from examples.run.trained import network_of
from examples.run.training import train
from maskfusion import LogarithmicPool
from tests.examples.run.toy_runs import Cut, numbers, toy

SMALL = Network(encoder="plain", width=4, latent=6, head_hidden=8, dropout=0.1)
ROWS = {
    "v": Row("unimodal", quantise=False, arguments={"modality": "v"}),
    "concatenation": Row("concatenation", quantise=False),
    "experts": Row("pooled_experts", quantise=False),
    "joined": Row("joined", quantise=False),
    "frozen": Row("joined", quantise=False, arguments={"frozen": True, "epochs_after": 1.0}),
    "pooled": Row("joined_pooled", quantise=False),
    "ogm": Row("joined+ogm", quantise=False),
    "vote": Row("joined+uniform_losses", quantise=False, arguments={"vote": True}),
    "cure": Row("alone_joined_pooled", quantise=False, arguments={"mask_weight": 1e-3}),
    "all": Row("alone_joined_pooled", quantise=False, arguments={"mask_weight": 1e-3, "together": True}),
}


def recipe(**settings: object) -> Recipe:
    values = {"epochs": 4, "batch_size": 8, "learning_rate": 0.02, "select": "validation", "network": SMALL}
    return Recipe(data="toy", comparison=ROWS, **{**values, **settings})


def trained(row: str, folder: RunFolder, **settings: object) -> tuple[Run, FusionModel]:
    """Return a run and its network, built again from its checkpoint."""
    own = recipe(**settings)
    run = train(row, own, toy(), seed=3, folder=folder)
    return run, network(row, folder.best if own.select == "validation" else folder.last)


def network(row: str, path: Path) -> FusionModel:
    method = create(ROWS[row].method, ROWS[row].arguments)
    data = toy()
    data = data.select(method.inputs(list(data.modalities)))
    return network_of(torch.load(path, weights_only=True), method, data, SMALL, quantise=False)


def score(model: FusionModel, data: MultimodalData) -> float:
    inputs, target = data.test.everything()
    return 100 * float((model(inputs).prediction.argmax(1) == target).double().mean())


def same(one: torch.nn.Module, other: torch.nn.Module) -> bool:
    mine, theirs = one.state_dict(), other.state_dict()
    return list(mine) == list(theirs) and all(torch.equal(mine[name], theirs[name]) for name in mine)


def test_a_stage_is_the_run_of_a_modality_alone(tmp_path: Path):
    alone, network_alone = trained("v", RunFolder(tmp_path / "alone"))
    trained("joined", RunFolder(tmp_path / "joined"))
    stage = RunFolder(tmp_path / "joined" / "v")
    assert numbers(stage.read_result()) == numbers(alone)
    assert same(network("v", stage.best), network_alone)
    assert stage.read_plan()["row"] == "v"


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


@pytest.mark.parametrize("step", [5, 17, 26])
def test_goes_on_where_it_was_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int):
    """In the first stage, in the second, in the joint training."""
    whole, model = trained("cure", RunFolder(tmp_path / "whole"))
    with monkeypatch.context() as patch:
        before, done = FusionTask.training_step, []

        def lights_out(task: FusionTask, *batch: object) -> torch.Tensor:
            if len(done) == step:
                raise Cut
            done.append(step)
            return before(task, *batch)

        patch.setattr(FusionTask, "training_step", lights_out)
        with pytest.raises(Cut):
            trained("cure", RunFolder(tmp_path / "cut"))
    steps = []
    monkeypatch.setattr(
        FusionTask, "training_step", lambda task, *batch: steps.append(0) or before(task, *batch)
    )
    again, other = trained("cure", RunFolder(tmp_path / "cut"))
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


@pytest.mark.parametrize(
    ("arguments", "words"), [({"ridge": 0}, "`ridge` .* above 0"), ({"epochs_after": 0}, "above 0")]
)
def test_impossible_arguments(arguments: dict[str, float], words: str):
    with pytest.raises(UserError, match=words):
        create("alone_joined_pooled", arguments)


def test_nothing_to_fit():
    with pytest.raises(ValueError, match="`model` has no pool"):
        fit_pool(build_model(toy(), SMALL, quantise=False), [], ridge=0.01)


JOINABLE = sorted(
    set(METHODS)
    - {
        "unimodal",
        "masked_unimodal",
        "joined",
        "joined_pooled",
        "pooled_experts",
        "alone_joined_pooled",
        "pruned",
    }
)


@pytest.mark.parametrize("name", JOINABLE)
def test_every_other_method_may_begin_with_the_encoders(name: str):
    method, plain = create(f"joined+{name}", {"epochs_after": 1.0}), create(name, {})
    assert isinstance(method, type(plain))
    model = build_model(toy(), SMALL, quantise=False)
    method.configure(model)
    own = build_model(toy(), SMALL, quantise=False)
    plain.configure(own)
    assert list(model.state_dict()) == list(own.state_dict())
    alone = {m: Row("unimodal", quantise=False, arguments={"modality": m}) for m in ("v", "i")}
    assert method.stages(["v", "i"]) == alone
    assert method.rates(model) == {"encoders": 0.1}
    assert method.schedule(recipe()).epochs == 4


def test_a_rival_takes_its_steps_from_the_encoders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """OGM scales gradients of encoders that begin as `joined` does; what it does to them makes another network."""
    seen: list[dict[str, torch.Tensor]] = []
    before = FusionTask.training_step

    def watched(task: FusionTask, *batch: object) -> torch.Tensor:
        if len(task.model.channels) == 2:
            seen.append({name: value.clone() for name, value in task.model.encoders.state_dict().items()})
        return before(task, *batch)

    monkeypatch.setattr(FusionTask, "training_step", watched)
    networks = {}
    for row in ("joined", "ogm", "vote"):
        run, networks[row] = trained(row, RunFolder(tmp_path / row, tmp_path / "stages"))
        assert (run.method, len(run.epochs)) == (ROWS[row].method, 2)
    first = seen[0], seen[len(seen) // 3], seen[2 * len(seen) // 3]
    assert all(torch.equal(first[0][name], other[name]) for other in first[1:] for name in first[0])
    assert not same(networks["joined"].encoders, networks["ogm"].encoders)
    assert int(networks["ogm"].get_buffer("epochs_seen")) == 2
    inputs, _ = toy().test.everything()
    output = networks["vote"](inputs)
    torch.testing.assert_close(output.prediction, opinion_pool([output.joint, *output.unimodal.values()]))


@pytest.mark.parametrize(
    ("name", "words"),
    [
        (
            "joined+magic",
            r"`method` \(='joined\+magic'\) must be one of \[.*\], or 'joined\+' and one of them",
        ),
        ("joined+unimodal", r"joins 'unimodal', which must be a method that trains one network of all"),
        ("joined+joined_pooled", "joins 'joined_pooled', which must be"),
    ],
)
def test_what_cannot_begin_with_the_encoders(name: str, words: str):
    with pytest.raises(UserError, match=words):
        create(name, {})


def test_unknown_arguments_of_both_are_refused():
    with pytest.raises(
        UserError,
        match=r"method 'joined\+ogm': It has the unknown key 'rate_aftr'; did you mean 'rate_after'",
    ):
        create("joined+ogm", {"rate_aftr": 1.0})
