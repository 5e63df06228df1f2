"""What is wrong with a mask is said at once, with the way and the cure; where all is right nothing is."""

import re
import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import maskfusion as mf
from maskfusion.mask.wiring import Wire
from tests.support.attaching import AT, Late, Sorted, batch


class Residual(Late):
    """Around the reader goes a sum of what it reads."""

    def forward(self, text: Tensor, audio: Tensor) -> Tensor:
        fused = torch.cat([self.audio(audio), self.text(text)], 1)
        return fused.sum(1, keepdim=True) + self.head(fused)


class SecondPath(Late):
    """Audio reaches the head by a layer of its own too."""

    def __init__(self) -> None:
        super().__init__()
        self.skip, self.last = nn.Linear(3, 3), nn.Linear(3, 2)

    def forward(self, text: Tensor, audio: Tensor) -> Tensor:
        return self.last(super().forward(text, audio) + self.skip(audio))


class CrossModal(Late):
    """The encoder of text looks at audio."""

    def __init__(self) -> None:
        super().__init__()
        self.text = nn.Linear(8, 4)

    def forward(self, text: Tensor, audio: Tensor) -> Tensor:
        return self.head(torch.cat([self.audio(audio), self.text(torch.cat([text, audio], 1))], 1))


class Product(Late):
    """One zero ends all."""

    def forward(self, text: Tensor, audio: Tensor) -> Tensor:
        return self.text(text)[:, :2] * self.audio(audio)


class Normed(Late):
    """Divides by the length of the features of text."""

    def forward(self, text: Tensor, audio: Tensor) -> Tensor:
        text = self.text(text)
        return self.head(torch.cat([self.audio(audio), text / text.norm(dim=1, keepdim=True)], 1))


class ZeroHead(Late):
    """Its head says nothing yet."""

    def __init__(self) -> None:
        super().__init__()
        nn.init.zeros_(self.head[2].weight)


WRONG: dict[str, tuple[Callable[[], nn.Module], Any, dict[str, Any], list[str]]] = {
    "a residual around the reader": (
        Residual,
        "head",
        {"side": "input"},
        [
            r"Closed, 'audio' is still heard: it reaches the output past the mask, outside of any layer\. Attach where its features leave",
            "Closed, 'text' is still heard",
        ],
    ),
    "a second path": (
        SecondPath,
        AT,
        {},
        [r"Closed, 'audio' is still heard: `skip` gets it past the mask, by a residual or a second path\."],
    ),
    "a cross-modal encoder": (
        CrossModal,
        AT,
        {},
        [
            r"Closed, 'audio' is still heard: the features of 'text', the output of text, hold it already, as in a cross-modal"
        ],
    ),
    "a product": (
        Product,
        AT,
        {},
        [
            r"Closed, 'text' silences 'audio' too: what joins them multiplies\.",
            r"Closed, 'audio' silences 'text' too: what joins them multiplies\.",
        ],
    ),
    "a norm": (
        Normed,
        AT,
        {},
        [r"Closed, 'text' makes the output NaN or infinite: something divides by the length"],
    ),
    "a head of zeros": (
        ZeroHead,
        AT,
        {},
        [
            r"'text' is not heard though all its channels are open",
            r"'audio' is not heard though all its channels are open",
        ],
    ),
}


@pytest.mark.unchecked
@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_said_with_the_way(name: str) -> None:
    build, at, settings, said = WRONG[name]
    model, x = build(), batch()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        mf.attach(model, at, x, **settings)
    assert [warning.category for warning in caught] == [mf.WiringWarning] * len(said)
    assert all(warning.filename == __file__ for warning in caught)
    wiring = mf.check(model, x)
    assert list(wiring.problems) == [str(warning.message) for warning in caught]
    for problem, words in zip(wiring.problems, said, strict=True):
        assert re.match(words, problem), problem


class Cat(nn.Module):
    def forward(self, text: Tensor, audio: Tensor) -> Tensor:
        return torch.cat([audio, text], 1)


class Equal(nn.Module):
    """Equal widths, joined in another order than that of the arguments."""

    def __init__(self) -> None:
        super().__init__()
        self.text, self.audio, self.fusion = nn.Linear(5, 4), nn.Linear(3, 4), Cat()
        self.head = nn.Linear(8, 2)

    def forward(self, text: Tensor, audio: Tensor) -> Tensor:
        return self.head(self.fusion(self.text(text), self.audio(audio)))


def test_channels_in_another_order_are_found_and_said() -> None:
    model, x = Equal(), batch()
    model.fusion = mf.ComplementaryMask({"text": 4, "audio": 4}, fusion=model.fusion)
    wiring = mf.check(model, x)
    assert [wire.closed for wire in wiring.wires] == [True, True]
    assert [wire.others for wire in wiring.wires] == [("audio",), ("text",)]
    assert all("stand in another order than `channels` says" in problem for problem in wiring.problems)
    model.fusion = mf.ComplementaryMask({"audio": 4, "text": 4}, fusion=model.fusion.fusion)
    assert mf.check(model, x).problems == ()
    with pytest.raises(
        ValueError, match=r"must be what `example` shows, \{'audio': 4, 'text': 4\}, in this order"
    ):
        mf.attach(Equal(), "fusion", x, channels={"text": 4, "audio": 4})
    assert mf.attach(Equal(), "fusion", x, channels={"audio": 4, "text": 4}).channels == {
        "audio": 4,
        "text": 4,
    }


