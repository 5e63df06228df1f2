"""MMPareto against gradients written out in NumPy."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from examples.data.contract import Batch
from examples.errors import UserError
from examples.methods import create
from examples.methods.mmpareto import ParetoLoss, pareto_gradient
from examples.methods.uniform_losses import WithUnimodalLosses
from examples.nets.model import FusionModel
from examples.recipes import LossWeights, Row
from maskfusion import LossTerms
from tests.examples.methods.test_methods_simple import MODALITIES, SMALL, batch, trained

X = {"a": np.array([[1.0, 2.0], [0.5, -1.0]]), "b": np.array([[2.0, -1.0], [1.0, 1.0]])}
JOINT = {"a": np.array([[1.0, -1.0], [0.5, 0.0]]), "b": np.array([[0.3, 0.2], [-1.0, 1.0]])}
OWN = {"a": np.array([[-1.0, 1.0], [0.4, 0.3]]), "b": np.array([[0.5, 0.0], [-0.5, 1.5]])}
TARGET = np.array([0, 1])
REST = 0.25
"""Weight of another loss, that of |W|^2 / 2, which must stay as it is."""


def softmax(scores: np.ndarray) -> np.ndarray:
    powers = np.exp(scores)
    return powers / powers.sum(axis=1, keepdims=True)


def encoder_gradients(name: str, scores: np.ndarray, head: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Gradient of the cross entropy of ``scores`` for weight and bias of z = x W^T + b, read by ``head``."""
    off = (softmax(scores) - np.eye(2)[TARGET]) / len(TARGET)
    into_z = off @ head.T
    return into_z.T @ X[name], into_z.sum(axis=0)


def settled(joint: tuple[np.ndarray, ...], own: tuple[np.ndarray, ...], gamma: float) -> list[np.ndarray]:
    """Read Algorithm 1 a second time: try every weight, keep that of the shortest vector."""
    g_j, g_u = (np.concatenate([part.ravel() for part in parts]) for parts in (joint, own))
    weight = 0.5
    if g_j @ g_u <= 0:
        tried = np.linspace(0, 1, 200_001)
        lengths = (
            tried**2 * (g_j @ g_j) + (1 - tried) ** 2 * (g_u @ g_u) + 2 * tried * (1 - tried) * (g_j @ g_u)
        )
        weight = tried[lengths.argmin()]
    found = []
    for j, u in zip(joint, own, strict=True):
        new = 2 * weight * j + 2 * (1 - weight) * u
        ratio = np.linalg.norm(j + u) / np.linalg.norm(new)
        found.append(gamma * new * max(ratio, 1))
    return found


def test_a_step_by_hand():
    encoders = nn.ModuleDict({name: nn.Linear(2, 2).double() for name in X})
    with torch.no_grad():
        for encoder in encoders.values():
            encoder.weight.copy_(torch.eye(2))
            encoder.bias.fill_(0.1)
    heads = {name: torch.tensor(head, requires_grad=True) for name, head in OWN.items()}
    joint_head = {name: torch.tensor(head, requires_grad=True) for name, head in JOINT.items()}
    z = {name: encoder(torch.tensor(X[name])) for name, encoder in encoders.items()}
    output = SimpleNamespace(
        prediction=sum(z[name] @ joint_head[name] for name in X),
        unimodal={name: z[name] @ heads[name] for name in X},
    )

    class Joint(nn.Module):
        def forward(self, model, output, batch) -> LossTerms:
            task = nn.functional.cross_entropy(output.prediction, batch.target)
            rest = sum(encoder.weight.square().sum() / 2 for encoder in model.encoders.values())
            return LossTerms(task + REST * rest, task, rest, task * 0, task * 0)

    data = Batch({}, torch.tensor(TARGET))
    model = SimpleNamespace(encoders=encoders)
    terms = ParetoLoss(Joint(), 1.5)(model, output, data)
    plain = WithUnimodalLosses(Joint(), 1.0)(model, output, data)
    assert terms.total.item() == plain.total.item()
    terms.total.backward()

    values = {name: X[name] + 0.1 for name in X}
    scores = sum(values[name] @ JOINT[name] for name in X)
    agree = {}
    for name, encoder in encoders.items():
        joint = encoder_gradients(name, scores, JOINT[name])
        own = encoder_gradients(name, values[name] @ OWN[name], OWN[name])
        agree[name] = sum((j * u).sum() for j, u in zip(joint, own, strict=True)) > 0
        weight, bias = settled(joint, own, gamma=1.5)
        np.testing.assert_allclose(encoder.weight.grad.numpy(), weight + REST * np.eye(2), atol=1e-4)
        np.testing.assert_allclose(encoder.bias.grad.numpy(), bias, atol=1e-4)
        for head, read, result in ((heads, OWN, values[name] @ OWN[name]), (joint_head, JOINT, scores)):
            assert read[name].shape == head[name].shape
            expected = values[name].T @ (softmax(result) - np.eye(2)[TARGET]) / 2
            np.testing.assert_allclose(head[name].grad.numpy(), expected, atol=1e-12)
    assert agree == {"a": False, "b": True}, "both cases must be seen"


