"""Gradient blending against an estimate and a step computed by hand."""

import copy
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from examples.data import load
from examples.data.contract import Modality, Samples
from examples.data.place import Place
from examples.errors import UserError
from examples.methods import create
from examples.methods.gradient_blending import GradientBlending
from examples.nets.model import FusionModel
from examples.recipes import LossWeights, Network, Recipe, Row
from examples.run.folder import RunFolder
from examples.run.task import FusionTask
from examples.run.training import train

SMALL = Network(
    width=8, residual_width=4, residual_blocks=1, latent=6, codes=5, head_width=4, head_hidden=8, dropout=0.0
)
SHAPES = {"v": Modality("vector", (5,)), "i": Modality("image", (1, 8, 8)), "w": Modality("vector", (3,))}


def network(count: int = 2, *, quantise: bool = False) -> FusionModel:
    return FusionModel({name: SHAPES[name] for name in list(SHAPES)[:count]}, 3, SMALL, quantise=quantise)


def samples(count: int = 2, size: int = 12) -> Samples:
    inputs = {name: torch.randn(size, *SHAPES[name].shape) for name in list(SHAPES)[:count]}
    return Samples(inputs, torch.arange(size) % 3)


def losses(model: FusionModel, data: Samples) -> Tensor:
    """The mean cross entropies, joint one last."""
    model.eval()
    batch = data.everything()
    with torch.no_grad():
        output = model(batch.inputs)
    model.train()
    scores = [*output.unimodal.values(), output.prediction]
    return torch.stack([cross_entropy(each, batch.target) for each in scores])


def test_weights_by_hand():
    before = torch.tensor([[2.0, 2.0, 2.0], [2.1, 2.1, 2.1]])
    after = torch.tensor([[1.5, 0.5, 1.9], [1.8, 1.1, 2.2]])
    # gains .3, 1.0 and -.1 -> .01; overfitting .2, .5 and .2
    raw = [0.3 / 0.04, 1.0 / 0.25, 0.01 / 0.04]
    expected = torch.tensor(raw) / sum(raw)
    torch.testing.assert_close(GradientBlending(smallest=0.01).weights(before, after), expected)
    raw = [1.8 / 0.09, 1.1 / 0.36, 2.2 / 0.09]
    expected = torch.tensor(raw) / sum(raw)
    torch.testing.assert_close(GradientBlending(gain="level").weights(before, after), expected)
    same = GradientBlending().weights(before, before)  # nothing happened: no loss is better
    torch.testing.assert_close(same, torch.full((3,), 1 / 3))


@pytest.mark.parametrize("count", [2, 3])
def test_estimate_by_hand(count: int):
    """Every loss alone, from the same weights: one full batch of SGD, one copy a loss."""
    model, data = network(count), samples(count)
    method = GradientBlending(
        super_epoch=1, held_out=0.25, optimizer="sgd", learning_rate=0.05, batch_size=9, smallest=1e-6
    )
    method.configure(model)
    start = copy.deepcopy(model.state_dict())
    learnt, held = method.parts(data)
    assert (len(learnt), len(held)) == (9, 3)
    gains, overfitting = [], []
    before = losses(model, learnt), losses(model, held)
    for index in range(count + 1):
        alone, batch = copy.deepcopy(model), learnt.everything()
        output = alone(batch.inputs)
        scores = [*output.unimodal.values(), output.prediction][index]
        weights = [weight for weight in alone.parameters() if weight.requires_grad]
        loss = cross_entropy(scores, batch.target)
        gradients = torch.autograd.grad(loss, weights, allow_unused=True)
        with torch.no_grad():
            for weight, gradient in zip(weights, gradients, strict=True):
                if gradient is not None:
                    weight.sub_(0.05 * gradient)
        after = losses(alone, learnt)[index], losses(alone, held)[index]
        gains.append(max(before[1][index] - after[1], torch.tensor(1e-6)))
        change = (after[1] - after[0]) - (before[1][index] - before[0][index])
        overfitting.append(max(abs(change), torch.tensor(1e-6)))
    raw = torch.stack(gains) / torch.stack(overfitting) ** 2
    method.train_start(model, data)
    torch.testing.assert_close(model.get_buffer("blend"), raw / raw.sum(), rtol=1e-3, atol=1e-5)
    for key, value in model.state_dict().items():
        assert key == "blend" or (value == start[key]).all(), key


