"""The methods and their hooks, and the loss they share."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch

from examples import methods
from examples.data import load
from examples.data.contract import Batch, Modality, Samples
from examples.data.place import Place
from examples.errors import UserError
from examples.methods import METHODS, create
from examples.methods.base import Method
from examples.methods.loss import PaperLoss
from examples.nets.model import FusionModel, FusionOutput
from examples.recipes import LossWeights, Network, load_recipe
from examples.run.folder import RunFolder
from examples.run.training import train
from maskfusion import ComplementaryMask

SMALL = Network(width=8, residual_width=4, residual_blocks=1, latent=6, codes=5, head_width=4, head_hidden=8)
MODALITIES = {"v": Modality("vector", (5,)), "i": Modality("image", (1, 8, 8))}


def network(quantise: bool = True) -> FusionModel:
    return FusionModel(MODALITIES, 3, SMALL, quantise=quantise)


def batch() -> Batch:
    torch.manual_seed(0)
    return Batch(
        {name: torch.randn(4, *it.shape) for name, it in MODALITIES.items()}, torch.tensor([0, 1, 2, 0])
    )


def test_equation_one_by_hand():
    model = network()
    model.fusion = ComplementaryMask(model.channels, fusion=model.fusion, init=0.1)
    data = batch()
    output = model(data.inputs)
    terms = PaperLoss(LossWeights(reconstruction=2.0, code=3.0), mask_weight=0.5)(model, output, data)
    logs = output.prediction.log_softmax(dim=1)
    task = -sum(logs[i, data.target[i]] for i in range(4)) / 4
    reconstruction = sum(((data.inputs[key] - output.reconstructions[key]) ** 2).mean() for key in MODALITIES)
    code = sum(output.quantized[key].loss for key in MODALITIES)
    torch.testing.assert_close(terms.task, task)
    torch.testing.assert_close(terms.reconstruction, reconstruction)
    torch.testing.assert_close(terms.code, code)
    torch.testing.assert_close(terms.mask, torch.tensor(12 * 0.1))
    torch.testing.assert_close(terms.total, task + 2 * reconstruction + 3 * code + 0.5 * 1.2)


@pytest.mark.parametrize(
    ("penalty", "expected"),
    [("signed", 3 * 0.2 - 9 * 0.1), ("absolute", 3 * 0.2 + 9 * 0.1), ("positive", 3 * 0.2)],
)
@pytest.mark.parametrize("name", ["complementary_mask", "masked_uniform_losses"])
def test_penalties_by_hand(name: str, penalty: str, expected: float):
    method, model, data = (
        create(name, {"penalty": penalty, "mask_weight": 0.5}),
        network(quantise=False),
        batch(),
    )
    method.configure(model)
    with torch.no_grad():
        model.mask.weight.copy_(torch.tensor([0.2] * 3 + [-0.1] * 9))
    terms = method.loss(LossWeights())(model, model(data.inputs), data)
    torch.testing.assert_close(terms.mask, torch.tensor(expected))


def test_unknown_penalty():
    with pytest.raises(UserError, match=r"`penalty` \(='l2'\) must be 'signed', 'absolute' or 'positive'"):
        create("masked_uniform_losses", {"penalty": "l2"})


def test_a_network_without_quantisers_and_mask_has_the_task_only():
    model, data = network(quantise=False), batch()
    terms = PaperLoss(LossWeights(), mask_weight=1.0)(model, model(data.inputs), data)
    assert terms.total == terms.task
    assert terms.reconstruction == terms.code == terms.mask == 0


def test_concatenation_changes_nothing():
    method, model = create("concatenation", {}), network()
    fusion = model.fusion
    method.configure(model)
    assert model.fusion is fusion
    assert method.inputs(["a", "b"]) == ["a", "b"]


def test_unimodal_chooses_one():
    method = create("unimodal", {"modality": "b"})
    assert method.inputs(["a", "b"]) == ["b"]
    with pytest.raises(UserError, match=r"`modality` \(='b'\) must be one of \['a', 'c'\]"):
        method.inputs(["a", "c"])


def test_mask_method_puts_its_mask():
    method, model = (
        create("complementary_mask", {"init": 0.02, "threshold": 0.01, "mask_weight": 0.3}),
        network(),
    )
    method.configure(model)
    mask = model.mask
    assert mask is not None
    assert (mask.weight == 0.02).all()
    assert mask.threshold == 0.01
    assert dict(mask.channels) == {"v": 6, "i": 6}
    data = batch()
    terms = method.loss(LossWeights())(model, model(data.inputs), data)
    expected = terms.task + terms.reconstruction + terms.code + 0.3 * terms.mask
    torch.testing.assert_close(terms.total, expected)


@pytest.mark.parametrize("name", METHODS)
def test_unknown_arguments_are_refused_by_name(name: str):
    with pytest.raises(
        UserError,
        match=rf"`arguments` of method '{name}': .*It has the unknown key 'lambda'; (it knows|did you mean)",
    ):
        create(name, {"lambda": 1})


def test_missing_argument_is_named():
    with pytest.raises(UserError, match=r"`arguments` of method 'unimodal': It lacks 'modality'"):
        create("unimodal", {})


def test_unknown_method():
    with pytest.raises(
        UserError,
        match=r"`method` \(='magic'\) must be one of \['alone_joined_pooled', 'alone_validated_pooled', 'compl",
    ):
        create("magic", {})


CALLS: list[str] = []


@dataclass(frozen=True)
class Nosy(Method):
    """Writes down every hook that is called, and stops all learning."""

    def inputs(self, available: Sequence[str]) -> list[str]:
        CALLS.append("inputs")
        return list(available[:2])

    def configure(self, model: FusionModel) -> None:
        CALLS.append(f"configure {list(model.channels)}")

    def loss(self, weights: LossWeights) -> torch.nn.Module:
        CALLS.append("loss")
        return PaperLoss(weights)

    def train_start(self, model: FusionModel, train: Samples) -> None:
        assert model.training
        CALLS.append(f"train_start {len(train)}")

    def after_backward(self, model: FusionModel, output: FusionOutput, batch: Batch) -> None:
        CALLS.append("after_backward")
        assert len(output.prediction) == len(batch.target)
        for weight in model.parameters():
            assert weight.grad is not None or not weight.requires_grad
            weight.grad = None

    def epoch_end(self, model: FusionModel, train: Samples) -> None:
        assert model.training
        CALLS.append(f"epoch_end {len(train)}")


def test_hooks_are_called_in_order(
    recipe_file: Path, mfeat_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(methods.METHODS, "nosy", Nosy)
    CALLS.clear()
    recipe = load_recipe(recipe_file)
    row = replace(recipe.comparison["concatenation"], method="nosy")
    losses: list[float] = []
    recipe = replace(recipe, comparison={"nosy": row})
    data = load("mfeat", Place(mfeat_root), seed=0, options={"labels": 20})
    run = train(
        "nosy",
        recipe,
        data,
        seed=0,
        folder=RunFolder(tmp_path / "run"),
        on_epoch=lambda _, record: losses.append(record.loss["total"]),
    )
    epoch = ["after_backward", "after_backward", "epoch_end 20"]
    assert ["inputs", "configure ['pix', 'fou']", "loss", "train_start 20", *epoch, *epoch] == CALLS
    assert [record.loss["total"] for record in run.epochs] == losses
