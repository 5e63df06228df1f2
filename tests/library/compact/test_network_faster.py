"""compact of networks: batch norm goes into the layer before it, ReLU reuses memory, dropout leaves no copy."""

import copy

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations

import maskfusion as mf
from tests.support.compacting import CONVS, NORMS, Net, Step, norm, same

pytestmark = pytest.mark.unchecked  # the exporter cannot trace checks of shapes

Layers = dict[str, nn.Module]


def averaged(x: Tensor) -> Tensor:
    """Vectors of maps."""
    return x.flatten(2).mean(2)


def in_a_row(model: nn.Module, x: Tensor) -> Tensor:
    """A layer and batch norm."""
    return averaged(model.n(model.a(x)).cos())


def twice(model: nn.Module, x: Tensor) -> Tensor:
    """One layer, two batch norms."""
    return averaged(model.n(model.a(x)).cos()) + averaged(model.o(model.a(x.cos())).cos())


def both_before(model: nn.Module, x: Tensor) -> Tensor:
    """The same, both calls of the layer first."""
    one, other = model.a(x), model.a(x.cos())
    return averaged(model.n(one).cos()) + averaged(model.o(other).cos())


FOLDED: dict[str, tuple[Step, Layers]] = {
    "with a bias": (in_a_row, {"a": nn.Conv2d(8, 6, 3), "n": norm(nn.BatchNorm2d(6))}),
    "without": (in_a_row, {"a": nn.Conv2d(8, 6, 3, padding=1, bias=False), "n": norm(nn.BatchNorm2d(6))}),
    "without weight": (in_a_row, {"a": nn.Conv2d(8, 6, 3), "n": norm(nn.BatchNorm2d(6, affine=False))}),
    "each channel by itself": (in_a_row, {"a": nn.Conv2d(8, 8, 3, groups=8), "n": norm(nn.BatchNorm2d(8))}),
    "groups": (in_a_row, {"a": nn.Conv2d(8, 8, 3, groups=2), "n": norm(nn.BatchNorm2d(8))}),
    "padding by a word": (in_a_row, {"a": nn.Conv2d(8, 6, 3, padding="same"), "n": norm(nn.BatchNorm2d(6))}),
    "vectors": (
        lambda m, x: m.n(m.a(averaged(x))).cos(),
        {"a": nn.Linear(8, 6), "n": norm(nn.BatchNorm1d(6))},
    ),
    "sequences": (
        lambda m, x: averaged(m.n(m.a(x.flatten(2)))),
        {"a": nn.Conv1d(8, 6, 3), "n": norm(nn.BatchNorm1d(6))},
    ),
    "constants in the padding": (
        lambda m, x: averaged(m.n(m.a(x.cos()))),
        {"a": nn.Conv2d(8, 6, 3, padding=1), "n": norm(nn.BatchNorm2d(6))},
    ),
    "shared, two norms": (
        twice,
        {"a": nn.Conv2d(8, 6, 3), "n": norm(nn.BatchNorm2d(6)), "o": norm(nn.BatchNorm2d(6))},
    ),
    "shared, both calls before": (
        both_before,
        {"a": nn.Conv2d(8, 6, 3), "n": norm(nn.BatchNorm2d(6)), "o": norm(nn.BatchNorm2d(6))},
    ),
}
KEPT: dict[str, tuple[Step, Layers]] = {
    "read by others": (
        lambda m, x: averaged(m.n(y := m.a(x)) + y),
        {"a": nn.Conv2d(8, 6, 3), "n": norm(nn.BatchNorm2d(6))},
    ),
    "an activation between": (
        lambda m, x: averaged(m.n(m.a(x).cos())),
        {"a": nn.Conv2d(8, 6, 3), "n": norm(nn.BatchNorm2d(6))},
    ),
    "channels elsewhere": (
        lambda m, x: averaged(m.n(m.a(x.flatten(2)))),
        {"a": nn.Linear(30, 8), "n": norm(nn.BatchNorm1d(8))},
    ),
    "a computed weight": (
        in_a_row,
        {"a": parametrizations.weight_norm(nn.Conv2d(8, 6, 3)), "n": norm(nn.BatchNorm2d(6))},
    ),
    "a computed bias": (
        in_a_row,
        {"a": parametrizations.weight_norm(nn.Conv2d(8, 6, 3), "bias"), "n": norm(nn.BatchNorm2d(6))},
    ),
    "computed numbers": (
        in_a_row,
        {"a": nn.Conv2d(8, 6, 3), "n": parametrizations.weight_norm(norm(nn.BatchNorm2d(6)), dim=None)},
    ),
}


def norms_in(small: nn.Module) -> int:
    """How many batch norms are left."""
    return sum(node.target is torch.ops.aten.batch_norm.default for node in small.network.graph.nodes)


@pytest.mark.parametrize("case", FOLDED)
def test_the_layer_before_takes_it_over(case: str) -> None:
    torch.manual_seed(0)
    behind, layers = FOLDED[case]
    small, shapes = same(Net(behind, lambda _, x: x, layers), torch.randn(4, 3, 6, 5))
    assert norms_in(small) == 0
    assert not any(name.startswith(("n.", "o.")) for name in shapes)
    assert any(name.startswith("a.bias") for name in shapes)
    small(torch.randn(4, 3, 6, 5)).square().mean().backward()
    assert all(parameter.grad is not None for parameter in small.parameters())


