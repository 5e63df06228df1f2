"""PMR against steps computed by hand."""

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from examples.data import load
from examples.data.contract import Batch, Modality, Samples
from examples.data.place import Place
from examples.errors import UserError
from examples.methods import create
from examples.methods.pmr import PMR, Prototypes, prototypes_of
from examples.nets.model import FusionModel
from examples.recipes import LossWeights, Network, Recipe, Row
from examples.run.folder import RunFolder
from examples.run.training import train

SMALL = Network(width=8, residual_width=4, residual_blocks=1, latent=6, codes=5, head_width=4, head_hidden=8)
SHAPES = {"v": Modality("vector", (5,)), "i": Modality("image", (1, 8, 8)), "w": Modality("vector", (3,))}


def network(count: int = 2) -> FusionModel:
    names = list(SHAPES)[:count]
    return FusionModel({name: SHAPES[name] for name in names}, 3, SMALL, quantise=False)


def samples(count: int = 2, size: int = 7) -> Samples:
    inputs = {name: torch.randn(size, *SHAPES[name].shape) for name in list(SHAPES)[:count]}
    return Samples(inputs, torch.arange(size) % 3)


@pytest.mark.parametrize("count", [2, 3])
@pytest.mark.parametrize("coefficients", ["paper", "code"])
def test_a_step_by_hand(count: int, coefficients: str):
    model, data = network(count), samples(count)
    method = PMR(alpha=2.0, entropy=0.1, entropy_epochs=1, share=1.0, coefficients=coefficients)
    method.configure(model)
    method.train_start(model, data)
    batch = data.everything()
    model.eval()
    output = model(batch.inputs)
    terms = method.loss(LossWeights())(model, output, batch)
    scores, losses, entropies = [], [], []
    for name in model.channels:
        z = output.features[name].detach().flatten(2).mean(dim=2)
        centres = [z[batch.target == k].mean(dim=0) for k in range(3)]
        score = loss = entropy = 0.0
        for index in range(7):
            near = [math.exp(-float((z[index] - centre).pow(2).sum().sqrt())) for centre in centres]
            odds = [value / sum(near) for value in near]
            right = odds[int(batch.target[index])]
            score += right
            loss -= math.log(right) / 7
            entropy -= sum(p * math.log(p) for p in odds) / 7
        scores.append(score)
        losses.append(loss)
        entropies.append(entropy)
    extra = 0.0
    for index in range(count):
        behind = min(max(scores) / scores[index] - 1, 1)
        if coefficients == "code":
            behind = float(scores[index] < max(scores))
        ahead = min(scores[index] / min(scores) - 1, 1)
        extra += 2 * behind * losses[index] - 0.1 * ahead * entropies[index]
    assert abs(extra) > 1e-4
    torch.testing.assert_close(terms.total - terms.task, torch.tensor(extra), atol=1e-5, rtol=1e-4)
    terms.total.backward()
    assert all(weight.grad.isfinite().all() for weight in model.encoders.parameters())


def test_published_coefficients_of_two_modalities():
    """Rho is the first over the second: below 1 the first gets a loss and the second an entropy."""
    behind, ahead = PMR().weights(torch.tensor([2.0, 3.0]))
    torch.testing.assert_close(behind, torch.tensor([1 / (2 / 3) - 1, 0]))
    torch.testing.assert_close(ahead, torch.tensor([0, 1 / (2 / 3) - 1]))
    behind, ahead = PMR().weights(torch.tensor([5.0, 2.0]))
    assert behind.tolist() == [0, 1]
    assert ahead.tolist() == [1, 0]
    assert PMR(coefficients="code").weights(torch.tensor([2.0, 2.0]))[0].tolist() == [0, 0]


def test_prototypes_move_by_momentum_and_new_ones_jump():
    prototypes = Prototypes({"v": 2}, 3)
    first = torch.tensor([[1.0, 2.0], [3.0, 4.0], [9.0, 9.0]])
    prototypes.update({"v": first}, torch.tensor([4, 1, 0]), momentum=0.2)
    assert prototypes.points("v").tolist() == [[1, 2], [3, 4], [0, 0]]
    assert prototypes.seen.tolist() == [True, True, False]
    prototypes.update({"v": first + 1}, torch.tensor([4, 0, 5]), momentum=0.2)
    torch.testing.assert_close(
        prototypes.points("v"), torch.tensor([[0.2 * 1 + 0.8 * 2, 0.2 * 2 + 0.8 * 3], [3, 4], [10, 10]])
    )


