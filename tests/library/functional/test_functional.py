"""The pure functions, against the NumPy reading and by hand."""

import math
import pickle

import numpy as np
import pytest
import torch
from torch import Tensor

from maskfusion import functional
from tests.support import oracle
from tests.support.helpers import FreshTensors, array, gradients, largest_allocation

NAN, INF = math.nan, math.inf


@pytest.mark.parametrize(
    ("gate", "weights", "expected"),
    [
        (functional.hard_gate, [-1.0, 0.0, 0.5, 0.50001, 2.0], [0, 0, 0, 1, 1]),
        (functional.hard_gate, [NAN, INF, -INF], [0, 1, 0]),
        (functional.soft_gate, [-1.0, 0.0, 0.5, 2.0], [-1.0, 0.0, 0.5, 2.0]),
        (functional.ternary_gate, [-2.0, 0.0, 0.4, 2.0, NAN], [-1, 0, 0, 1, 0]),
    ],
)
def test_gates_by_hand(gate, weights, expected) -> None:
    weight = torch.tensor(weights, requires_grad=True)
    values = gate(weight, 0.5)
    assert values.tolist() == expected
    slope = torch.arange(1.0, len(weights) + 1)
    (values * slope).sum().backward()
    finite = weight.detach().isfinite()
    assert torch.equal(weight.grad[finite], slope[finite]), (
        "the gradient passes as it is, for closed channels too"
    )
    assert bool(weight.grad.isfinite().all())


def test_hard_gate_is_exactly_zero_or_one() -> None:
    values = functional.hard_gate(torch.randn(10_000) * 10.0 ** torch.randint(-6, 7, (10_000,)), 0.05)
    assert set(values.tolist()) == {0.0, 1.0}


def test_weight_at_threshold_is_closed() -> None:
    assert functional.hard_gate(torch.full((3,), 0.05), 0.05).tolist() == [0, 0, 0]


@pytest.mark.parametrize("training", [True, False])
def test_random_gate(training: bool) -> None:
    weight = torch.full((4000,), -5.0)
    values = functional.random_gate(0.25)(weight, 0.05, training)
    if not training:
        assert torch.equal(values, torch.ones(4000))
        return
    assert torch.allclose(values.unique(), torch.tensor([0.0, 4 / 3]))
    assert float(values.mean()) == pytest.approx(1.0, abs=0.05)


def test_random_gate_the_published_way() -> None:
    gate = functional.random_gate(0.5, rescale=False, always=True)
    values = gate(torch.ones(1000), 0.05, False)
    assert values.unique().tolist() == [0.0, 1.0]
    assert 0.4 < float(values.mean()) < 0.6


def test_random_gate_draws_from_torch() -> None:
    gate = functional.random_gate(0.5)
    draws = []
    for seed in (1, 2, 1):
        torch.manual_seed(seed)
        draws.append(gate(torch.ones(64), 0.05, True))
    assert torch.equal(draws[0], draws[2])
    assert not torch.equal(draws[0], draws[1])


@pytest.mark.parametrize(
    "gate",
    [
        functional.hard_gate,
        functional.soft_gate,
        functional.ternary_gate,
        functional.random_gate(0.3, rescale=False, always=True),
    ],
)
def test_gates_pickle(gate) -> None:
    copy = pickle.loads(pickle.dumps(gate))
    outputs = []
    for each in (gate, copy):
        torch.manual_seed(3)
        outputs.append(each(torch.randn(50), 0.05, False))
    assert torch.equal(*outputs)


LAYOUTS = [
    ((3, 4), 1),
    ((3, 4, 5), 1),
    ((2, 4, 3, 5), 1),
    ((2, 4, 2, 3, 2), 1),
    ((2, 7, 4), -1),
    ((2, 3, 4, 5), 2),
]


@pytest.mark.parametrize(("shape", "channel_dim"), LAYOUTS)
def test_apply_gate(shape: tuple[int, ...], channel_dim: int) -> None:
    features = torch.randn(shape, dtype=torch.float64)
    omega = torch.tensor([0.1, -0.2, 0.3, 0.01], dtype=torch.float64)
    actual = functional.apply_gate(features, functional.hard_gate(omega, 0.05), channel_dim)
    np.testing.assert_array_equal(
        array(actual), oracle.masked(array(features), array(omega), 0.05, channel_dim)
    )


