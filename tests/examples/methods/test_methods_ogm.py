"""OGM and OGM-GE against steps computed by hand."""

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from examples.data import load
from examples.data.contract import UNSCORED, Batch, Modality
from examples.data.place import Place
from examples.errors import UserError
from examples.methods import create
from examples.methods.ogm import OGM, right_scores
from examples.nets.model import FusionModel
from examples.recipes import LossWeights, Network, Recipe, Row
from examples.run.folder import RunFolder
from examples.run.training import train

SMALL = Network(width=8, residual_width=4, residual_blocks=1, latent=6, codes=5, head_width=4, head_hidden=8)
SHAPES = {"v": Modality("vector", (5,)), "i": Modality("image", (1, 8, 8)), "w": Modality("vector", (3,))}


def network(count: int = 2, **settings: tuple[int, int]) -> FusionModel:
    names = list(SHAPES)[:count]
    return FusionModel({name: SHAPES[name] for name in names}, 3, SMALL, quantise=False, **settings)


def batch(count: int = 2) -> Batch:
    inputs = {name: torch.randn(6, *SHAPES[name].shape) for name in list(SHAPES)[:count]}
    return Batch(inputs, torch.tensor([0, 1, 2, 0, 1, 2]))


class Shares(nn.Module):
    """A head that is linear in the mean of each channel, so that its split is known."""

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.weight = weight

    def forward(self, fused: Tensor) -> Tensor:
        return fused.mean(dim=(2, 3)) @ self.weight.T


def step(method: OGM, model: FusionModel, data: Batch) -> tuple[dict[str, Tensor], dict[str, Tensor], Tensor]:
    """Return the gradients of the encoders before and after the hook, and the scores s by hand."""
    output = model(data.inputs)
    method.loss(LossWeights())(model, output, data).total.backward()
    before = {name: weight.grad.clone() for name, weight in model.encoders.named_parameters()}
    method.after_backward(model, output, data)
    after = {name: weight.grad.clone() for name, weight in model.encoders.named_parameters()}
    sums, start = [], 0
    for name, count in model.channels.items():
        maps = output.features[name].detach().mean(dim=(2, 3))
        odds = (maps @ model.head.weight[:, start : start + count].T).softmax(dim=1)
        sums.append(sum(odds[sample, data.target[sample]] for sample in range(6)))
        start += count
    return before, after, torch.stack(sums)


@pytest.mark.parametrize("count", [2, 3])
@pytest.mark.parametrize("against", ["weakest", "others"])
def test_a_step_by_hand(count: int, against: str):
    model, data = network(count), batch(count)
    model.head = Shares(torch.randn(3, 6 * count))
    method = OGM(alpha=0.3, noise=False, against=against)
    method.configure(model)
    before, after, sums = step(method, model, data)
    factors = {}
    for index, name in enumerate(model.channels):
        rest = [float(sums[other]) for other in range(count) if other != index]
        ratios = [float(sums[index]) / other for other in rest]
        ratio = max(ratios) if against == "weakest" else sum(ratios) / len(ratios)
        factors[name] = 1 - math.tanh(0.3 * ratio) if ratio > 1 else 1.0
    assert len(set(factors.values())) > 1
    for key in before:
        torch.testing.assert_close(after[key], before[key] * factors[key.split(".")[0]])


def test_published_numbers():
    factors = OGM(alpha=0.8).coefficients(torch.tensor([3.0, 2.0]))
    torch.testing.assert_close(factors, torch.tensor([1 - math.tanh(0.8 * 1.5), 1.0]))
    assert OGM().coefficients(torch.tensor([2.0, 2.0])).tolist() == [1, 1]
    assert OGM().coefficients(torch.tensor([0.0, 1.0])).tolist() == [1, 0]
    others = OGM(alpha=0.1, against="others").coefficients(torch.tensor([4.0, 2.0, 1.0]))
    # mean ratios (2 + 4) / 2, (1/2 + 2) / 2 and (1/4 + 1/2) / 2
    torch.testing.assert_close(others, torch.tensor([1 - math.tanh(0.1 * 3), 1 - math.tanh(0.1 * 1.25), 1.0]))


def test_noise_has_the_spread_of_the_gradient_and_no_mean():
    model, data = network(), batch()
    model.head = Shares(torch.randn(3, 12))
    method = OGM(alpha=0.0)
    method.configure(model)
    before, after, _ = step(method, model, data)
    big = max(before, key=lambda key: before[key].numel())
    noise = after[big] - before[big]
    assert noise.std().item() == pytest.approx(before[big].std().item(), rel=0.15)
    assert abs(noise.mean().item()) < 4 * before[big].std().item() / math.sqrt(noise.numel())
    assert all((after[key] != before[key]).any() for key in before if before[key].numel() > 1)


def test_the_spread_of_the_noise_is_that_of_a_sample(monkeypatch: pytest.MonkeyPatch):
    """By n - 1, as the published code has it: 15 % more on a vector of four."""
    monkeypatch.setattr(Tensor, "normal_", lambda self, **_: self.fill_(1.0))
    model, data = network(), batch()
    model.head = Shares(torch.randn(3, 12))
    method = OGM(alpha=0.0)
    method.configure(model)
    before, after, _ = step(method, model, data)
    small = {key: gradient for key, gradient in before.items() if 1 < gradient.numel() < 9}
    assert small
    for key, gradient in small.items():
        spread = ((gradient - gradient.mean()).square().sum() / (gradient.numel() - 1)).sqrt()
        torch.testing.assert_close(after[key] - gradient, spread.expand_as(gradient), atol=1e-6, rtol=1e-4)


