"""ComplementaryMask on features that are already fused."""

import copy
import math
from collections import OrderedDict
from types import MappingProxyType

import numpy as np
import pytest
import torch

import maskfusion as mf
from tests.support import oracle
from tests.support.helpers import array, gradients, set_weight

NAN = math.nan
OMEGA = [0.2, 0.05, -3.0, 0.0501, 0.3]
KEPT = [True, False, False, True, True]


def mask_of(
    omega: list[float] = OMEGA, channels: object = MappingProxyType({"image": 2, "audio": 3}), **settings
):
    return set_weight(mf.ComplementaryMask(channels, **settings), omega)


@pytest.mark.parametrize(
    ("channels", "expected"),
    [
        (8, {"0": 4, "1": 4}),
        ([3], {"0": 3}),
        ((3, 1, 2), {"0": 3, "1": 1, "2": 2}),
        ({"image": 2, "audio": 5}, {"image": 2, "audio": 5}),
        (OrderedDict(b=1, a=2), {"b": 1, "a": 2}),
    ],
)
def test_channels(channels: object, expected: dict[str, int]) -> None:
    mask = mf.ComplementaryMask(channels)
    assert list(mask.channels.items()) == list(expected.items())
    assert mask.weight.shape == (sum(expected.values()),)
    assert mask.weight.dtype == torch.float32


def test_defaults_are_the_papers() -> None:
    mask = mf.ComplementaryMask(4)
    assert torch.equal(mask.weight, torch.full((4,), 0.1))
    assert mask.threshold == 0.05
    assert mask.gate is mf.hard_gate
    assert bool(mask.kept.all())


def test_by_hand() -> None:
    mask = mask_of()
    x = torch.arange(1.0, 6.0).reshape(1, 5)
    assert mask(x).tolist() == [[1.0, 0.0, 0.0, 4.0, 5.0]]
    assert mask.kept.tolist() == KEPT
    assert not mask.kept.requires_grad
    assert mask.penalty().item() == pytest.approx(-2.3999, abs=1e-6)
    assert mask.penalty().ndim == 0


def test_the_published_settings_and_start() -> None:
    mask = mf.ComplementaryMask(4, threshold=0.005, init=0.01)
    x = torch.randn(2, 4)
    assert torch.equal(mask(x), x)
    with torch.no_grad():
        mask.weight -= 0.006
    assert not mask(x).any()


@pytest.mark.parametrize(
    ("shape", "channel_dim"),
    [((3, 5), 1), ((3, 5), -1), ((2, 5, 4), 1), ((2, 4, 5), -1), ((2, 5, 3, 2, 2), 1)],
)
def test_forward_and_gradients(shape: tuple[int, ...], channel_dim: int) -> None:
    mask = mask_of(channel_dim=channel_dim)
    x = torch.randn(shape, requires_grad=True)
    output = mask(x)
    np.testing.assert_array_equal(array(output), oracle.masked(array(x), np.array(OMEGA), 0.05, channel_dim))
    slope = torch.randn(shape)
    output.backward(slope)
    expected = (slope * x.detach()).movedim(channel_dim, 0).flatten(1).sum(1)
    torch.testing.assert_close(mask.weight.grad, expected)
    assert bool((mask.weight.grad != 0).all()), "closed channels too"
    closed = x.grad.movedim(channel_dim, 0)[~mask.kept]
    assert torch.equal(closed, torch.zeros_like(closed))
    np.testing.assert_array_equal(
        array(x.grad), oracle.masked(array(slope), np.array(OMEGA), 0.05, channel_dim)
    )


def test_gradient_equals_the_plain_formula() -> None:
    mask = mask_of().double()
    x = torch.randn(4, 5, 3, dtype=torch.float64, requires_grad=True)
    omega = mask.weight.detach().clone().requires_grad_()
    hard = (omega > 0.05).double() + omega - omega.detach()
    expected = gradients(lambda a, b: a * b.view(-1, 1), x, hard)
    torch.testing.assert_close(gradients(lambda a, _: mask(a), x, mask.weight), expected)