def test_the_first_epoch_forgets_the_prototypes_of_the_untrained_network():
    model, data = network(), samples(size=20)
    method = PMR(momentum=0.5, share=1.0)
    method.configure(model)
    method.train_start(model, data)
    seen = [prototypes_of(model).points("v").clone()]
    means = []
    for _ in range(2):
        with torch.no_grad():
            for weight in model.encoders.parameters():
                weight.mul_(2)
        method.epoch_end(model, data)
        seen.append(prototypes_of(model).points("v").clone())
        means.append(method._means(model, data)[0]["v"])
    assert not torch.allclose(seen[0], means[0])
    torch.testing.assert_close(seen[1], means[0])
    torch.testing.assert_close(seen[2], (means[0] + means[1]) / 2)


def test_classes_without_a_prototype_do_not_count():
    prototypes = Prototypes({"v": 2}, 3)
    z = torch.tensor([[3.0, 4.0], [0.0, 0.0], [1.0, 1.0]], requires_grad=True)
    nothing = prototypes.measure("v", z, torch.tensor([0, 1, 2]))
    assert nothing.score == nothing.loss == 0
    points = torch.tensor([[0.0, 0.0], [6.0, 8.0], [0.0, 0.0]])
    prototypes.update({"v": points}, torch.tensor([1, 1, 0]), momentum=0.0)
    measure = prototypes.measure("v", z, torch.tensor([0, 1, 2]))
    far = math.exp(-10) / (1 + math.exp(-10))  # of the second sample; the first is 5 from either
    assert measure.loss.item() == pytest.approx((math.log(2) - math.log(far)) / 2, rel=1e-5)
    assert measure.score.item() == pytest.approx(0.5 + far, rel=1e-5)
    (measure.loss + measure.entropy).backward()
    assert z.grad is not None
    assert z.grad.isfinite().all()


def test_only_in_the_first_epochs_and_from_a_fixed_share():
    model, data = network(), samples(size=20)
    method = PMR(prototype_epochs=1, entropy_epochs=2, share=0.3)
    method.configure(model)
    batch: Batch = data.everything()

    def extra(method: PMR) -> float:
        terms = method.loss(LossWeights())(model, output, batch)
        return (terms.total - terms.task).item()

    method.train_start(model, data)
    first = prototypes_of(model).points("v").clone()
    model.eval()
    output = model(batch.inputs)
    both, no_entropy = extra(method), extra(replace(method, entropy_epochs=0))
    assert both < no_entropy
    assert no_entropy > 0
    model.train()
    method.epoch_end(model, data)
    assert model.training
    torch.testing.assert_close(
        prototypes_of(model).points("v"), first
    )  # nothing was learnt: the same samples
    assert extra(method) == pytest.approx(both - no_entropy, abs=1e-5)
    method.epoch_end(model, data)
    assert extra(method) == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"alpha": -1.0}, r"`alpha` \(=-1.0\) must be at least 0"),
        ({"momentum": 1.0}, r"`momentum` \(=1.0\) must be below 1"),
        ({"share": 0.0}, r"`share` \(=0.0\) must be above 0"),
        ({"coefficients": "mine"}, r"`coefficients` \(='mine'\) must be 'paper' or 'code'"),
    ],
)
def test_impossible_arguments(arguments: dict[str, object], message: str):
    with pytest.raises(UserError, match=message):
        create("pmr", arguments)


def test_one_modality_and_segmentation_are_refused():
    with pytest.raises(UserError, match=r"`modalities` \(=\['v'\]\) must be at least two"):
        PMR().configure(network(1))
    images = {name: Modality("image", (1, 8, 8)) for name in "ab"}
    with pytest.raises(UserError, match="`task` must be classification for method 'pmr'"):
        PMR().configure(FusionModel(images, 3, SMALL, quantise=False, target_shape=(8, 8)))


@pytest.mark.parametrize("modalities", [2, 3])
def test_trains(tmp_path: Path, modalities: int):
    sizes = {"modalities": modalities, "unique": 0.1, "bits": 2, "features": 8}
    data = load("synthetic", Place(tmp_path), seed=0, options={**sizes, "train": 32, "test": 16})
    recipe = Recipe(
        data="synthetic",
        comparison={"pmr": Row("pmr", arguments={"share": 0.5, "momentum": 0.2})},
        epochs=2,
        batch_size=8,
        schedule="constant",
        network=SMALL,
    )
    first = train("pmr", recipe, data, seed=0, folder=RunFolder(tmp_path / "one"))
    assert all(record.loss["total"] > 0 for record in first.epochs)
    train("pmr", replace(recipe, epochs=1), data, seed=0, folder=RunFolder(tmp_path / "two"))
    again = train("pmr", recipe, data, seed=0, folder=RunFolder(tmp_path / "two"))
    assert again.epochs[0] == first.epochs[0]
    assert len(again.epochs) == 2
