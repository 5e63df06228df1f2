"""The rival methods, each against a step computed by hand, and each trained for an epoch."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from examples.data.contract import Batch, Modality, MultimodalData, split_and_standardise
from examples.data.splits import Split
from examples.errors import UserError
from examples.methods import create
from examples.nets.model import FusionModel
from examples.recipes import LossWeights, Network, Recipe, Row
from examples.results import Run
from examples.run.folder import RunFolder
from examples.run.training import train

SMALL = Network(
    width=8, residual_width=4, residual_blocks=1, latent=6, codes=5, head_width=4, head_hidden=8, dropout=0.0
)
MODALITIES = {"v": Modality("vector", (5,)), "i": Modality("image", (1, 8, 8))}


def network(quantise: bool = False) -> FusionModel:
    torch.manual_seed(0)
    return FusionModel(MODALITIES, 3, SMALL, quantise=quantise)


def batch() -> Batch:
    torch.manual_seed(1)
    return Batch(
        {name: torch.randn(4, *it.shape) for name, it in MODALITIES.items()}, torch.tensor([0, 1, 2, 0])
    )


def cross_entropy(scores: Tensor, target: Tensor) -> float:
    values = scores.detach().double().numpy()
    chances = np.exp(values) / np.exp(values).sum(axis=1, keepdims=True)
    return float(-np.log(chances[np.arange(len(target)), target.numpy()]).mean())


def toy(modalities: int) -> MultimodalData:
    """Made data with vectors and an image."""
    random = torch.Generator().manual_seed(0)
    target = torch.arange(24) % 3
    inputs = {
        "v": torch.randn(24, 5, generator=random) + target[:, None],
        "i": torch.randn(24, 1, 8, 8, generator=random) + target[:, None, None, None],
        "w": torch.randn(24, 4, generator=random),
    }
    chosen = dict(list(inputs.items())[:modalities])
    order = np.arange(24)
    return split_and_standardise(
        "toy",
        chosen,
        target,
        kinds={name: "image" if name == "i" else "vector" for name in chosen},
        classes=("a", "b", "c"),
        split=Split(order[:16], order[16:20], order[20:]),
        task="classification",
    )


def trained(folder: Path, row: Row, modalities: int, **settings: object) -> Run:
    values = {"epochs": 1, "batch_size": 8, "network": SMALL, **settings}
    recipe = Recipe(data="toy", comparison={"row": row}, **values)
    return train("row", recipe, toy(modalities), seed=0, folder=RunFolder(folder))


ROWS = {
    "uniform": Row("uniform_losses"),
    "masked uniform": Row("masked_uniform_losses", arguments={"mask_weight": 1e-3, "weight": 0.5}),
    "uniform, vote": Row("uniform_losses", arguments={"vote": True}),
    "corrected": Row("feature_dropout", arguments={"p": 0.25}),
    "published": Row("feature_dropout", arguments={"variant": "published"}, quantise=False),
    "modality dropout": Row("modality_dropout"),
    "raw gate": Row("gated_raw", arguments={"init": 0.01, "threshold": 0.005}),
    "gated units": Row("gated_literature"),
    "weakest first": Row("weakest_first"),
    "all at once": Row("weakest_first", arguments={"epochs": 0}, quantise=False),
}


@pytest.mark.parametrize("modalities", [2, 3])
@pytest.mark.parametrize("row", ROWS.values(), ids=list(ROWS))
def test_trains(tmp_path: Path, row: Row, modalities: int):
    run = trained(tmp_path, row, modalities)
    assert all(np.isfinite(value) for value in run.epochs[0].loss.values())
    assert np.isfinite(run.score)


@pytest.mark.parametrize("quantise", [False, True])
def test_uniform_losses_by_hand(quantise: bool):
    method, model, data = create("uniform_losses", {"weight": 0.5}), network(quantise), batch()
    method.configure(model)
    assert list(model.unimodal_heads) == ["v", "i"]
    output = model(data.inputs)
    terms = method.loss(LossWeights(reconstruction=2.0, code=3.0))(model, output, data)
    joint = cross_entropy(output.prediction, data.target)
    unimodal = sum(cross_entropy(scores, data.target) for scores in output.unimodal.values())
    assert terms.task.item() == pytest.approx(joint, rel=1e-5)
    expected = joint + 2 * terms.reconstruction + 3 * terms.code + 0.5 * unimodal
    torch.testing.assert_close(terms.total, expected)
    assert (terms.mask, terms.reconstruction > 0) == (0, quantise)


def test_masked_uniform_losses_by_hand():
    arguments = {"mask_weight": 0.5, "init": 0.02, "threshold": 0.01, "weight": 2.0}
    method, model, data = create("masked_uniform_losses", arguments), network(), batch()
    method.configure(model)
    with torch.no_grad():
        model.mask.weight[:6] = 0.0  # v is closed
    output = model(data.inputs)
    assert (output.fused[:, :6] == 0).all()
    terms = method.loss(LossWeights())(model, output, data)
    unimodal = sum(cross_entropy(scores, data.target) for scores in output.unimodal.values())
    expected = cross_entropy(output.prediction, data.target) + 0.5 * 6 * 0.02 + 2 * unimodal
    assert terms.total.item() == pytest.approx(expected, rel=1e-5)
    terms.total.backward()
    assert all((weight.grad != 0).any() for weight in model.encoders["v"].parameters())


def test_uniform_losses_skip_what_is_not_scored():
    method, model, data = create("uniform_losses", {}), network(), batch()
    method.configure(model)
    data.target[0] = -100
    output = model(data.inputs)
    terms = method.loss(LossWeights())(model, output, data)
    scored = [output.prediction, *output.unimodal.values()]
    expected = sum(cross_entropy(scores[1:], data.target[1:]) for scores in scored)
    assert terms.total.item() == pytest.approx(expected, rel=1e-5)


def test_a_vote_is_the_normalised_geometric_mean_of_all_heads():
    method, model, data = create("masked_uniform_losses", {"vote": True}), network(), batch()
    method.configure(model)
    alone = model(data.inputs)  # in training each head answers for itself
    terms = method.loss(LossWeights())(model, alone, data)
    assert terms.task.item() == pytest.approx(cross_entropy(alone.prediction, data.target), rel=1e-5)
    model.eval()
    output = model(data.inputs)
    joint = model.head(output.fused).softmax(dim=1)
    product = joint * output.unimodal["v"].softmax(dim=1) * output.unimodal["i"].softmax(dim=1)
    expected = product ** (1 / 3) / (product ** (1 / 3)).sum(dim=1, keepdim=True)
    torch.testing.assert_close(output.prediction.exp(), expected)
    assert not torch.allclose(output.prediction.exp(), joint)


def test_without_a_vote_the_joint_head_predicts_alone():
    method, model, data = create("uniform_losses", {}), network(), batch()
    method.configure(model)
    output = model.eval()(data.inputs)
    torch.testing.assert_close(output.prediction, model.head(output.fused))


def test_uniform_losses_refuse_a_negative_weight():
    with pytest.raises(UserError, match=r"`weight` \(=-1.0\) must be at least 0"):
        create("uniform_losses", {"weight": -1.0})


@pytest.mark.parametrize(("variant", "scale"), [("corrected", 4.0), ("published", 1.0)])
def test_feature_dropout_by_hand(variant: str, scale: float):
    method, model = create("feature_dropout", {"p": 0.75, "variant": variant}), network()
    method.configure(model)
    features = {"v": torch.ones(4, 6, 1, 1), "i": torch.full((4, 6, 2, 2), 2.0)}
    whole = torch.cat([features["v"].expand(-1, -1, 2, 2), features["i"]], dim=1)
    torch.manual_seed(3)
    fused = model.fusion(features)
    torch.manual_seed(3)
    kept = torch.empty(12).bernoulli_(0.25)
    assert 0 < kept.sum() < 12
    torch.testing.assert_close(fused, whole * scale * kept[:, None, None])
    model.eval()
    fused = model.fusion(features)
    closed = (fused == 0).all(dim=(0, 2, 3))
    if variant == "corrected":
        assert torch.equal(fused, whole)
    else:
        assert closed.any()
        assert torch.equal(fused[:, ~closed], whole[:, ~closed])


def test_feature_dropout_leaves_omega_alone():
    method, model, data = create("feature_dropout", {}), network(), batch()
    method.configure(model)
    terms = method.loss(LossWeights())(model, model(data.inputs), data)
    torch.testing.assert_close(terms.total, terms.task)
    terms.total.backward()
    assert (model.mask.weight.grad == 0).all()
    assert model.mask.kept.all()


def test_feature_dropout_refuses_other_variants():
    with pytest.raises(UserError, match=r"`variant` \(='both'\) must be 'corrected' or 'published'"):
        create("feature_dropout", {"variant": "both"})


@pytest.mark.parametrize("count", [2, 3])
@pytest.mark.parametrize("p", [0.0, 0.4, 1.0])
def test_modality_dropout_by_hand(p: float, count: int):
    method, model = create("modality_dropout", {"p": p}), network()
    method.configure(model)
    features = {str(number): torch.full((50, 2, 3, 3), 1.0 + number) for number in range(count)}
    torch.manual_seed(7)
    fused = model.fusion(features).reshape(50, count, -1)
    torch.manual_seed(7)
    draws = torch.rand(count, 50).numpy()
    lost = 0
    for sample in range(50):
        for number in range(count):
            stays = draws[number, sample] >= p or draws[number, sample] == max(draws[:, sample])
            assert (fused[sample, number] == (1.0 + number if stays else 0.0)).all()
            lost += not stays
    assert lost == {0.0: 0, 1.0: 50 * (count - 1)}.get(p, lost)
    model.eval()
    assert torch.equal(model.fusion(features), torch.cat(list(features.values()), dim=1))


def test_a_dropped_modality_gets_no_gradient_from_the_task():
    method, model, data = create("modality_dropout", {"p": 1.0}), network(), batch()
    method.configure(model)
    torch.manual_seed(0)
    output = model(data.inputs)
    gradients = torch.autograd.grad(output.prediction.square().sum(), list(output.latents.values()))
    used = torch.stack([(gradient.flatten(1) != 0).any(dim=1) for gradient in gradients])
    assert (used.sum(dim=0) == 1).all()


def test_modality_dropout_needs_two_modalities():
    with pytest.raises(UserError, match=r"`available` \(=\['v'\]\) must be two modalities or more"):
        create("modality_dropout", {}).inputs(["v"])


def test_modality_dropout_refuses_what_is_no_probability():
    with pytest.raises(UserError, match=r"`p` \(=1.5\) must be at most 1"):
        create("modality_dropout", {"p": 1.5})


def test_raw_gate_by_hand():
    arguments = {"mask_weight": 0.5, "init": 0.02, "threshold": 0.01}
    method, model, data = create("gated_raw", arguments), network(), batch()
    method.configure(model)
    with torch.no_grad():
        model.mask.weight[0] = -3.0
    omega = torch.tensor([-3.0, *[0.02] * 11])
    output = model(data.inputs)
    v, i = output.features.values()
    whole = torch.cat([v.expand(-1, -1, *i.shape[2:]), i], dim=1)
    torch.testing.assert_close(output.fused, whole * omega[:, None, None])
    terms = method.loss(LossWeights())(model, output, data)
    torch.testing.assert_close(terms.total, terms.task + 0.5 * (11 * 0.02 - 3))
    assert model.mask.kept.tolist() == [False, *[True] * 11]


def test_gated_units_by_hand():
    method, model, data = create("gated_literature", {}), network(), batch()
    method.configure(model)
    output = model(data.inputs)
    v, i = (values.detach().double().numpy() for values in output.features.values())
    units = model.fusion
    w_v, w_i, u = (
        weight.detach().double().numpy()[:, :, 0, 0]
        for weight in (units.values["v"].weight, units.values["i"].weight, units.gates.weight)
    )
    for row in range(i.shape[2]):
        for column in range(i.shape[3]):
            z_v, z_i = v[:, :, 0, 0], i[:, :, row, column]  # a vector is seen at every place
            hidden = np.concatenate([np.tanh(z_v @ w_v.T), np.tanh(z_i @ w_i.T)], axis=1)
            gate = 1 / (1 + np.exp(-np.concatenate([z_v, z_i], axis=1) @ u.T))
            found = output.fused[:, :, row, column].detach().numpy()
            np.testing.assert_allclose(found, gate * hidden, rtol=1e-4, atol=1e-6)