class Twice(nn.Module):
    """Joins on two levels."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = Equal(), Equal()

    def forward(self, text: Tensor, audio: Tensor) -> Tensor:
        return torch.cat([self.one(text, audio), self.two(text, audio)], 1)


def test_one_of_two_masks_in_another_order() -> None:
    model, x = Twice(), batch()
    for part, names in ((model.one, ("audio", "text")), (model.two, ("text", "audio"))):
        part.fusion = mf.ComplementaryMask(dict.fromkeys(names, 4), fusion=part.fusion)
    wiring = mf.check(model, x)
    assert len(wiring.problems) == 2
    assert all("stand in another order" in problem for problem in wiring.problems)
    assert wiring.wires[0].masks == ("one.fusion", "two.fusion")
    model.two.fusion = mf.ComplementaryMask({"audio": 4, "text": 4}, fusion=model.two.fusion.fusion)
    assert mf.check(model, x).problems == ()
    model.two.fusion = model.two.fusion.fusion
    (problem, _) = mf.check(model, x).problems
    assert "`two.audio` gets it past the mask" in problem


def test_a_mask_that_was_made_by_hand_is_checked_later() -> None:
    model, x = Late(), batch()
    mask = mf.attach(model, AT, channels={"text": 4, "audio": 2}, channel_dim=1, gate=mf.random_gate(0.5))
    before = (mask.gate, mask.min_channels, model.training)
    wiring = mf.check(model, dict(zip(AT, x, strict=True)))
    assert wiring.problems == ()
    assert (mask.gate, mask.min_channels, model.training) == before
    assert str(wiring).splitlines() == [
        "modality  inputs  heard open  heard closed  silences",
        "text      text    yes         no            -",
        "audio     audio   yes         no            -",
        "All is right.",
    ]


def test_a_table_with_problems() -> None:
    model, x = SecondPath(), batch()
    with pytest.warns(mf.WiringWarning):
        mf.attach(model, AT, x)
    lines = str(mf.check(model, x)).splitlines()
    assert lines[2].split() == ["audio", "audio", "yes", "yes", "-"]
    assert lines[3].startswith("Closed, 'audio' is still heard")


def test_a_table_with_many_inputs_has_one_per_line() -> None:
    inputs = ("input_ids", "token_type_ids", "attention_mask", "position_ids")
    problem = "Closed, 'language' is still heard: `head` gets it past the mask, by a residual or a second path. Attach elsewhere."
    language = Wire("language", inputs, ("",), True, True, ("vision", "audio"), problem)
    wiring = mf.Wiring((language, Wire("vision", ("visual_feats",), ("",), True, False, (), "")))
    assert str(wiring).splitlines() == [
        "modality  inputs           heard open  heard closed  silences",
        "language  input_ids,       yes         yes           vision,",
        "          token_type_ids,                            audio",
        "          attention_mask,",
        "          position_ids",
        "vision    visual_feats     yes         no            -",
        "Closed, 'language' is still heard: `head` gets it past the mask, by a residual or a second path.",
        "Attach elsewhere.",
    ]


def test_outputs_that_are_upstream_of_the_mask_do_not_count() -> None:
    class Triple(Sorted):
        def forward(self, text: Tensor, audio: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            parts = {"text": self.text(text), "audio": self.audio(audio)}
            return parts["text"], parts["audio"], self.head(self.fusion(parts))

    model, x = Triple(), batch()
    mf.attach(model, "fusion", x)
    assert mf.check(model, x).problems == ()


def test_layers_that_have_lost_their_hooks_are_named() -> None:
    model, x = Late(), batch()
    mask = mf.attach(model, AT, x)
    model.text = nn.Linear(5, 4)
    with pytest.raises(ValueError, match=r"\['text'\] no longer carry mask 'complementary_mask'"):
        mf.check(model, x)
    assert mf.detach(model) == ["complementary_mask"]
    again = mf.attach(model, AT, x)
    again.load_state_dict(mask.state_dict())
    assert mf.check(model, x).problems == ()


def test_a_layer_that_carries_the_mask_of_another_network() -> None:
    model, x = Late(), batch()
    mf.attach(model, AT, x)
    part = Late()
    part.text = model.text
    mf_mask = mf.ComplementaryMask(6)
    part.other = mf_mask
    with pytest.raises(ValueError, match=r"\['text'\] carry a mask that is no part of this network"):
        mf.check(part, x)
    mf.detach(part)
    assert not part.text._forward_hooks


@pytest.mark.unchecked
def test_a_compiled_network_is_checked_as_it_was_written() -> None:
    model, x = Late(), batch()
    mf.attach(model, AT, x)
    compiled = torch.compile(model, fullgraph=True, backend="eager")
    compiled(*x)
    assert mf.check(compiled, x).problems == ()
    model.compile(fullgraph=True, backend="eager")
    assert mf.check(model, x).problems == ()