def test_numbers_by_hand():
    """Two vectors in conflict, two that agree."""
    joint, unimodal = [torch.tensor([3.0, 0.0])], [torch.tensor([-1.0, 1.0])]
    # g_u - g_j = (-4, 1), its square 17, g_u . it = 5; 2 (5/17 g_j + 12/17 g_u) = (6/17, 24/17), of length
    # 6 sqrt(17) / 17 = 1.455; the plain sum (2, 1) has sqrt(5) = 2.236.
    expected = torch.tensor([1.0, 4.0]) / 17**0.5 * 5**0.5 * 2.0
    torch.testing.assert_close(pareto_gradient(joint, unimodal, 2.0), [expected])
    agreeing = [torch.tensor([1.0, 1.0])]
    torch.testing.assert_close(pareto_gradient(joint, agreeing, 2.0), [torch.tensor([8.0, 2.0])])


@pytest.mark.parametrize("sign", [0.0, -1.0])
def test_gradients_that_vanish_or_cancel_stay_finite(sign: float):
    joint = [torch.zeros(2), torch.tensor([1.0, 2.0])]
    (still, cancelled) = pareto_gradient(joint, [sign * part for part in joint], 1.5)
    assert (still == 0).all()
    assert (cancelled == 0).all()


def test_on_a_network():
    torch.manual_seed(0)
    model, data = FusionModel(MODALITIES, 3, SMALL, quantise=True), batch()
    method = create("mmpareto", {"boost": 2.0})
    method.configure(model)
    output = model(data.inputs)
    plain = WithUnimodalLosses(method.loss(LossWeights()).uniform.joint, 1.0)(model, output, data)
    weights = dict(model.named_parameters())
    names = [name for name in weights if not name.startswith("quantizers")]
    before = torch.autograd.grad(plain.total, [weights[name] for name in names], retain_graph=True)
    method.loss(LossWeights())(model, output, data).total.backward()
    for name, gradient in zip(names, before, strict=True):
        if name.startswith("encoders"):
            # A bias in front of a normalisation has next to no gradient from the heads, so it changes by very little.
            same = torch.equal if weights[name].ndim == 1 else torch.allclose
            assert not same(weights[name].grad, gradient), name
        else:
            torch.testing.assert_close(weights[name].grad, gradient, msg=name)


@pytest.mark.parametrize("modalities", [2, 3])
@pytest.mark.parametrize("quantise", [False, True])
def test_trains(tmp_path: Path, modalities: int, quantise: bool):
    run = trained(tmp_path, Row("mmpareto", quantise=quantise), modalities, gradient_clip=1.0)
    assert all(np.isfinite(value) for value in run.epochs[0].loss.values())


def test_refuses_to_stand_still():
    with pytest.raises(UserError, match=r"`boost` \(=0.0\) must be above 0"):
        create("mmpareto", {"boost": 0.0})