def test_a_closed_channel_opens_again() -> None:
    mask = mask_of([0.04, 0.04], 2)
    x = torch.ones(8, 2)
    optimiser = torch.optim.SGD(mask.parameters(), lr=0.1)
    for _ in range(3):
        optimiser.zero_grad()
        (mask(x)[:, 0] - 1).square().mean().backward()
        optimiser.step()
    assert mask.kept.tolist() == [True, False]


@pytest.mark.parametrize(
    ("gate", "expected"),
    [
        (mf.hard_gate, [1, 0, 0, 1, 1]),
        (mf.soft_gate, [0.2, 0.05, -3.0, 0.0501, 0.3]),
        (mf.ternary_gate, [1, 0, -1, 1, 1]),
        (mf.random_gate(0.5), [1, 1, 1, 1, 1]),
        (lambda weight, threshold, _training: weight * 0 + threshold, [0.05] * 5),
    ],
)
def test_gates(gate, expected: list[float]) -> None:
    mask = mask_of(gate=gate).eval()
    torch.testing.assert_close(mask(torch.ones(1, 5)), torch.tensor([expected], dtype=torch.float32))
    assert mask.kept.tolist() == KEPT, "kept is Eq. 6, whatever the gate"


@pytest.mark.parametrize("training", [True, False])
def test_gate_is_told_about_training(training: bool) -> None:
    seen = []

    def gate(weight, threshold, training):
        seen.append((threshold, training))
        return weight

    mf.ComplementaryMask(2, threshold=0.0, gate=gate).train(training)(torch.ones(1, 2))
    assert seen == [(0.0, training)]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
@pytest.mark.parametrize("gate", [mf.hard_gate, mf.soft_gate])
def test_output_keeps_the_dtype(dtype: torch.dtype, gate) -> None:
    mask = mf.ComplementaryMask(4, gate=gate)
    x = torch.randn(2, 4, 3, dtype=dtype)
    assert mask(x).dtype == dtype
    with torch.autocast("cpu", torch.bfloat16):
        assert mask(x).dtype == dtype
    assert mask.weight.dtype == torch.float32


@pytest.mark.parametrize(
    "omega", [[-1.0] * 5, [-1.0, -1.0, 0.2, 0.2, 0.2], [NAN] * 5, [0.2, NAN, 0.2, 0.2, 0.2]]
)
def test_closed_and_nan_channels_give_finite_output(omega: list[float]) -> None:
    mask = mask_of(omega)
    x = torch.randn(3, 5, requires_grad=True)
    output = mask(x)
    is_open = torch.tensor([value > 0.05 for value in omega])
    assert torch.equal(output, torch.where(is_open, x, 0.0))
    output.sum().backward()
    assert bool(x.grad.isfinite().all())
    assert mask.kept.tolist() == is_open.tolist()


@pytest.mark.parametrize(
    ("omega", "least", "expected"),
    [
        ([-1.0, -2.0, -5.0, -3.0, -4.0], 1, [1, 0, 0, 1, 0]),
        ([-1.0, -2.0, -5.0, -3.0, -4.0], 2, [1, 1, 0, 1, 1]),
        ([0.2, 0.2, -5.0, -3.0, -4.0], 1, [1, 1, 0, 1, 0]),
        ([0.2, 0.2, 0.2, 0.2, 0.2], 1, [1, 1, 1, 1, 1]),
        ([NAN, -2.0, -1.0, NAN, 0.2], 1, [0, 1, 0, 0, 1]),
        ([-1.0, -2.0, -5.0, -3.0, -4.0], 0, [0, 0, 0, 0, 0]),
    ],
)
def test_min_channels(omega: list[float], least: int, expected: list[float]) -> None:
    mask = mask_of(omega, min_channels=least)
    x = torch.ones(2, 5)
    assert mask(x)[0].tolist() == expected
    assert mask.kept.tolist() == [bool(value) for value in expected]
    mask(x).sum().backward()
    slope = torch.tensor([0.0 if math.isnan(value) else 2.0 for value in omega])
    assert torch.equal(mask.weight.grad, slope)


def test_min_channels_never_asks_for_more_than_there_are() -> None:
    mask = mask_of([-1.0] * 5, min_channels=2)
    assert int(mask.kept.sum()) == 4


