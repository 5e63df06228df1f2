"""Settings by modality or by layer: a key that nobody has is refused with those that there are; lists of entries work everywhere."""

import re
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import maskfusion as mf
from tests.support.attaching import AT, Late, Summed, batch
from tests.support.helpers import set_weight


class Recurrent(Late):
    """Text goes through an LSTM, whose last state is read, or all."""

    def __init__(self, whole: bool = False) -> None:
        super().__init__()
        self.text, self.whole = nn.LSTM(5, 4, batch_first=True), whole

    def forward(self, text: Tensor, audio: Tensor) -> Tensor:
        words, (last, cell) = self.text(text[:, None])
        own = last[0] + cell[0] + words[:, 0] if self.whole else last[0]
        return self.head(torch.cat([self.audio(audio), own], 1))


class Pooled(Late):
    """Text gives no tensor, or is mixed with audio in front of the head."""

    def __init__(self) -> None:
        super().__init__()
        self.silent, self.mixed = Silent(), nn.Linear(6, 6)

    def forward(self, text: Tensor, audio: Tensor) -> Tensor:
        self.silent(text)
        return self.head(self.mixed(torch.cat([self.audio(audio), self.text(text)], 1)))


class Silent(nn.Module):
    def forward(self, text: Tensor) -> tuple[str]:
        return (str(len(text)),)


HAND: dict[str, Any] = {"channels": {"text": 4, "audio": 2}, "channel_dim": 1}


def keys(name: str, setting: dict[str, Any], known: list[str]) -> str:
    """The message where "foo" is not known."""
    return (
        f"`{name}` (={setting!r}) must have keys of {known}; ['foo'] are none of them. Correct these keys, leave them out, or give one value "
        f"for all."
    )


NAMES = ["text", "audio"]
REFUSED: dict[str, tuple[type[Late], Any, dict[str, Any], str]] = {
    "entry": (
        Recurrent,
        AT,
        {"entry": {"text": "1.0", "foo": 0}},
        keys("entry", {"text": "1.0", "foo": 0}, NAMES),
    ),
    "entry, paths of other names": (
        Late,
        {"words": "text", "voice": "audio"},
        {"entry": {"foo": 0}},
        keys("entry", {"foo": 0}, ["words", "voice", "text", "audio"]),
    ),
    "entry of one layer": (Late, "text", {"entry": {"foo": 0}}, keys("entry", {"foo": 0}, ["text"])),
    "entry, by hand": (Late, AT, {**HAND, "entry": {"foo": 0}}, keys("entry", {"foo": 0}, NAMES)),
    "entry of a layer that mixes": (
        Summed,
        "fusion",
        {"side": "input", "entry": {"foo": 0}},
        keys("entry", {"foo": 0}, [*NAMES, "fusion"]),
    ),
    "channel_dim": (Late, AT, {"channel_dim": {"foo": 1}}, keys("channel_dim", {"foo": 1}, NAMES)),
    "channel_dim of one layer": (
        Late,
        "head",
        {"side": "input", "channel_dim": {"foo": 1}},
        keys("channel_dim", {"foo": 1}, ["head"]),
    ),
    "channel_dim, by hand": (
        Late,
        AT,
        {**HAND, "channel_dim": {"text": 1, "audio": 1, "foo": 1}},
        keys("channel_dim", {"text": 1, "audio": 1, "foo": 1}, NAMES),
    ),
    "channels": (
        Late,
        AT,
        {"channels": {"text": 4, "audio": 2, "foo": 1}},
        (
            "`channels` (={'text': 4, 'audio': 2, 'foo': 1}) must be what `example` shows, {'text': 4, 'audio': 2}, in this order."
        ),
    ),
    "channels, by hand": (
        Late,
        AT,
        {"channels": {"text": 4, "foo": 2}, "channel_dim": 1},
        "`channels` (={'text': 4, 'foo': 2}) must be a mapping with the modalities of `at`: ['text', 'audio'].",
    ),
    "modalities": (
        Late,
        AT,
        {"modalities": {"foo": "text"}},
        (
            "`modalities` must say which of the inputs ['text', 'audio'] are those of ['text']: it cannot be told. Where one input holds "
            "several modalities, give an `example` that has each by name, and a `call` that puts them together. It names ['foo'], which the "
            "mask does not have."
        ),
    ),
    "no entries": (
        Late,
        AT,
        {"entry": {"text": []}},
        "`entry` (=[]) must name at least one entry. Leave it out where the layer returns a tensor.",
    ),
    "entries of one layer for all": (
        Recurrent,
        "text",
        {"entry": [0, "1.0"]},
        (
            "`entry` (=[0, '1.0']) must be one entry where `at` (='text') is one layer for all modalities. Name one, or give `at` by "
            "modality."
        ),
    ),
    "entries that hold more": (
        Recurrent,
        AT,
        {"entry": {"text": 1}},
        (
            "`entry` (=1) must name a tensor; in what `text` returns it is a tuple. Name what holds the features in it, of ['1.0', '1.1']."
        ),
    ),
    "an entry that is not there": (
        Recurrent,
        AT,
        {"entry": {"text": 2}},
        (
            "`entry` (=2) must name an entry of what the layer returns, a tuple: [0, 1]. The layer is `text`; a mapping gives each modality "
            "its own."
        ),
    ),
    "an entry that is not there, inside": (
        Recurrent,
        AT,
        {"entry": {"text": "1.2"}},
        (
            "`entry` (='1.2') must name an entry of what the layer returns at 1, a tuple: ['1.0', '1.1']. The layer is `text`; a mapping "
            "gives each modality its own."
        ),
    ),
    "an entry for all": (
        Recurrent,
        AT,
        {"entry": "1.0"},
        (
            "`entry` (='1.0') must name an entry of what the layer returns, a Tensor, which has none. Leave it out. The layer is `audio`; a "
            "mapping gives each modality its own."
        ),
    ),
    "no tensor": (
        Pooled,
        {"text": "silent"},
        {},
        "`at`: `silent` returns a tuple, in which there is no tensor. Name another layer.",
    ),
    "an argument that is not there": (
        Summed,
        "fusion",
        {"side": "input", "entry": {"text": 7}},
        "`entry` (=7) must name an argument of real numbers that `fusion` takes, of ['audio', 'text', 'scale'], or its position.",
    ),
    "an argument, by hand": (
        Summed,
        "fusion",
        {**HAND, "side": "input", "entry": {"text": 1}},
        (
            "`entry` (={'text': 1}) needs an `example` with side 'input'; without one the arguments have the names of the modalities, or "
            "there is one. Leave it out, or give an `example`."
        ),
    ),
    "no dimension for one": (
        Late,
        AT,
        {**HAND, "channel_dim": {"text": 1}},
        "`channel_dim['audio']` (=None) must be an integer.",
    ),
    "channels of no number": (
        Late,
        AT,
        {"channels": {"text": "4", "audio": 2}},
        "`channels['text']` (='4') must be an integer of at least 1.",
    ),
    "inputs of no kind": (
        Late,
        AT,
        {"modalities": {"text": 3}},
        "`modalities` (={'text': 3}) must be a sequence of names, or a mapping of modality to names.",
    ),
}


