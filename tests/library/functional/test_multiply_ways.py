"""The multiply of the mask under transforms, tracers and forward mode, for few features and for many."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, fx, nn

import maskfusion as mf
from maskfusion import functional
from maskfusion.functional import multiply
from tests.support.helpers import FreshTensors, gradients, set_weight

pytestmark = [
    pytest.mark.filterwarnings("ignore:`torch.jit.* is deprecated:DeprecationWarning"),
    pytest.mark.filterwarnings(
        "ignore::torch.jit.TracerWarning"
    ),  # sizes are looked at while a program is traced
]


@pytest.fixture(params=[1 << 18, 1], ids=["few", "many"])
def block(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """Whether features are few for the block, so that autograd multiplies, or many, so that we do."""
    monkeypatch.setattr(multiply, "BLOCK", request.param)
    return request.param


def drawn() -> tuple[Tensor, Tensor]:
    features = torch.randn(3, 4, 5, dtype=torch.float64, requires_grad=True)
    return features, torch.tensor([1.0, 0.0, -0.5, 2.0], dtype=torch.float64, requires_grad=True)


@pytest.mark.usefixtures("block")
def test_gradients_of_gradients() -> None:
    features, gate = drawn()
    expected = gradients(lambda x, g: x * g[:, None], features, gate)
    torch.testing.assert_close(gradients(functional.apply_gate, features, gate), expected)
    assert torch.autograd.gradcheck(functional.apply_gate, (features, gate), check_forward_ad=True)
    assert torch.autograd.gradgradcheck(functional.apply_gate, (features, gate))


def test_which_are_few(block: int) -> None:
    features, gate = drawn()
    with FreshTensors(features.numel()) as counter:
        gated = functional.apply_gate(features, gate)
    assert len(counter.seen) == 1
    assert (type(gated.grad_fn).__name__ == "MulBackward0") == (block > 1)
    half = functional.apply_gate(features.half(), gate)
    assert type(half.grad_fn).__name__ != "MulBackward0", "of half precision the sums are float32"


@pytest.mark.usefixtures("block")
def test_transforms() -> None:
    features, gate = (each.detach() for each in drawn())

    def loss(gate: Tensor, features: Tensor) -> Tensor:
        return functional.apply_gate(features, gate).pow(3).sum()

    each = torch.func.vmap(torch.func.grad(loss), (None, 0))(gate, features[:, None])
    torch.testing.assert_close(each.sum(0), torch.func.grad(loss)(gate, features))
    _, tangent = torch.func.jvp(lambda g: loss(g, features), (gate,), (torch.ones_like(gate),))
    torch.testing.assert_close(tangent, torch.func.grad(loss)(gate, features).sum())
    cubes = (6 * gate * features.pow(3).sum((0, 2))).diag()
    torch.testing.assert_close(torch.func.hessian(loss)(gate, features), cubes)
    rows = torch.func.jacfwd(lambda g: functional.apply_gate(features, g))(gate)
    torch.testing.assert_close(rows.sum(-1), features)


@pytest.mark.usefixtures("block")
def test_through_the_mask() -> None:
    mask = set_weight(mf.ComplementaryMask([2, 2]), [0.2, -1.0, 0.2, 0.2])
    x = torch.randn(3, 4, 5)

    def loss(weight: Tensor, x: Tensor) -> Tensor:
        return torch.func.functional_call(mask, {"weight": weight}, (x,)).square().sum()

    weight = mask.weight.detach()
    expected = torch.autograd.grad(loss(mask.weight, x), mask.weight)[0]
    torch.testing.assert_close(torch.func.grad(loss)(weight, x), expected)
    torch.testing.assert_close(torch.func.jacfwd(loss)(weight, x), expected)
    torch.testing.assert_close(torch.func.hessian(loss)(weight, x), 2 * x.square().sum((0, 2)).diag())
    with torch.autograd.forward_ad.dual_level():
        dual = loss(torch.autograd.forward_ad.make_dual(weight, torch.ones(4)), x)
        torch.testing.assert_close(torch.autograd.forward_ad.unpack_dual(dual).tangent, expected.sum())


@pytest.mark.unchecked
@pytest.mark.usefixtures("block")
def test_a_traced_program_is_saved_and_loaded(tmp_path: Path) -> None:
    mask = set_weight(mf.ComplementaryMask([2, 2]), [0.2, -1.0, 0.2, 0.2])
    x = torch.randn(3, 4, 5)
    torch.jit.trace(mask, x).save(str(tmp_path / "mask.pt"))
    loaded = torch.jit.load(str(tmp_path / "mask.pt"))
    assert torch.equal(loaded(x[:2]), mask(x[:2]))
    loaded(x).sum().backward()
    torch.testing.assert_close(loaded.weight.grad, x.sum((0, 2)))


class Gated(nn.Module):
    """The arithmetic of a mask alone."""

    def __init__(self, channel_dim: int) -> None:
        super().__init__()
        self.channel_dim = channel_dim
        self.weight = nn.Parameter(torch.tensor([0.2, -1.0, 0.2, 0.2]))

    def forward(self, x: Tensor) -> Tensor:
        return functional.apply_gate(x, functional.hard_gate(self.weight, 0.05), self.channel_dim)


@pytest.mark.unchecked
@pytest.mark.usefixtures("block")
@pytest.mark.parametrize("channel_dim", [1, -2])
def test_a_symbolic_trace(channel_dim: int) -> None:
    module, x = Gated(channel_dim), torch.randn(3, 4, 5)
    traced = fx.symbolic_trace(module)
    assert torch.equal(traced(x), module(x))
    traced(x).sum().backward()
    torch.testing.assert_close(module.weight.grad, x.sum((0, 2)))
    with pytest.raises(ValueError, match="`features` of shape"):
        traced(torch.randn(3, 5, 4))