def plain_product(features: Tensor, gate: Tensor, channel_dim: int) -> Tensor:
    shape = [1] * features.ndim
    shape[channel_dim] = -1
    return features * gate.reshape(shape)


@pytest.mark.parametrize(("shape", "channel_dim"), LAYOUTS)
def test_gradients_of_apply_gate(shape: tuple[int, ...], channel_dim: int) -> None:
    features = torch.randn(shape, dtype=torch.float64, requires_grad=True)
    gate = torch.tensor([1.0, 0.0, -0.5, 0.0], dtype=torch.float64, requires_grad=True)
    actual = gradients(lambda x, g: functional.apply_gate(x, g, channel_dim), features, gate)
    expected = gradients(lambda x, g: plain_product(x, g, channel_dim), features, gate)
    torch.testing.assert_close(actual, expected)
    assert bool((expected[1] != 0).all()), "closed channels have a gradient to lose"
    assert torch.autograd.gradcheck(lambda x, g: functional.apply_gate(x, g, channel_dim), (features, gate))
    assert torch.autograd.gradgradcheck(
        lambda x, g: functional.apply_gate(x, g, channel_dim), (features, gate)
    )


@pytest.mark.parametrize("needs", ["both", "gate", "features"])
@pytest.mark.parametrize(
    ("shape", "channel_dim"),
    [
        ((150_000, 4), 1),
        ((37, 4, 5000), 1),
        ((8, 4, 128, 160), 1),
        ((3, 50_000, 4), -1),
        ((2, 300, 4, 300), 2),
    ],
)
def test_backward_holds_no_full_product(shape: tuple[int, ...], channel_dim: int, needs: str) -> None:
    features = torch.randn(shape).requires_grad_(needs != "gate")
    gate = torch.ones(4).requires_grad_(needs != "features")
    gradient = torch.randn(shape)
    with FreshTensors(features.numel()) as counter:
        output = functional.apply_gate(features, gate, channel_dim)
    assert len(counter.seen) == 1, "the output and nothing else"
    with FreshTensors(features.numel()) as counter:
        output.backward(gradient)
    assert len(counter.seen) == (needs != "gate"), counter.seen
    if needs != "features":
        expected = (features.detach() * gradient).movedim(channel_dim, 0).flatten(1).sum(1)
        torch.testing.assert_close(gate.grad, expected, rtol=1e-3, atol=1e-2)


def test_gate_gradient_keeps_float32_for_half_features() -> None:
    features = torch.randn(64, 4, 32).bfloat16().requires_grad_()
    gate = torch.ones(4, requires_grad=True)
    output = functional.apply_gate(features, gate)
    output.float().sum().backward()
    assert output.dtype == features.grad.dtype == torch.bfloat16
    assert gate.grad.dtype == torch.float32
    torch.testing.assert_close(gate.grad, features.detach().float().sum((0, 2)), rtol=2e-2, atol=0.3)


@pytest.mark.parametrize(
    ("count", "codes", "dim"),
    [(1, 1, 1), (7, 3, 2), (3000, 16, 3), (9, 512, 8), (200, 2047, 4), (200, 2049, 4), (300, 5000, 3)],
)
def test_nearest_code(count: int, codes: int, dim: int) -> None:
    vectors, codebook = torch.randn(count, dim), torch.randn(codes, dim)
    indices = functional.nearest_code(vectors, codebook)
    assert indices.dtype == torch.int64
    np.testing.assert_array_equal(indices.numpy(), oracle.nearest(array(vectors), array(codebook)))


def test_nearest_code_does_not_depend_on_the_chunk() -> None:
    vectors, codebook = torch.randn(5000, 4), torch.randn(17, 4)
    whole = functional.nearest_code(vectors, codebook)
    parts = [functional.nearest_code(part, codebook) for part in vectors.split(313)]
    assert torch.equal(whole, torch.cat(parts))