@pytest.mark.parametrize("case", KEPT)
def test_it_stays(case: str) -> None:
    torch.manual_seed(0)
    behind, layers = KEPT[case]
    small, _ = same(Net(behind, lambda _, x: x, layers), torch.randn(4, 3, 6, 5))
    assert norms_in(small) == 1


@pytest.mark.parametrize("rank", CONVS)
def test_before_the_mask_with_closed_outputs(rank: int) -> None:
    torch.manual_seed(0)
    encoder = nn.Sequential(CONVS[rank](3, 8, 1, bias=False), norm(NORMS[rank](8)), nn.ReLU())
    model = Net(lambda m, x: m.a(averaged(x)), lambda _, x: x, {"a": nn.Linear(8, 4)})
    model.encoder = encoder
    small, shapes = same(model, torch.randn(4, 3, *(6, 5, 4)[:rank]))
    assert norms_in(small) == 0
    assert shapes["encoder.0.weight"][0] == shapes["encoder.0.bias"][0] == 3
    frozen = copy.deepcopy(model).requires_grad_(False)
    small, _ = same(frozen, torch.randn(4, 3, *(6, 5, 4)[:rank]))
    assert not any(parameter.requires_grad for parameter in small.parameters())


def test_before_the_mask_with_groups_that_compute_closed_outputs_too() -> None:
    torch.manual_seed(0)
    model = Net(lambda m, x: m.a(averaged(x)), lambda _, x: x, {"a": nn.Linear(8, 4)})
    model.encoder = nn.Sequential(nn.Conv2d(8, 8, 1, groups=2), norm(nn.BatchNorm2d(8)), nn.ReLU())
    small, shapes = same(model, torch.randn(4, 8, 6, 5))
    assert norms_in(small) == 1
    assert shapes["encoder.0.weight"][0] == 8
    assert shapes["encoder.1.weight"] == (3,)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_keeps_its_batch_norm(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    behind, layers = FOLDED["with a bias"]
    model = Net(behind, lambda _, x: x, copy.deepcopy(layers)).to(dtype).eval()
    x = torch.randn(4, 3, 6, 5, dtype=dtype)
    small = mf.compact(model, (x,))
    assert norms_in(small) == 1
    torch.testing.assert_close(small(x), model(x), rtol=0.05, atol=0.05)
    assert {parameter.dtype for parameter in small.parameters()} == {dtype}


@pytest.mark.parametrize(
    ("behind", "reuses"),
    [
        (lambda m, x: averaged(m.a(x).relu()), True),
        (lambda m, x: averaged(m.c(x.flatten(2)).relu()), True),
        (lambda m, x: m.d(x.flatten(2).transpose(1, 2)).relu(), True),
        (lambda m, x: averaged((m.a(x) + m.b(x)).relu()), True),
        (lambda m, x: averaged((y := m.a(x)).relu() + y), False),
        (lambda m, x: averaged(m.a(x).tanh().relu()), False),
        (lambda m, x: averaged(m.a(x)[:, :2].relu()), False),
    ],
    ids=[
        "of a layer",
        "of sequences",
        "of tokens",
        "of a sum",
        "read twice",
        "saved for a gradient",
        "of a view",
    ],
)
def test_relu_in_place(behind: Step, reuses: bool) -> None:
    torch.manual_seed(0)
    layers = {"a": nn.Conv2d(8, 6, 3), "b": nn.Conv2d(8, 6, 3), "c": nn.Conv1d(8, 6, 3), "d": nn.Linear(8, 6)}
    small, _ = same(Net(behind, lambda _, x: x, layers), torch.randn(4, 3, 6, 5))
    targets = [node.target for node in small.network.graph.nodes]
    aten = torch.ops.aten
    assert (aten.relu_.default in targets, aten.relu.default in targets) == (reuses, not reuses)
    x = torch.randn(4, 3, 6, 5, requires_grad=True)
    small(x).square().mean().backward()
    assert x.grad is not None


def test_dropout_leaves_no_copy() -> None:
    torch.manual_seed(0)
    layers = {"a": nn.Conv2d(8, 6, 3), "d": nn.Dropout(0.5)}
    small, _ = same(
        Net(lambda m, x: m.d(averaged(m.a(m.d(x)))), lambda m, x: m.d(x), layers), torch.randn(4, 3, 6, 5)
    )
    assert torch.ops.aten.clone.default not in {node.target for node in small.network.graph.nodes}


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_deep_network(dtype: torch.dtype) -> None:
    """No further from the truth than the network itself is."""
    torch.manual_seed(0)
    layers = [
        layer for _ in range(40) for layer in (nn.Conv2d(8, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU())
    ]
    model = Net(lambda m, x: averaged(m.d(x)), lambda _, x: x, {"d": nn.Sequential(*layers)}).train()
    with torch.no_grad():
        for _ in range(20):
            model(torch.randn(16, 3, 6, 5))
    x, truth = torch.randn(4, 3, 6, 5), copy.deepcopy(model).double().eval()
    model = model.to(dtype).eval()
    small = mf.compact(model, (x.to(dtype),))
    with torch.no_grad():
        wanted = truth.to(dtype).double()(x.to(dtype).double())
        off, own = ((net(x.to(dtype)) - wanted).abs().max() for net in (small, model))
    assert off < 2 * own
    assert norms_in(small) == (0 if dtype == torch.float32 else 40)
