"""What `attach` refuses, with the way to mend it; nothing is changed then."""

import re
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import maskfusion as mf
from tests.support.attaching import AT, Late, batch


class Unusual(nn.Module):
    """Calls a forward past the hooks, reads a weight, and never runs a layer."""

    def __init__(self) -> None:
        super().__init__()
        self.past, self.read, self.idle = nn.Linear(5, 4), nn.Linear(5, 4), nn.Linear(5, 4)
        self.parts = nn.Sequential(nn.Linear(5, 4), nn.ReLU())
        self.pair = nn.LSTM(5, 4, batch_first=True)
        self.shared = nn.Linear(3, 3)
        self.audio = nn.Linear(3, 4)

    def forward(self, text: Tensor, audio: Tensor) -> Tensor:
        read = nn.functional.linear(text, self.read.weight)
        parts = self.parts[1](self.parts[0](text))
        pair, _ = self.pair(text[:, None])
        return torch.cat(
            [self.past.forward(text), read, parts, pair[:, 0], self.audio(self.shared(audio))], 1
        )


REFUSED: dict[str, tuple[Any, dict[str, Any], type[Exception], str]] = {
    "forward called": (
        {"text": "past"},
        {},
        ValueError,
        "`past` does not run as a layer: its `forward` is called past its hooks.",
    ),
    "weight read": ({"text": "read"}, {}, ValueError, "`read` does not run: another layer reads its weight"),
    "never": ({"text": "idle"}, {}, ValueError, "`idle` does not run with this `example`."),
    "its parts": (
        {"text": "parts"},
        {},
        ValueError,
        "`parts` does not run itself, its parts do: ['parts.0', 'parts.1'].",
    ),
    "a tuple": (
        {"text": "pair"},
        {},
        ValueError,
        "`pair` returns a tuple, not a tensor. Name what holds its features with `entry=`",
    ),
    "no such path": (
        {"text": "odio"},
        {},
        ValueError,
        "`at` holds 'odio'; it must be the path of a layer of Unusual, such as ['audio']",
    ),
    "nothing near": ({"text": "zzz"}, {}, ValueError, "such as ['past', 'read', 'idle', 'parts', 'parts.0']"),
    "no path": ({"text": 3}, {}, TypeError, "`at` holds 3; it must hold paths of layers."),
    "no mapping": (3, {}, TypeError, "`at` (=3) must be a mapping of modality to the path of its layer"),
    "empty": ({}, {}, TypeError, "`at` (={}) must be a mapping"),
    "one layer for two": (
        {"text": "shared", "audio": "shared"},
        {},
        ValueError,
        "must name each layer once: what one layer returns belongs to one modality.",
    ),
    "the other's layer": (
        {"text": "audio"},
        {},
        ValueError,
        "`at`: the features of 'text', at ['audio'], do not change with its inputs ['text']. Name its own layers",
    ),
    "side input of several": (
        {"text": "audio"},
        {"side": "input"},
        ValueError,
        "`side` (='input') needs one layer",
    ),
    "no side": ("audio", {"side": "left"}, ValueError, "`side` (='left') must be one of 'output', 'input'."),
    "an input that is not there": (
        {"text": "parts.1"},
        {"modalities": {"text": "txt"}},
        ValueError,
        "`modalities` names ['txt']; the inputs are ['text', 'audio'].",
    ),
    "no modality of that name": (
        {"sound": "parts.1"},
        {"modalities": {"text": "text"}},
        ValueError,
        "`modalities` must say which of the inputs ['text', 'audio'] are those of ['sound']",
    ),
    "other widths": (
        {"text": "parts.1"},
        {"channels": {"text": 5}},
        ValueError,
        "`channels` (={'text': 5}) must be what `example` shows, {'text': 4}",
    ),
    "channels of no modality": (
        {"text": "parts.1"},
        {"channels": 4},
        TypeError,
        "`channels` (=4) must be a mapping",
    ),
    "a threshold too high": (
        {"text": "parts.1"},
        {"threshold": 1.0},
        ValueError,
        "`init` (=0.1) must be above `threshold`",
    ),
}