def test_at_a_tie_nobody_is_slowed_for_any_number_of_modalities():
    for count in (2, 3):
        for against in ("weakest", "others"):
            assert OGM(against=against).coefficients(torch.full((count,), 3.0)).tolist() == [1.0] * count


def test_head_is_left_alone_and_only_convolutions_where_asked():
    images = {name: Modality("image", (1, 8, 8)) for name in "ab"}
    model = FusionModel(images, 3, SMALL, quantise=False)
    method = OGM(alpha=0.5, weights="convolutions")
    method.configure(model)
    data = Batch({name: torch.randn(6, 1, 8, 8) for name in "ab"}, torch.arange(6) % 3)
    output = model(data.inputs)
    method.loss(LossWeights())(model, output, data).total.backward()
    before = {key: weight.grad.clone() for key, weight in model.named_parameters()}
    state = {key: value.clone() for key, value in model.state_dict().items()}
    method.after_backward(model, output, data)
    changed = {key for key, weight in model.named_parameters() if (weight.grad != before[key]).any()}
    assert changed == {
        key for key, weight in model.named_parameters() if key.startswith("encoders") and weight.ndim == 4
    }
    assert model.head.training
    assert all((value == state[key]).all() for key, value in model.state_dict().items())
    with pytest.raises(UserError, match=r"`weights` \(='convolutions'\) leaves nothing .* of \['v'\]"):
        method.configure(network())


def test_heads_learn_beside_the_network():
    torch.manual_seed(1)
    plain, data = network(), batch()
    model = network()
    model.load_state_dict(plain.state_dict())
    method = OGM(contribution="heads", noise=False, alpha=0.3)
    method.configure(model)
    for net in (plain, model):
        net.head.eval()  # dropout draws nothing
    output = model(data.inputs)
    method.loss(LossWeights())(model, output, data).total.backward()
    OGM().loss(LossWeights())(plain, plain(data.inputs), data).total.backward()
    for name, weight in plain.named_parameters():
        torch.testing.assert_close(model.get_parameter(name).grad, weight.grad)
    assert all(weight.grad is not None for weight in model.unimodal_heads.parameters())
    sums = [
        sum(
            odds.softmax(dim=0)[right] for odds, right in zip(output.unimodal[name], data.target, strict=True)
        )
        for name in model.channels
    ]
    method.after_backward(model, output, data)
    ratio = max(sums) / min(sums)
    for index, name in enumerate(model.channels):
        factor = 1 - torch.tanh(0.3 * ratio) if sums[index] == max(sums) else 1.0
        for key, weight in plain.encoders[name].named_parameters():
            torch.testing.assert_close(model.encoders[name].get_parameter(key).grad, weight.grad * factor)


def test_works_in_its_epochs_only():
    model, data = network(), batch()
    model.head = Shares(torch.randn(3, 12))
    method = OGM(first=1, last=1)
    method.configure(model)
    for active in (False, True, False):
        model.zero_grad()
        before, after, _ = step(method, model, data)
        assert any((after[key] != before[key]).any() for key in before) == active
        method.epoch_end(model, None)


def test_pixels_that_do_not_count():
    scores = {"a": torch.randn(2, 3, 2, 2)}
    target = torch.randint(3, (2, 2, 2))
    target[0, 0, 0] = UNSCORED
    odds = scores["a"].softmax(dim=1)
    expected = sum(
        odds[s, target[s, y, x], y, x]
        for s in range(2)
        for y in range(2)
        for x in range(2)
        if target[s, y, x] != UNSCORED
    )
    torch.testing.assert_close(right_scores(scores, target), expected[None])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"alpha": -1.0}, r"`alpha` \(=-1.0\) must be at least 0"),
        ({"against": "best"}, r"`against` \(='best'\) must be 'weakest' or 'others'"),
        ({"contribution": "split"}, r"`contribution` \(='split'\) must be 'zeroed' or 'heads'"),
    ],
)
def test_impossible_arguments(arguments: dict[str, object], message: str):
    with pytest.raises(UserError, match=message):
        create("ogm", arguments)


def test_one_modality_is_refused():
    with pytest.raises(UserError, match=r"`modalities` \(=\['v'\]\) must be at least two"):
        OGM().configure(network(1))


@pytest.mark.parametrize("modalities", [2, 3])
@pytest.mark.parametrize("contribution", ["zeroed", "heads"])
def test_trains(tmp_path: Path, modalities: int, contribution: str):
    sizes = {"modalities": modalities, "unique": 0.1, "bits": 2, "features": 8}
    data = load("synthetic", Place(tmp_path), seed=0, options={**sizes, "train": 32, "test": 16})
    recipe = Recipe(
        data="synthetic",
        comparison={"ogm": Row("ogm", arguments={"contribution": contribution, "noise": True})},
        epochs=2,
        batch_size=8,
        network=SMALL,
    )
    first = train("ogm", recipe, data, seed=0, folder=RunFolder(tmp_path / "one"))
    again = train("ogm", recipe, data, seed=0, folder=RunFolder(tmp_path / "two"))
    untimed = {"seconds": 0.0, "processor_seconds": 0.0}
    assert replace(first, **untimed) == replace(again, **untimed)
    assert len(first.epochs) == 2