def test_a_step_by_hand():
    model, data = network(quantise=True), samples()
    method = GradientBlending()
    method.configure(model)
    assert model.get_buffer("blend").tolist() == pytest.approx([1 / 3] * 3)
    model.get_buffer("blend").copy_(torch.tensor([0.2, 0.3, 0.5]))
    batch = data.everything()
    output = model(batch.inputs)
    terms = method.loss(LossWeights(reconstruction=2.0, code=3.0))(model, output, batch)
    parts = [cross_entropy(scores, batch.target) for scores in (*output.unimodal.values(), output.prediction)]
    blend = 0.2 * parts[0] + 0.3 * parts[1] + 0.5 * parts[2]
    torch.testing.assert_close(terms.total, blend + 2 * terms.reconstruction + 3 * terms.code)
    torch.testing.assert_close(terms.task, parts[2])


def test_the_held_out_samples_are_never_learnt_from():
    data = Samples({"v": torch.arange(20.0)[:, None]}, torch.arange(20), {"speaker": torch.arange(20)})
    method = GradientBlending(held_out=0.3)
    learnt, held = method.parts(data)
    assert sorted([*learnt.target.tolist(), *held.target.tolist()]) == list(range(20))
    assert len(held) == 6
    for part in (learnt, held):
        batch = part.everything()
        assert batch.inputs["v"][:, 0].tolist() == batch.target.tolist() == part.labels["speaker"].tolist()
    assert method.learns_from(data).target.tolist() == learnt.target.tolist()
    with pytest.raises(UserError, match=r"`train` \(=1 samples\) must have at least two"):
        method.parts(data.part(torch.tensor([0])))


@pytest.mark.parametrize(("estimate", "times"), [("online", [0, 2, 4]), ("offline", [0])])
def test_when_it_is_estimated(monkeypatch: pytest.MonkeyPatch, estimate: str, times: list[int]):
    seen: list[int] = []

    def note(_: GradientBlending, model: FusionModel, train: Samples) -> None:
        assert len(train) == 12
        seen.append(int(model.get_buffer("blend_epochs")))

    monkeypatch.setattr(GradientBlending, "_estimate", note)
    method, model, data = GradientBlending(estimate=estimate, super_epoch=2), network(), samples()
    method.configure(model)
    method.train_start(model, data)
    for _ in range(5):
        method.epoch_end(model, data)
    assert seen == times


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"estimate": "never"}, r"`estimate` \(='never'\) must be 'online' or 'offline'"),
        ({"super_epoch": 0}, r"`super_epoch` \(=0\) must be above 0"),
        ({"smallest": 0.0}, r"`smallest` \(=0.0\) must be above 0"),
        ({"held_out": 1.0}, r"`held_out` \(=1.0\) must be below 1"),
    ],
)
def test_impossible_arguments(arguments: dict[str, object], message: str):
    with pytest.raises(UserError, match=message):
        create("gradient_blending", arguments)


@pytest.mark.parametrize("modalities", [2, 3])
def test_trains_and_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, modalities: int):
    sizes = {"modalities": modalities, "unique": 0.1, "bits": 2, "features": 8}
    data = load("synthetic", Place(tmp_path), seed=0, options={**sizes, "train": 32, "test": 16})
    arguments = {"super_epoch": 1, "held_out": 0.25, "batch_size": 8}
    recipe = Recipe(
        data="synthetic",
        comparison={"blend": Row("gradient_blending", arguments=arguments)},
        epochs=2,
        batch_size=8,
        schedule="constant",
        network=SMALL,
    )
    blends: list[list[float]] = []
    steps: list[int] = []
    before = FusionTask.training_step

    def step(task: FusionTask, batch: object, batch_idx: int) -> Tensor:
        blends.append(task.model.get_buffer("blend").tolist())
        steps.append(batch_idx)
        return before(task, batch, batch_idx)

    monkeypatch.setattr(FusionTask, "training_step", step)
    first = train("blend", recipe, data, seed=0, folder=RunFolder(tmp_path / "one"))
    assert steps == [0, 1, 2] * 2  # 24 samples of 32
    assert blends[0] == blends[2] != [pytest.approx(1 / (modalities + 1))] * (modalities + 1)
    assert blends[0] != blends[3]
    assert sum(blends[3]) == pytest.approx(1)
    train("blend", replace(recipe, epochs=1), data, seed=0, folder=RunFolder(tmp_path / "two"))
    again = train("blend", recipe, data, seed=0, folder=RunFolder(tmp_path / "two"))
    untimed = {"seconds": 0.0, "processor_seconds": 0.0}
    assert replace(again, **untimed) == replace(first, **untimed)
