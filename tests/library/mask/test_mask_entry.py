"""Fusion layers that return more than the fused features."""

import re
from collections import OrderedDict
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor, nn

import maskfusion as mf
from tests.support.helpers import set_weight


class Fused(NamedTuple):
    features: Tensor
    attention: Tensor


class Cat(nn.Module):
    """Concatenate, and return the result wrapped up in some way."""

    def __init__(self, wrap: Any) -> None:
        super().__init__()
        self.wrap = wrap

    def forward(self, a: Tensor, b: Tensor) -> Any:
        return self.wrap(torch.cat([a, b], 1), a * b)


CASES = {
    "tuple": (lambda f, x: (f, x), 0),
    "from the end": (lambda f, x: (x, f), -1),
    "list": (lambda f, x: [x, f], 1),
    "named tuple": (Fused, 0),
    "dict": (lambda f, x: {"features": f, "attention": x}, "features"),
    "ordered dict": (lambda f, x: OrderedDict(attention=x, features=f), "features"),
}


@pytest.mark.parametrize(("wrap", "entry"), CASES.values(), ids=CASES)
def test_only_the_named_entry_is_masked(wrap: Any, entry: int | str) -> None:
    a, b = torch.randn(2, 3), torch.randn(2, 3)
    plain = Cat(wrap)
    mask = mf.ComplementaryMask([3, 3], fusion=plain, entry=entry)
    before = plain(a, b)
    opened = mask(a, b)
    assert type(opened) is type(before)
    set_weight(mask, [1, 0, 1, 0, 0, 0])
    closed = mask(a, b)
    keys = list(before) if isinstance(before, dict) else range(len(before))
    for key in keys:
        torch.testing.assert_close(opened[key], before[key], rtol=0, atol=0)
    torch.testing.assert_close(closed[entry], torch.cat([a, b], 1) * torch.tensor([1, 0, 1, 0, 0, 0]))
    others = [key for key in keys if before[key].shape[1] == 3]
    assert len(others) == 1
    torch.testing.assert_close(closed[others[0]], a * b)


def test_output_of_the_fusion_is_left_as_it_was() -> None:
    returned = {"features": torch.ones(1, 2)}
    mask = mf.ComplementaryMask(2, fusion=lambda: returned, entry="features")
    set_weight(mask, [0, 0])
    assert mask()["features"].sum() == 0
    assert returned["features"].sum() == 2


@pytest.mark.unchecked
@pytest.mark.parametrize(
    ("returned", "entry", "message"),
    [
        ((torch.ones(1, 2),), 3, r"`entry` (=3) must name an entry of what the layer returns, a tuple: [0]."),
        (
            {"x": torch.ones(1, 2)},
            "y",
            r"`entry` (='y') must name an entry of what the layer returns, a dict: ['x'].",
        ),
        (
            (torch.ones(1, 2),),
            "y",
            r"`entry` (='y') must name an entry of what the layer returns, a tuple: [0].",
        ),
        (
            torch.ones(1, 2),
            0,
            r"`entry` (=0) must name an entry of what the layer returns, a Tensor, which has none. Leave it out.",
        ),
    ],
)
def test_an_entry_that_is_not_there(returned: Any, entry: int | str, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        mf.ComplementaryMask(2, fusion=lambda: returned, entry=entry)()


@pytest.mark.parametrize("settings", [{}, {"fusion": nn.Identity(), "side": "input"}])
def test_an_entry_without_an_output(settings: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"`entry` \(=0\) needs a `fusion` whose output is masked\."):
        mf.ComplementaryMask(2, entry=0, **settings)