@pytest.mark.unchecked
@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_right_is_refused_and_nothing_is_changed(name: str) -> None:
    at, settings, error, said = REFUSED[name]
    model, x = Unusual(), batch()
    keys = list(model.state_dict())
    with pytest.raises(error, match=re.escape(said)):
        mf.attach(model, at, x, **settings)
    assert list(model.state_dict()) == keys
    assert model.training
    assert not any(m._forward_hooks or m._forward_pre_hooks or "forward" in vars(m) for m in model.modules())


@pytest.mark.unchecked
def test_a_module_in_place_of_its_path() -> None:
    model = Unusual()
    with pytest.raises(
        TypeError, match=re.escape("`at` holds a module (Linear); it must hold paths: ['audio'].")
    ):
        mf.attach(model, {"audio": model.audio}, batch())


def test_one_mask_a_layer() -> None:
    model, x = Late(), batch()
    mask = mf.attach(model, AT, x)
    with pytest.raises(ValueError, match=r"`at` names \['text'\], which carry a mask already\."):
        mf.attach(model, {"text": "text"}, x)
    with pytest.raises(ValueError, match="it must be a layer, not a mask"):
        mf.attach(model, {"text": "complementary_mask"}, x)
    assert model.complementary_mask is mask
    other = mf.attach(model, "head", x, side="input")
    assert model.complementary_mask_2 is other
    assert mf.detach(model) == ["complementary_mask", "complementary_mask_2"]


@pytest.mark.unchecked
def test_what_is_no_network() -> None:
    for function in (lambda: mf.attach(3, AT), lambda: mf.detach(3), lambda: mf.check(3, ())):
        with pytest.raises(TypeError, match=r"`model` \(=3\) must be a module\."):
            function()
    with pytest.raises(
        ValueError, match=r"`model` \(Linear\) must have a mask that `attach` has put onto it\."
    ):
        mf.detach(nn.Linear(2, 2))
    with pytest.raises(ValueError, match=r"`model` \(Linear\) must hold a ComplementaryMask\."):
        mf.check(nn.Linear(2, 2), ())
    with pytest.raises(ValueError, match=r"`model` \(DataParallel\) must not be wrapped yet"):
        mf.attach(nn.DataParallel(Late()), AT, batch())


EXAMPLES = {
    "alike": (
        (torch.ones(6, 5), torch.randn(6, 3)),
        ValueError,
        "those of {'text': ('text',)} are all alike",
    ),
    "one sample": ((torch.randn(1, 5), torch.randn(1, 3)), ValueError, "at least two samples that differ"),
    "empty": ((), ValueError, "`example` (=()) is empty; it must hold the inputs of one call"),
    "a word": ("text", TypeError, "`example` of type str must be what the network is called with"),
}


@pytest.mark.parametrize("name", EXAMPLES)
def test_examples_that_prove_nothing(name: str) -> None:
    example, error, said = EXAMPLES[name]
    with pytest.raises(error, match=re.escape(said)):
        mf.attach(
            Late(), AT, example, modalities={"text": "text", "audio": "audio"} if name == "alike" else None
        )


@pytest.mark.unchecked
def test_a_call_of_ones_own() -> None:
    model, (text, audio) = Late(), batch()
    with pytest.raises(TypeError, match=r"`call` \(=3\) must be a function of \(model, inputs by name\)\."):
        mf.attach(model, AT, (text, audio), call=3)
    mask = mf.attach(
        model,
        AT,
        {"a": audio, "t": text},
        call=lambda net, x: net(x["t"], x["a"]),
        modalities={"text": "t", "audio": "a"},
    )
    assert mask.channels == {"text": 4, "audio": 2}
