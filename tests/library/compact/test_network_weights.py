"""compact of networks: weights that are computed, frozen or of half precision, and those that read nothing or one channel."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812
from torch.nn.utils import parametrizations

import maskfusion as mf
from tests.support.compacting import Net, Step, conv, same
from tests.support.helpers import set_weight

pytestmark = pytest.mark.unchecked  # the exporter cannot trace checks of shapes


def test_weights_that_are_computed() -> None:
    torch.manual_seed(0)
    layers = {
        "n": parametrizations.weight_norm(nn.Conv2d(8, 8, 1)),
        "a": parametrizations.weight_norm(nn.Conv2d(8, 4, 3, padding=1)),
        "b": parametrizations.weight_norm(nn.Conv2d(8, 4, 3, bias=False)),
        "c": nn.Conv2d(8, 4, 3),
    }
    parametrizations.weight_norm(layers["c"], "bias")

    def behind(m: Any, x: Tensor) -> Tensor:
        return m.a(x.cos())[:, :, 1:-1, 1:-1] + m.b(x.cos()) + m.b(x) + m.c(x.cos())

    model = Net(behind, lambda m, x: m.n(x), layers)
    small, _ = same(model, torch.randn(4, 3, 6, 5))
    loss = small(torch.randn(4, 3, 6, 5)).square().mean()
    loss.backward()
    assert all(parameter.grad is not None for parameter in small.parameters())


@pytest.mark.parametrize(
    ("behind", "layers"),
    [
        (lambda m, x: m.a(x.cos()), {"a": conv(padding=1)}),
        (lambda m, x: F.linear(x.mean((2, 3)), m.a.weight, m.b(x).mean() * m.a.bias), {"a": nn.Linear(8, 4)}),
        (lambda m, x: m.n(x), {"n": nn.GroupNorm(2, 8)}),
    ],
)
@pytest.mark.parametrize("omega", [[0.0] * 8, [1.0] * 3 + [0.0] * 5])
def test_all_closed_or_the_last(behind: Step, layers: dict[str, nn.Module], omega: list[float]) -> None:
    torch.manual_seed(0)

    def with_image(m: Any, x: Tensor) -> Tensor:
        m.seen = x
        return x

    layers = {**layers, "b": nn.Identity()}
    layers["b"].forward = lambda x: model.seen + 0 * x
    model = Net(behind, with_image, layers)
    set_weight(model.mask, omega)
    same(model, torch.randn(4, 3, 6, 5))


def test_half_precision() -> None:
    torch.manual_seed(0)
    model = Net(lambda m, x: m.a(x.cos()), lambda _, x: x, {"a": conv(padding=1)}).bfloat16().eval()
    x = torch.randn(4, 3, 6, 5).bfloat16()
    small = mf.compact(model, x)
    assert {value.dtype for value in small.parameters()} == {torch.bfloat16}
    torch.testing.assert_close(small(x), model(x), rtol=0.05, atol=0.05)


def test_frozen_parameters_stay_frozen() -> None:
    model = Net(lambda m, x: m.a(x), lambda _, x: x, {"a": conv()})
    model.a.weight.requires_grad_(False)
    small, _ = same(model, torch.randn(4, 3, 6, 5))
    assert {key for key, value in small.network.named_parameters() if not value.requires_grad} == {"a.weight"}
