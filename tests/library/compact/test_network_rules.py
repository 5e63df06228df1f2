"""compact of networks: what each operation between encoder, mask and reader becomes."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812
from torch.nn.utils import parametrizations

import maskfusion as mf
from tests.support.compacting import OMEGA, norm
from tests.support.helpers import set_weight

pytestmark = pytest.mark.unchecked  # the exporter cannot trace checks of shapes

Step = Callable[[Any, Tensor], Tensor]


class Net(nn.Module):
    """Maps of two modalities, something before the mask, and something behind it."""

    def __init__(self, behind: Step, before: Step, layers: dict[str, nn.Module], **settings: Any) -> None:
        super().__init__()
        self.encoder = nn.Conv2d(3, 8, 1)
        self.mask = set_weight(mf.ComplementaryMask({"image": 5, "audio": 3}, **settings), OMEGA)
        self.before, self.behind = before, behind
        for name, layer in layers.items():
            self.add_module(name, layer)

    def forward(self, x: Tensor) -> Tensor:
        return self.behind(self, self.mask(self.before(self, self.encoder(x))))


def same(model: nn.Module, *inputs: Any) -> tuple[Any, dict[str, tuple[int, ...]]]:
    """Compact, equal in evaluation; shapes of what is stored."""
    small = mf.compact(model.eval(), inputs)
    torch.testing.assert_close(small(*inputs), model(*inputs), rtol=1e-5, atol=1e-5)
    return small, {key: tuple(value.shape) for key, value in small.network.state_dict().items()}


def conv(**settings: Any) -> nn.Module:
    return nn.Conv2d(8, 4, 3, **settings)


def half_closed() -> nn.Module:
    """Two numbers, of which one is zero."""
    layer = nn.PReLU(2)
    layer.weight.data = torch.tensor([0.7, 0.0])
    return layer


BEHIND: dict[str, tuple[Step, dict[str, nn.Module], int | None]] = {
    "linear": (lambda m, x: m.a(x.mean((2, 3))), {"a": nn.Linear(8, 4)}, 3),
    "mean, kept": (lambda m, x: m.a(x.mean(-1, keepdim=True)), {"a": nn.Conv2d(8, 4, 1)}, 3),
    "all is one": (lambda m, x: m.a(x.amax(3).amax(2)), {"a": nn.Linear(8, 4, bias=False)}, 3),
    "constants, no bias": (
        lambda m, x: m.a(x.sigmoid().mean((2, 3))),
        {"a": nn.Linear(8, 4, bias=False)},
        3,
    ),
    "constants, bias": (lambda m, x: m.a(x.cos()), {"a": conv()}, 3),
    "constants, padded": (lambda m, x: m.a(x.cos()), {"a": conv(padding=1)}, 4),
    "constants, padded by words": (lambda m, x: m.a(x.cos()), {"a": conv(padding="same")}, 4),
    "unpadded by words": (lambda m, x: m.a(x.cos()), {"a": conv(padding="valid")}, 3),
    "replicated": (lambda m, x: m.a(x.cos()), {"a": conv(padding=1, padding_mode="replicate")}, 3),
    "zeros around": (lambda m, x: m.a(F.pad(x, (1, 1, 1, 1))), {"a": conv()}, 3),
    "zeros around constants": (lambda m, x: m.a(F.pad(x.cos(), (1, 1))), {"a": conv()}, 8),
    "channels around": (lambda m, x: m.a(F.pad(x.flatten(2), (0, 0, 1, 1))), {"a": nn.Conv1d(10, 4, 1)}, 10),
    "norm": (lambda m, x: m.a(m.n(x).sigmoid()), {"n": norm(nn.BatchNorm2d(8)), "a": conv(padding=1)}, 4),
    "prelu": (lambda m, x: m.a(m.n(x)), {"n": nn.PReLU(8), "a": conv()}, 3),
    "prelu of one": (lambda m, x: m.a(m.n(x)), {"n": nn.PReLU(), "a": conv()}, 3),
    "max pool": (lambda m, x: m.a(F.max_pool2d(x.cos(), 2)), {"a": nn.Conv2d(8, 4, 1)}, 3),
    "average": (lambda m, x: m.a(F.avg_pool2d(x.cos(), 2)), {"a": nn.Conv2d(8, 4, 1)}, 3),
    "average of zeros": (lambda m, x: m.a(F.avg_pool2d(x, 3, padding=1)), {"a": nn.Conv2d(8, 4, 1)}, 3),
    "average with padding": (
        lambda m, x: m.a(F.avg_pool2d(x.cos(), 3, padding=1)),
        {"a": nn.Conv2d(8, 4, 1)},
        8,
    ),
    "average by half": (
        lambda m, x: m.a(F.avg_pool2d(x.cos(), 2, divisor_override=2)),
        {"a": nn.Conv2d(8, 4, 1)},
        8,
    ),
    "average of what is there": (
        lambda m, x: m.a(F.avg_pool2d(x.cos(), 3, padding=1, count_include_pad=False)),
        {"a": nn.Conv2d(8, 4, 1)},
        3,
    ),
    "larger": (lambda m, x: m.a(F.interpolate(x.cos(), scale_factor=2)), {"a": conv()}, 3),
    "flattened": (lambda m, x: m.a(x.sigmoid().flatten(1)), {"a": nn.Linear(240, 4)}, 90),
    "flattened, normed": (
        lambda m, x: m.a(m.n(x.flatten(1))),
        {"n": norm(nn.BatchNorm1d(240)), "a": nn.Linear(240, 4)},
        90,
    ),
    "channels last": (lambda m, x: m.a(x.permute(0, 2, 3, 1)), {"a": nn.Linear(8, 4)}, 3),
    "channels last, flattened": (
        lambda m, x: m.a(x.flatten(2).transpose(1, 2).flatten(1)),
        {"a": nn.Linear(240, 4)},
        90,
    ),
    "one more": (lambda m, x: m.a(x.unsqueeze(1).cos().squeeze(1)), {"a": conv()}, 3),
    "a place": (lambda m, x: m.a(x[:, :, 1, 2]), {"a": nn.Linear(8, 4)}, 3),
    "some places": (lambda m, x: m.a(x[:, :, 1:4, ::2]), {"a": nn.Conv2d(8, 4, 1)}, 3),
    "some channels": (lambda m, x: m.a(x[:, 1:7]), {"a": nn.Conv2d(6, 4, 1)}, 2),
    "one channel": (lambda m, x: m.a(x[:, 0].flatten(1)), {"a": nn.Linear(30, 4)}, 30),
    "split": (lambda m, x: m.a(x.split([3, 5], 1)[1]), {"a": nn.Conv2d(5, 4, 1)}, 2),
    "chunks, joined": (lambda m, x: m.a(torch.cat(x.chunk(2, 1)[::-1], 1)), {"a": nn.Conv2d(8, 4, 1)}, 3),
    "joined along places": (lambda m, x: m.a(torch.cat([x, x.cos()], 2)), {"a": nn.Conv2d(8, 4, 1)}, 8),
    "joined with zeros": (lambda m, x: m.a(torch.cat([x, x.sin()], 2)), {"a": nn.Conv2d(8, 4, 1)}, 3),
    "beside others": (
        lambda m, x: m.a(torch.cat([m.b(x), x], 1)),
        {"b": nn.Conv2d(8, 2, 1), "a": nn.Conv2d(10, 4, 1)},
        5,
    ),
    "expanded": (lambda m, x: m.a(x.mean((2, 3), keepdim=True).expand(-1, -1, 3, 3)), {"a": conv()}, 3),
    "excited": (
        lambda m, x: m.a(x * m.b(x.mean((2, 3), keepdim=True)).sigmoid()),
        {"b": nn.Conv2d(8, 8, 1), "a": conv()},
        3,
    ),
    "shifted by a parameter": (
        lambda m, x: m.a(x + m.n.weight.view(8, 1, 1)),
        {"n": norm(nn.BatchNorm2d(8)), "a": conv()},
        3,
    ),
    "times a number that is learned": (
        lambda m, x: m.a((x * m.n.weight).cos()),
        {"n": nn.PReLU(), "a": conv()},
        3,
    ),
    "plus ones like the input": (lambda m, x: m.a(x.cos() + x.new_ones(6, 5)), {"a": conv()}, 8),
    "undefined at zero": (
        lambda m, x: m.a(x.abs().log().clamp(-9, 9).flatten(1)),
        {"a": nn.Linear(240, 4)},
        240,
    ),
    "plus maps": (lambda m, x: m.a(x + m.l.weight.view(8, 6, 5)), {"l": nn.Linear(30, 8), "a": conv()}, 8),
    "largest": (lambda m, x: m.a(x.max(3)[0].max(2)[0]), {"a": nn.Linear(8, 4)}, 8),
    "mean over channels": (lambda m, x: m.a(x.mean(1).flatten(1)), {"a": nn.Linear(30, 4)}, 30),
    "joined with what is open": (
        lambda m, x: m.a(torch.cat([x, m.b(x)], 2)),
        {"b": nn.Conv2d(8, 8, 1), "a": nn.Conv2d(8, 4, 1)},
        8,
    ),
    "plus a map": (lambda m, x: m.a(x + m.l.weight), {"l": nn.Linear(5, 6), "a": conv()}, 8),
    "as often as it is positive": (
        lambda m, x: m.a(x.mean((2, 3))) * (x > 0).nonzero().shape[0],
        {"a": nn.Linear(8, 4)},
        3,
    ),
    "closed beside open": (
        lambda m, x: m.a((x + m.b(x))[:, 1:3] * m.g.weight.view(2, 1, 1)),
        {"b": nn.Conv2d(8, 8, 1), "g": half_closed(), "a": nn.Conv2d(2, 4, 1)},
        1,
    ),
    "by condition": (lambda m, x: m.a(torch.where(x > 0, x, 0.5)), {"a": conv()}, 3),
    "in halves": (lambda m, x: m.a(x.double().float()), {"a": conv()}, 3),
    "each by itself": (
        lambda m, x: m.a(m.d(x.cos())),
        {"d": nn.Conv2d(8, 8, 3, groups=8), "a": nn.Conv2d(8, 4, 1)},
        3,
    ),
    "each by itself, padded": (
        lambda m, x: m.a(m.d(x)),
        {"d": nn.Conv2d(8, 8, 3, groups=8, padding=1, bias=False), "a": nn.Conv2d(8, 4, 1)},
        3,
    ),
    "each by itself, padded constants": (
        lambda m, x: m.a(m.d(x.cos())),
        {"d": nn.Conv2d(8, 8, 3, groups=8, padding=1), "a": nn.Conv2d(8, 4, 1)},
        8,
    ),
    "in groups": (lambda m, x: m.a(x), {"a": nn.Conv2d(8, 4, 3, groups=2)}, None),
    "transposed": (lambda m, x: m.a(x), {"a": nn.ConvTranspose2d(8, 4, 3)}, None),
    "normed over channels": (
        lambda m, x: m.a(m.n(x.permute(0, 2, 3, 1))),
        {"n": nn.LayerNorm(8), "a": nn.Linear(8, 4)},
        8,
    ),
    "times a matrix": (lambda m, x: x.mean((2, 3)) @ m.a.weight.t(), {"a": nn.Linear(8, 4)}, None),
    "in groups of its own": (lambda m, x: m.a(x.view(-1, 2, 4, 6, 5).mean(1)), {"a": nn.Conv2d(4, 4, 1)}, 4),
    "the batch joined": (lambda m, x: m.a(x.permute(0, 2, 3, 1).reshape(-1, 8)), {"a": nn.Linear(8, 4)}, 8),
    "batches of places": (lambda m, x: m.a(x.view(x.shape[0] * 8, 30)), {"a": nn.Linear(30, 4)}, 30),
    "returned": (lambda m, x: m.a(x) + 0 * x[:, :4, 1:-1, 1:-1], {"a": conv()}, 3),
}


@pytest.mark.parametrize("case", BEHIND)
def test_behind_the_mask(case: str) -> None:
    torch.manual_seed(0)
    behind, layers, inputs = BEHIND[case]
    small, shapes = same(Net(behind, lambda _, x: x, layers), torch.randn(4, 3, 6, 5))
    if inputs is None:
        assert small.report.uncut
    elif "a.weight" in shapes:
        assert shapes["a.weight"][1] == inputs


BEFORE: dict[str, tuple[Step, dict[str, nn.Module], bool]] = {
    "norm": (lambda m, x: m.n(x).relu(), {"n": norm(nn.BatchNorm2d(8))}, True),
    "each by itself": (lambda m, x: m.d(x), {"d": nn.Conv2d(8, 8, 3, groups=8, padding=1)}, True),
    "moved": (lambda _, x: x.permute(0, 2, 3, 1).flatten(1, 2).transpose(1, 2).cos(), {}, True),
    "averaged": (lambda _, x: x.mean((2, 3)), {}, True),
    "joined": (lambda _, x: torch.cat([x[:, 4:], x[:, :4]], 1), {}, True),
    "twice": (lambda _, x: torch.cat([x, x], 2), {}, True),
    "tied": (lambda m, x: x + m.b(x), {"b": nn.Conv2d(8, 8, 1)}, False),
    "normed over channels": (lambda m, x: m.n(x), {"n": nn.GroupNorm(2, 8)}, False),
    "each by itself, then normed": (
        lambda m, x: m.n(m.d(x)),
        {"d": nn.Conv2d(8, 8, 3, groups=8), "n": nn.GroupNorm(2, 8)},
        False,
    ),
    "transposed": (lambda m, x: m.t(x), {"t": nn.ConvTranspose2d(8, 8, 3)}, False),
    "along places": (
        lambda m, x: m.l(x).transpose(1, 2).contiguous().transpose(1, 2),
        {"l": nn.Linear(5, 5)},
        False,
    ),
    "a grid": (lambda _, x: x.view(-1, 2, 4, 6, 5).flatten(1, 2), {}, False),
    "added numbers": (lambda m, x: x + m.n.weight, {"n": nn.PReLU()}, True),
    "between places": (lambda _, x: x[:, :, 1:] - x[:, :, :-1], {}, True),
}


@pytest.mark.parametrize("case", BEFORE)
def test_before_the_mask(case: str) -> None:
    torch.manual_seed(0)
    before, layers, cut = BEFORE[case]
    model = Net(
        lambda m, x: m.a(x.flatten(2).mean(2) if x.ndim > 2 else x), before, {**layers, "a": nn.Linear(8, 4)}
    )
    _, shapes = same(model, torch.randn(4, 3, 6, 5))
    assert (shapes["encoder.weight"][0] == 3) == cut
    assert shapes["a.weight"] == (4, 3)


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


def test_a_table_of_vectors_and_channels_in_the_middle() -> None:
    class Table(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.words, self.head = nn.Embedding(9, 8, padding_idx=0), nn.Linear(8, 3)
            self.mask = set_weight(mf.ComplementaryMask({"a": 5, "b": 3}, channel_dim=-1), OMEGA)
            self.maps = set_weight(mf.ComplementaryMask({"a": 2, "b": 3}, channel_dim=1), [1.0, 0, 0, 1, 0])

        def forward(self, words: Tensor) -> Tensor:
            return self.head(self.mask(self.words(words))) + self.head(self.maps(self.words(words)))

    torch.manual_seed(0)
    small, shapes = same(Table(), torch.randint(9, (4, 5)))
    assert {shapes["words.weight"], shapes["words.weight_2"]} == {(9, 3), (9, 8)}
    assert small.report.total.parameters[1] < small.report.total.parameters[0] + 9 * 3


def test_masks_that_cross() -> None:
    class Crossed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.words, self.head = nn.Embedding(9, 8), nn.Linear(8, 3)
            self.mask = set_weight(mf.ComplementaryMask({"a": 5, "b": 3}, channel_dim=-1), OMEGA)
            self.maps = set_weight(mf.ComplementaryMask({"a": 2, "b": 3}, channel_dim=1), [1.0, 0, 0, 1, 0])

        def forward(self, words: Tensor) -> Tensor:
            words = self.words(words)
            return self.head(self.mask(words) * self.maps(words))

    torch.manual_seed(0)
    same(Crossed(), torch.randint(9, (4, 5)))


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


def test_a_batch_that_is_fixed() -> None:
    torch.manual_seed(0)
    model = Net(lambda m, x: m.a(x.view(4, -1)), lambda _, x: x, {"a": nn.Linear(240, 4)})
    small, shapes = same(model, torch.randn(4, 3, 6, 5))
    assert shapes["a.weight"] == (4, 90)
    with pytest.raises(ValueError, match=r"`x` of shape \(5, 3, 6, 5\) must have shape \(4, 3, 6, 5\)"):
        small(torch.randn(5, 3, 6, 5))


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
