"""compact of networks: what each operation between encoder and mask becomes."""

import pytest
import torch
from torch import Tensor, nn

import maskfusion as mf
from tests.support.compacting import OMEGA, Net, Step, norm, same
from tests.support.helpers import set_weight

pytestmark = pytest.mark.unchecked  # the exporter cannot trace checks of shapes


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