def test_nearest_code_never_holds_every_distance() -> None:
    vectors, codebook = torch.randn(20_000, 2), torch.randn(64, 2)
    vectors, codebook = vectors.repeat(4, 1), codebook.repeat(4, 1)
    assert largest_allocation(lambda: functional.nearest_code(vectors, codebook)) < 80_000 * 256 * 4 // 4


@pytest.mark.parametrize("offset", [0.0, 1000.0, -30_000.0])
def test_nearest_code_far_from_the_origin(offset: float) -> None:
    vectors, codebook = torch.randn(400, 8) + offset, torch.randn(32, 8) + offset
    indices = functional.nearest_code(vectors, codebook)
    np.testing.assert_array_equal(indices.numpy(), oracle.nearest(array(vectors), array(codebook)))


def test_nearest_code_by_hand() -> None:
    codebook = torch.tensor([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0]])
    vectors = torch.tensor([[1.0, 1.0], [9.0, 1.0], [1.0, 8.0], [6.0, 0.0]])
    assert functional.nearest_code(vectors, codebook).tolist() == [0, 1, 2, 1]


@pytest.mark.parametrize("scale", [1e-4, 1.0, 1e4])
def test_straight_through(scale: float) -> None:
    z = (torch.randn(40, 3) * scale).requires_grad_()
    codes = torch.randn(40, 3)
    output = functional.straight_through(z, codes)
    assert torch.equal(output, codes), "the codes themselves, not z + (codes - z)"
    weights = torch.randn(40, 3)
    (output * weights).sum().backward()
    assert torch.equal(z.grad, weights)


@pytest.mark.parametrize(
    ("penalty", "expected", "slope"),
    [
        (functional.signed_sum, 0.5, [1, 1, 1, 1]),
        (functional.absolute_sum, 6.5, [1, -1, 1, 1]),
        (functional.positive_sum, 3.5, [1, 0, 1, 1]),
    ],
)
def test_penalties_by_hand(penalty, expected: float, slope: list[float]) -> None:
    weight = torch.tensor([1.0, -3.0, 2.0, 0.5], requires_grad=True)
    value = penalty(weight)
    assert value.ndim == 0
    assert value.item() == expected
    value.backward()
    assert weight.grad.tolist() == slope


def test_mask_penalty_adds_masks_up() -> None:
    first, second = torch.randn(6), torch.randn(3)
    assert functional.mask_penalty(first).item() == pytest.approx(oracle.penalty(array(first)), abs=1e-5)
    both = functional.mask_penalty([first, second], functional.absolute_sum)
    assert both.ndim == 0
    expected = oracle.penalty(np.abs(array(first))) + oracle.penalty(np.abs(array(second)))
    assert both.item() == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize(
    ("kept", "percent"), [([True], 100), ([False, False], 0), ([True, False, False, False], 25)]
)
def test_kept_ratio(kept: list[bool], percent: float) -> None:
    value = functional.kept_ratio(torch.tensor(kept))
    assert value.ndim == 0
    assert value.item() == percent


@pytest.mark.parametrize(
    ("shares", "expected"),
    [
        ([13.28, 13.28], 1.0),
        ([5.0, 20.0], 0.25),
        ([20.0, 5.0, 10.0], 0.25),
        ([0.0, 3.0], 0.0),
        ([0.0, 0.0], NAN),
        ([50.0], NAN),
        ([], NAN),
    ],
)
@pytest.mark.parametrize("kind", [list, torch.tensor])
def test_complementarity(shares: list[float], expected: float, kind) -> None:
    value = functional.complementarity(kind(shares))
    assert value.ndim == 0
    assert value.item() == pytest.approx(expected, nan_ok=True)
    assert oracle.zeta(shares) == pytest.approx(expected, nan_ok=True)


@pytest.mark.parametrize("counts", [[1.0] * 4, [5.0, 0.0, 0.0], [3.0, 1.0, 0.0, 7.0], [0.1, 0.3], [1e6, 1e6]])
def test_perplexity(counts: list[float]) -> None:
    value = functional.perplexity(torch.tensor(counts))
    assert value.ndim == 0
    assert value.item() == pytest.approx(oracle.perplexity(counts), rel=1e-5)
