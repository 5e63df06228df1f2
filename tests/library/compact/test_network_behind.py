"""compact of networks: what each operation between mask and reader becomes."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812

from tests.support.compacting import Net, Step, conv, norm, same

pytestmark = pytest.mark.unchecked  # the exporter cannot trace checks of shapes


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


def test_a_batch_that_is_fixed() -> None:
    torch.manual_seed(0)
    model = Net(lambda m, x: m.a(x.view(4, -1)), lambda _, x: x, {"a": nn.Linear(240, 4)})
    small, shapes = same(model, torch.randn(4, 3, 6, 5))
    assert shapes["a.weight"] == (4, 90)
    with pytest.raises(ValueError, match=r"`x` of shape \(5, 3, 6, 5\) must have shape \(4, 3, 6, 5\)"):
        small(torch.randn(5, 3, 6, 5))