@pytest.mark.unchecked
@pytest.mark.parametrize("name", REFUSED)
def test_a_setting_that_nobody_has_is_refused(name: str) -> None:
    build, at, settings, said = REFUSED[name]
    model, example = build(), None if "by hand" in name or "for one" in name else batch()
    with pytest.raises((ValueError, TypeError)) as caught:
        mf.attach(model, at, example, **settings)
    assert str(caught.value) == said
    assert not any(isinstance(module, mf.ComplementaryMask) for module in model.modules())


@pytest.mark.parametrize("by_hand", [False, True])
def test_a_list_is_several_entries_of_one_layer(by_hand: bool) -> None:
    model, x = Recurrent(whole=True), batch()
    entry = {"text": [0, "1.0", "1.1"]}
    if by_hand:
        there = ["text, entry 0", "text, entry '1.0'", "text, entry '1.1'"]
        with pytest.raises(ValueError, match=re.escape(f"a count for each of the layers {there} of 'text'.")):
            mf.attach(model, AT, channels={"text": 4, "audio": 2}, channel_dim=-1, entry=entry)
        mask = mf.attach(model, AT, channels={"text": [4, 4, 4], "audio": 2}, channel_dim=-1, entry=entry)
    else:
        mask = mf.attach(model, AT, x, channels={"text": [4, 4, 4], "audio": 2}, entry=entry)
    assert mask.channels == {"text": 12, "audio": 2}
    assert mf.check(model, x).problems == ()
    set_weight(mask, [0.0] * 12 + [0.1] * 2)
    text, audio = x
    assert torch.equal(model(text, audio), model(text.flip(0), audio))


def test_a_path_is_a_key_of_one_layer() -> None:
    model, x = Recurrent(), batch()
    mask = mf.attach(model, "text", x, entry={"text": "1.0"}, channel_dim={"text": -1}, modalities=["text"])
    assert mask.channels == {"text": 4}
    mf.detach(model)
    mask = mf.attach(
        model, "text", channels={"a": 1, "b": 3}, entry={"text": "1.0"}, channel_dim={"text": -1}
    )
    assert "output of text, entry '1.0'" in repr(mask)
