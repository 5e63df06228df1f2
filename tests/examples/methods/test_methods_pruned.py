"""Fewer fused channels: the steered lambda by hand, what each way of pruning keeps, and that it stays kept."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from examples.errors import UserError
from examples.methods import create
from examples.methods.pruned import Pruned, contribution, filters, mask_of
from examples.methods.steered_mask import steering_of
from examples.nets.model import FusionModel, build_model
from examples.recipes import LossWeights, Network, Recipe, Row
from examples.results import Run
from examples.run.folder import RunFolder
from examples.run.trained import network_of
from examples.run.training import train
from tests.examples.run.toy_runs import numbers, toy

SMALL = Network(encoder="plain", width=4, latent=8, head_hidden=8, dropout=0.1)
CHANNELS = 16
ROWS = {
    "steered": Row(
        "steered_mask", quantise=False, arguments={"share": 0.25, "mask_weight": 1e-2, "steps": 3}
    ),
    "concatenation": Row("concatenation", quantise=False),
    **{
        by: Row("pruned", quantise=False, arguments={"by": by, "share": 0.25})
        for by in ("omega", "filters", "contribution", "random")
    },
}


def recipe(row: str) -> Recipe:
    rows = {row: ROWS[row]}
    return Recipe(
        data="toy",
        comparison=rows,
        epochs=4,
        batch_size=8,
        learning_rate=0.02,
        select="validation",
        network=SMALL,
    )


def trained(row: str, folder: RunFolder, seed: int = 3) -> tuple[Run, FusionModel]:
    """Return a run and its network."""
    own = recipe(row)
    return train(row, own, toy(), seed=seed, folder=folder), network(ROWS[row], folder.best)


def network(row: Row, path: Path) -> FusionModel:
    method = create(row.method, row.arguments)
    return network_of(torch.load(path, weights_only=True), method, toy(), SMALL, quantise=False)


def test_lambda_is_steered_and_counts_in_the_loss():
    method, model = create("steered_mask", {"share": 0.5, "mask_weight": 0.1, "steps": 2}), fresh()
    method.configure(model)
    batch = toy().train.everything()
    output = model(batch.inputs)
    terms = method.loss(LossWeights())(model, output, batch)
    torch.testing.assert_close(terms.mask, torch.tensor(CHANNELS * 0.1))
    torch.testing.assert_close(terms.total, terms.task + 0.1 * terms.mask)
    method.after_backward(model, output, batch)
    assert steering_of(model).value == pytest.approx(0.1 * 2.718282**0.5), "all are open, half are wanted"
    terms = method.loss(LossWeights())(model, output, batch)
    torch.testing.assert_close(terms.total, terms.task + steering_of(model).value * terms.mask)
    with torch.no_grad():
        model.mask.weight[4:] = -1.0
    method.after_backward(model, output, batch)
    assert steering_of(model).value == pytest.approx(0.1), "a quarter is open"


def test_the_penalty_of_a_steered_mask_stops_at_zero():
    method, model = create("steered_mask", {}), fresh()
    method.configure(model)
    with torch.no_grad():
        model.mask.weight.fill_(-0.5)
    batch = toy().train.everything()
    assert method.loss(LossWeights())(model, model(batch.inputs), batch).mask == 0


def test_lambda_moves_at_every_step_and_is_part_of_the_checkpoint(tmp_path: Path):
    run, model = trained("steered", RunFolder(tmp_path))
    assert steering_of(model).count == 3 * run.chosen, "three batches an epoch"
    assert run.masked


@pytest.mark.parametrize("by", ["omega", "filters", "contribution", "random"])
def test_a_share_is_kept_for_good(tmp_path: Path, by: str):
    run, model = trained(by, RunFolder(tmp_path))
    assert len(run.epochs) == 2, "half of four"
    assert int(mask_of(model).kept.sum()) == CHANNELS // 4
    assert {record.mask for record in run.epochs} == {run.epochs[0].mask}
    assert sum(run.complementary.values()) == 25.0
    if by == "filters":
        assert run.kept == {"v": 25.0, "i": 25.0}


def test_it_begins_with_the_stage_and_counts_its_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(Pruned, "schedule", lambda *_: None)  # nothing is trained after it
    run, model = trained("omega", RunFolder(tmp_path))
    stage = RunFolder(tmp_path / "masked")
    before = network(replace(ROWS["steered"], arguments={}), stage.best)
    assert same(model.encoders, before.encoders)
    assert same(model.head, before.head)
    assert torch.equal(mask_of(model).weight, before.mask.weight), "chosen when training starts"
    assert run.seconds > stage.read_result().seconds > 0


def test_the_largest_omega_are_kept(tmp_path: Path):
    _, model = trained("omega", RunFolder(tmp_path))
    before = network(replace(ROWS["steered"], arguments={}), tmp_path / "masked" / "best.ckpt")
    best = before.mask.weight.topk(CHANNELS // 4).indices
    assert set(mask_of(model).kept.nonzero().flatten().tolist()) == set(best.tolist())


def test_the_stage_is_the_run_of_concatenation_and_shared(tmp_path: Path):
    plain, _ = trained("concatenation", RunFolder(tmp_path / "plain"))
    for by in ("filters", "random"):
        trained(by, RunFolder(tmp_path / by, tmp_path / "stages"))
    (stage,) = (tmp_path / "stages").glob("whole-*/")
    assert replace(numbers(RunFolder(stage).read_result()), row="concatenation") == numbers(plain)


def test_filters_by_hand():
    model = fresh()
    made = [model.encoders["v"].layers[-1].weight, model.encoders["i"].layers[-3].weight]
    for scores, weight in zip(filters(model, toy().train), made, strict=True):
        by_hand = [sum(abs(value) for value in row.flatten().tolist()) for row in weight]
        torch.testing.assert_close(scores, torch.tensor(by_hand))


def test_contribution_by_hand():
    model, train = fresh(), toy().train
    with torch.no_grad():
        model.encoders["v"].layers[-1].weight[2] = 0.0  # whose channel is a constant
        model.encoders["v"].layers[-1].bias[2] = 3.0
        (scores,) = contribution(model, train)
        fused = model.eval()(train.everything().inputs).fused[:, :, 0, 0]
    read = model.head.layers[2].weight
    for channel in range(CHANNELS):
        norm = sum(value**2 for value in read[:, channel].tolist()) ** 0.5
        spread = float(fused[:, channel].numpy().std(ddof=1))
        assert float(scores[channel]) == pytest.approx(norm * spread, rel=1e-4, abs=1e-6)
    assert scores[2] == pytest.approx(0.0, abs=1e-6)


def test_contribution_leaves_the_mode_alone():
    model = fresh()
    for training in (True, False):
        contribution(model.train(training), toy().train)
        assert model.training == training


def test_random_channels_are_those_of_the_seed(tmp_path: Path):
    kept = {}
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        run, _ = trained("random", RunFolder(tmp_path / name), seed)
        kept[name] = run.epochs[0].mask
    assert kept["a"] == kept["b"]
    assert kept["a"] != kept["c"]


def test_impossible_arguments():
    with pytest.raises(UserError, match=r"`share` \(=1.0\) must be below 1"):
        create("pruned", {"share": 1.0})
    with pytest.raises(
        UserError, match=r"`by` \(='weight'\) must be 'omega', 'filters', 'contribution' or 'random'"
    ):
        create("pruned", {"by": "weight"})
    with pytest.raises(UserError, match=r"`mask_weight` \(=0.0\) must be above 0"):
        create("steered_mask", {"mask_weight": 0.0})
    with pytest.raises(
        UserError, match=r"joins 'pruned', which must be a method that trains one network of all mod"
    ):
        create("joined+pruned", {})


def test_a_network_without_a_mask_has_none_to_fix():
    with pytest.raises(ValueError, match=r"^`model` has no mask\.$"):
        mask_of(fresh())


def fresh() -> FusionModel:
    torch.manual_seed(0)
    return build_model(toy(), SMALL, quantise=False)


def same(one: torch.nn.Module, other: torch.nn.Module) -> bool:
    mine, theirs = one.state_dict(), other.state_dict()
    return list(mine) == list(theirs) and all(torch.equal(mine[name], theirs[name]) for name in mine)
