"""What the tests of error messages share: one case is a call, its error and the text."""

import math
import re
from collections.abc import Callable

import pytest
import torch

import maskfusion as mf

NAN, INF = math.nan, math.inf
POSITIVE = "a finite number at least 0"
X = torch.linspace(-1, 1, 30).reshape(2, 5, 3)
_ADDRESS = re.compile(" at 0x[0-9a-f]+")  # of a function: another in every process
Case = tuple[Callable[[], object], type[Exception], str]


def mask(**settings) -> mf.ComplementaryMask:
    """A mask of 2 + 3 channels."""
    return mf.ComplementaryMask({"image": 2, "audio": 3}, **settings)


def number(call: Callable[..., object], name: str, rule: str, *bad: float) -> list[Case]:
    """What a number argument refuses."""
    wrong = [*((value, ValueError) for value in bad), *((value, TypeError) for value in ("1", True, [1]))]
    return [
        (lambda value=value: call(**{name: value}), error, f"`{name}` (={value!r}) must be {rule}.")
        for value, error in wrong
    ]


def check(cases: list[Case]) -> pytest.MarkDecorator:
    """Run a test once for each case, named by its text."""
    return pytest.mark.parametrize(
        "case", cases, ids=[f"{i} {_ADDRESS.sub('', text)[:60]}" for i, (_, _, text) in enumerate(cases)]
    )


def expect(case: Case) -> None:
    """The call raises this very error, with this text, in one line."""
    call, error, text = case
    with pytest.raises(error, match=re.escape(text)) as caught:
        call()
    assert type(caught.value) is error
    assert "\n" not in str(caught.value)