@pytest.mark.parametrize("shape", [(3, 5), (2, 5, 4), (2, 5, 3, 2)])
def test_halves_add_up_exactly(shape: tuple[int, ...]) -> None:
    mask = mask_of()
    x = torch.randn(shape) * 1e3
    assert torch.equal(mask.complementary(x) + mask.contradictory(x), x)
    np.testing.assert_array_equal(
        array(mask.complementary(x)), oracle.masked(array(x), np.array(OMEGA), 0.05, 1)
    )


@pytest.mark.parametrize(("modality", "kept"), [("image", [1, 0]), ("audio", [0, 1, 1])])
def test_halves_of_one_modality(modality: str, kept: list[int]) -> None:
    mask = mask_of()
    x = torch.randn(2, len(kept), 3)
    expected = x * torch.tensor(kept).view(-1, 1)
    assert torch.equal(mask.complementary(x, modality), expected)
    assert torch.equal(mask.contradictory(x, modality=modality), x - expected)


def test_split_gives_views() -> None:
    mask = mask_of(channel_dim=-1)
    x = torch.randn(2, 4, 5)
    parts = mask.split(x)
    assert {name: part.shape[-1] for name, part in parts.items()} == {"image": 2, "audio": 3}
    assert torch.equal(torch.cat(list(parts.values()), -1), x)
    assert all(part.untyped_storage().data_ptr() == x.untyped_storage().data_ptr() for part in parts.values())


@pytest.mark.parametrize("shift", [1, 2, -1, 4])
def test_exchange(shift: int) -> None:
    mask = mask_of()
    x = torch.arange(3.0).view(3, 1, 1).expand(3, 5, 2) + 1
    mixed = mask.exchange(x, shift=shift)
    assert torch.equal(mixed[:, mask.kept], x[:, mask.kept])
    assert torch.equal(mixed[:, ~mask.kept], x.roll(shift, 0)[:, ~mask.kept])
    assert not torch.equal(mixed[:, ~mask.kept], x[:, ~mask.kept])


def test_exchange_by_default_takes_another_sample() -> None:
    mask = mask_of()
    x = torch.randn(2, 5)
    assert torch.equal(mask.exchange(x)[0, ~mask.kept], x[1, ~mask.kept])


def test_reset_parameters() -> None:
    mask = mask_of(init=0.3)
    mask.reset_parameters()
    assert torch.equal(mask.weight, torch.full((5,), 0.3))


def test_repr_shows_live_state() -> None:
    text = repr(mask_of())
    assert "kept=1/2 image, 2/3 audio" in text
    assert "threshold=0.05" in text
    assert "kept=0/2 image, 0/3 audio" in repr(mask_of([-1.0] * 5))


def test_repr_is_a_table_where_one_line_is_too_long() -> None:
    mask = mf.ComplementaryMask({"infrared_camera": 12, "ultrasound": 3, "microphone": 128, "text": 7})
    assert repr(mask).splitlines() == [
        "ComplementaryMask(",
        "  threshold=0.05, side='output', channel_dim=1",
        "  modality         kept",
        "  infrared_camera  12/12",
        "  ultrasound       3/3",
        "  microphone       128/128",
        "  text             7/7",
        ")",
    ]


def test_omega_is_all_there_is() -> None:
    mask = mf.ComplementaryMask(4)
    assert list(mask.state_dict()) == ["weight"]
    assert [name for name, _ in mask.named_parameters()] == ["weight"]


def test_frozen_mask() -> None:
    mask = mask_of().requires_grad_(False)
    x = torch.randn(2, 5, requires_grad=True)
    mask(x).sum().backward()
    assert mask.weight.grad is None
    assert x.grad is not None


def test_reading_changes_nothing() -> None:
    mask = mask_of()
    before = copy.deepcopy(mask.state_dict())
    x = torch.randn(3, 5)
    for read in (mask.complementary, mask.contradictory, mask.split, mask.exchange):
        read(x)
    mask.penalty()
    assert torch.equal(mask.weight, before["weight"])
    assert mask.weight.grad is None
