"""A masked layer that hands more on than what is masked: the message names it, and `entry=` mends it."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

import maskfusion as mf
from tests.support.attaching import AT, Late, Recurrent, batch


class Encoder(nn.Module):
    """Returns features of two kinds, and lengths."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(5, 4)

    def forward(self, text: Tensor) -> dict[str, Tensor]:
        states = self.layer(text)
        return {"states": states, "pooled": states.tanh(), "lengths": states.argmax(1), "norm": states.sum(1)}


class Reads(Late):
    """Reads some of what its encoder of text returns; more of text may go past it."""

    def __init__(self, *names: str, skip: bool = False, wrapped: bool = False) -> None:
        super().__init__()
        self.names, self.text, self.skip = names, Encoder(), nn.Linear(5, 3) if skip else None
        if wrapped:
            self.text = mf.ComplementaryMask({"text": 4}, fusion=self.text, entry="states")

    def forward(self, text: Tensor, audio: Tensor) -> Tensor:
        found = self.text(text)
        features = torch.stack([found[name] for name in self.names]).sum(0)
        scores = self.head(torch.cat([self.audio(audio), features], 1))
        return scores if self.skip is None else scores + self.skip(text)


STARTS = "Closed, 'text' is still heard: "
MENDS = "and the output depends on it. Name it with `entry=`, alone or in a list with what is masked."
PASSES = "`skip` gets it past the mask, by a residual or a second path. Attach where its features leave the encoder, or to every path."
ALSO = " `text` also returns entry 'pooled', unmasked; name it too with `entry=` if the network reads it."


@pytest.mark.parametrize(
    ("names", "skip", "entry", "said"),
    [
        (["states"], False, "states", None),
        (["pooled"], False, "pooled", None),
        (["pooled"], False, "states", f"{STARTS}`text` also returns entry 'pooled', unmasked, {MENDS}"),
        (
            ["pooled", "states"],
            False,
            "states",
            f"{STARTS}`text` also returns entry 'pooled', unmasked, {MENDS}",
        ),
        (["pooled", "states"], False, 1, f"{STARTS}`text` also returns entry 'states', unmasked, {MENDS}"),
        (["pooled", "states"], False, ["states", "pooled"], None),
        (["states"], True, "states", f"{STARTS}{PASSES}{ALSO}"),
        (["pooled", "states"], True, ["states", "pooled"], f"{STARTS}{PASSES}"),
    ],
)
def test_what_else_the_layer_returns_is_named(
    names: list[str], skip: bool, entry: Any, said: str | None
) -> None:
    model, x = Reads(*names, skip=skip), batch()
    if said is None:
        mf.attach(model, AT, x, entry={"text": entry})
    else:
        with pytest.warns(mf.WiringWarning) as caught:
            mf.attach(model, AT, x, entry={"text": entry})
        assert [str(warning.message) for warning in caught] == [said]
    assert mf.check(model, x).problems == (() if said is None else (said,))
    assert not any(layer._forward_pre_hooks for layer in model.modules())


def test_a_state_that_is_read_beside_the_one_that_is_masked() -> None:
    model, x = Recurrent(), batch()
    said = r"still heard: `text` also returns entry '1\.0' and entry '1\.1', unmasked, and the output depends on it\."
    with pytest.warns(mf.WiringWarning, match=said):
        mf.attach(model, AT, x, entry={"text": 0})
    mf.detach(model)
    mf.attach(model, AT, x, entry={"text": "1.0"})


def test_a_fusion_layer_that_returns_more() -> None:
    model, x = Reads("pooled", wrapped=True), batch()
    (problem,) = mf.check(model, x).problems
    assert problem == f"{STARTS}`text` also returns entry 'pooled', unmasked, {MENDS}"
    assert mf.check(Reads("states", wrapped=True), x).problems == ()


def test_a_fusion_that_is_masked_before_hands_nothing_on() -> None:
    class Before(Late):
        def __init__(self) -> None:
            super().__init__()
            self.fusion = mf.ComplementaryMask({"text": 4, "audio": 2}, fusion=Sum(), side="input")
            self.skip = nn.Linear(5, 1)

        def forward(self, text: Tensor, audio: Tensor) -> Tensor:
            return self.fusion(text=self.text(text), audio=self.audio(audio)) + self.skip(text)

    class Sum(nn.Module):
        def forward(self, text: Tensor, audio: Tensor) -> Tensor:
            return text.sum(1, keepdim=True) + audio.sum(1, keepdim=True)

    assert mf.check(Before(), batch()).problems == (f"{STARTS}{PASSES}",)
