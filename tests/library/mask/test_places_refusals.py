"""Places that cannot be told are refused, with the argument that tells them; so are masks of no sense."""

import re
from collections.abc import Callable
from typing import Any

import pytest
import torch

import maskfusion as mf
from tests.library.mask.test_places import attached
from tests.support.attaching import AT, Late, Summed, batch
from tests.support.helpers import Sum

WRONG: dict[str, tuple[Callable[[], Any], type[Exception], str]] = {
    "two arguments of one modality": (
        lambda: attached(lambda m, a, b: m.fusion(a, a + 1, b)),
        ValueError,
        "`entry` must say which of ['argument 0 of `fusion`', 'argument 1 of `fusion`'] holds the features of 'text'",
    ),
    "nothing alone": (
        lambda: attached(lambda m, a, _: m.fusion(a), modalities=["text", "audio"]),
        ValueError,
        "nothing that `fusion` takes changes with the inputs of ['audio'] alone.",
    ),
    "mixed before": (
        lambda: attached(lambda m, a, b: m.fusion(a.sum(1, keepdim=True) * b.sum(1, keepdim=True))),
        ValueError,
        "`modalities` must say which inputs are whose: ['text', 'audio'] all change the same channels.",
    ),
    "nothing heard": (
        lambda: attached(lambda m, *_: m.fusion(torch.ones(6, 2))),
        ValueError,
        "`at`: the features of this layer change with none of the inputs ['text', 'audio'].",
    ),
    "no dimension told": (
        lambda: attached(lambda m, a, b: m.fusion(a[:, None], b[:, None])),
        ValueError,
        "`channel_dim` (=None) must say which dimension of the argument 0 of `fusion`, of shape (6, 1, 4)",
    ),
    "a word for modalities": (
        lambda: mf.attach(Late(), AT, batch(), modalities="text"),
        TypeError,
        "`modalities` (='text') must be a sequence of names, or a mapping of modality to names.",
    ),
    "a name twice": (
        lambda: mf.attach(Late(), AT, batch(), modalities=["text", "text"]),
        ValueError,
        "`modalities` (=['text', 'text']) must hold at least one name, and no name twice.",
    ),
    "several in one input": (
        lambda: mf.attach(Late(), AT, {"both": batch()}, call=lambda m, x: m(*x["both"])),
        ValueError,
        "give an `example` that has each by name, and a `call` that puts them together.",
    ),
    "no channels": (
        lambda: mf.attach(Late(), AT),
        ValueError,
        "`channels` (=None) must be given where there is no `example` to find it from.",
    ),
    "channels of others": (
        lambda: mf.attach(Late(), AT, channels={"text": 4}, channel_dim=1),
        ValueError,
        "`channels` (={'text': 4}) must be a mapping with the modalities of `at`: ['text', 'audio'].",
    ),
    "one count for two layers": (
        lambda: mf.attach(Late(), {"text": ["text", "head"]}, channels={"text": 4}, channel_dim=1),
        ValueError,
        "must have a count for each of the layers ['text', 'head'] of 'text'.",
    ),
    "arguments of other names": (
        lambda: mf.attach(Summed(), "fusion", channels={"a": 4, "b": 2}, channel_dim=1, side="input"),
        ValueError,
        "`at` (='fusion') takes ['audio', 'text', 'scale']; without `example` its arguments must have the names",
    ),
    "no module": (lambda: mf.total_penalty(3), TypeError, "`model` (=3) must be a module."),
    "no mask": (
        lambda: mf.total_penalty(Late()),
        ValueError,
        "`model` (Late) must hold a ComplementaryMask.",
    ),
    "a fusion of no kind": (
        lambda: mf.ComplementaryMask(4, fusion=3),
        TypeError,
        "`fusion` (=3) must be a module, a function or None.",
    ),
    "a gate of no kind": (
        lambda: mf.ComplementaryMask(4, gate=3),
        TypeError,
        "`gate` (=3) must be a function of (weight, threshold, training).",
    ),
    "too many that stay open": (
        lambda: mf.ComplementaryMask(4, min_channels=3),
        ValueError,
        "`min_channels` (=3) must be at most 2, the smallest modality.",
    ),
    "parts of other sizes": (
        lambda: mf.ComplementaryMask(4)(torch.ones(2, 2, 3), torch.ones(2, 2, 4)),
        ValueError,
        "must agree in all dimensions but 1.",
    ),
    "a name too many": (
        lambda: mf.ComplementaryMask(4)(
            {"0": torch.ones(2, 2), "1": torch.ones(2, 2), "2": torch.ones(2, 2)}
        ),
        ValueError,
        "Features of ['2'] are not of the modalities ['0', '1'].",
    ),
    "no part of its name": (
        lambda: mf.ComplementaryMask(4, fusion=Sum(), side="input")(other=torch.ones(2, 2)),
        ValueError,
        "Features of ['0', '1'] are missing",
    ),
    "a part too many": (
        lambda: mf.ComplementaryMask(4)([torch.ones(2, 2)] * 3),
        ValueError,
        "There must be one tensor for each of ['0', '1'], got 3.",
    ),
}


@pytest.mark.unchecked
@pytest.mark.parametrize("name", WRONG)
def test_what_cannot_be_told_is_said(name: str) -> None:
    act, error, said = WRONG[name]
    with pytest.raises(error, match=re.escape(said)):
        act()
