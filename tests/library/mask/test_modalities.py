"""Modalities of which only some are named: the others are found as if none were."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

import maskfusion as mf


class Three(nn.Module):
    """Image, audio, and words of two inputs; one more is of no modality."""

    def __init__(self) -> None:
        super().__init__()
        self.see, self.listen, self.read = nn.Linear(5, 4), nn.Linear(3, 2), nn.Linear(6, 3)
        self.fusion, self.sum, self.head = Join(), Add(), nn.Linear(9, 2)

    def forward(self, image: Tensor, audio: Tensor, ids: Tensor, padding: Tensor, scale: Tensor) -> Tensor:
        parts = self.see(image), self.listen(audio), self.read(ids * padding)
        return self.head(self.fusion(*parts)) + self.sum(*parts, scale).sum(1, keepdim=True)


class Join(nn.Module):
    def forward(self, image: Tensor, audio: Tensor, words: Tensor) -> Tensor:
        return torch.cat([words, image, audio], 1)


class Add(nn.Module):
    def forward(self, image: Tensor, audio: Tensor, words: Tensor, scale: Tensor) -> Tensor:
        return scale * (image[:, :2] + audio + words[:, :2])


def batch() -> dict[str, Tensor]:
    return {
        "image": torch.randn(6, 5),
        "audio": torch.randn(6, 3),
        "ids": torch.randn(6, 6),
        "padding": torch.arange(1.0, 7)[:, None],
        "scale": torch.arange(1.0, 7)[:, None],
    }


AT = {"image": "see", "audio": "listen", "text": "read"}
WIDTHS = {"image": 4, "audio": 2, "text": 3}
WORDS = {"text": ("ids", "padding")}
FOUND = {"image": ("image",), "audio": ("audio",)}


@pytest.mark.filterwarnings("ignore::maskfusion.WiringWarning")
@pytest.mark.parametrize(
    ("at", "settings", "channels", "sources"),
    [
        (AT, {"modalities": {"text": ["ids", "padding"]}}, WIDTHS, {**FOUND, **WORDS}),
        (AT, {"modalities": {"text": "ids"}}, WIDTHS, {**FOUND, "text": ("ids",)}),
        (AT, {"modalities": {"image": "image", "rest": "scale"}}, WIDTHS, {**FOUND, **WORDS}),
        (
            {"sight": "see", "sound": "listen", "text": "read"},
            {"modalities": {"text": "ids"}},
            {"sight": 4, "sound": 2, "text": 3},
            {"sight": ("image",), "sound": ("audio",), "text": ("ids",)},
        ),
        ("fusion", {"modalities": {"text": ["ids", "padding"]}}, WIDTHS, {**WORDS, **FOUND}),
        ("fusion", {"modalities": {"text": "ids", "image": "image"}}, WIDTHS, {"text": ("ids",), **FOUND}),
        ("fusion", {}, {"ids": 3, "image": 4, "audio": 2}, {"ids": ("ids", "padding"), **FOUND}),
        ("head", {"side": "input", "modalities": {"text": "ids"}}, WIDTHS, {"text": ("ids",), **FOUND}),
        (
            "sum",
            {"side": "input", "modalities": {"text": "ids"}},
            {**WIDTHS, "scale": 1},
            {"text": ("ids",), **FOUND, "scale": ("scale",)},
        ),
        (
            "sum",
            {"side": "input", "modalities": {"text": "ids", "image": "image", "audio": "audio"}},
            WIDTHS,
            {"text": ("ids",), **FOUND},
        ),
    ],
)
def test_what_is_not_named_is_found(
    at: Any, settings: dict[str, Any], channels: dict[str, int], sources: dict[str, Any]
) -> None:
    mask = mf.attach(Three(), at, batch(), **settings)
    assert mask.channels == channels
    assert mask.sources == sources


def test_only_what_cannot_be_told_is_asked_for() -> None:
    at = {"sight": "see", "sound": "listen", "text": "read"}

    def call(net: nn.Module, inputs: dict[str, Any]) -> Any:
        return net(**{**inputs, "audio": inputs["audio"] + inputs["image"][:, :3]})

    with pytest.raises(
        ValueError, match=r"`modalities` must say which of the inputs .* are those of \['sight'\]"
    ):
        mf.attach(Three(), at, batch(), call=call, modalities={"text": ["ids", "padding"]})


@pytest.mark.filterwarnings("ignore::maskfusion.WiringWarning")
def test_a_check_finds_them_too() -> None:
    model, x = Three(), batch()
    by_hand = {"channels": WIDTHS, "channel_dim": 1}
    mask = mf.attach(model, AT, **by_hand)
    assert mask.sources == {}
    wires = mf.check(model, x, modalities={"text": ["ids"]}).wires
    assert {wire.modality: wire.inputs for wire in wires} == {**FOUND, "text": ("ids",)}
    mf.detach(model)
    mf.attach(model, AT, x)
    for named, inputs in (
        ({"text": "ids"}, {**FOUND, "text": ("ids",)}),
        ({"image": ["image", "padding"]}, {**FOUND, "image": ("image", "padding"), "text": ("ids",)}),
        ({"rest": "scale"}, {**FOUND, **WORDS}),
    ):
        wires = mf.check(model, x, modalities=named).wires
        assert {wire.modality: wire.inputs for wire in wires} == inputs
    with pytest.raises(
        ValueError, match=r"are those of \['audio'\]: .* It names \['rest'\], which the mask does not have\."
    ):
        mf.check(model, x, modalities={"rest": "audio"})


HEAD = (
    "`at`: channels of the output of `head` change with each of ['text', 'image', 'audio'], so they belong to none alone. Name the layers "
    "whose outputs are the modalities' own features, before they are mixed"
)
TAKES = " Or mask what this layer takes, with `side=\"input\"`: {'text': 3, 'image': 4, 'audio': 2}."
NAMED = {"text": ["ids", "padding"], "image": "image", "audio": "audio"}


@pytest.mark.parametrize(
    ("at", "modalities", "said"),
    [
        ("head", NAMED, f"{HEAD}.{TAKES}"),
        (
            "head",
            None,
            (
                "`modalities` must say which inputs are whose: ['image', 'audio', 'ids', 'padding'] all change the same channels. If they are "
                "several modalities, these are mixed there already; name layers before that. Or mask what this layer takes, with "
                "`side=\"input\"`: {'ids': 3, 'image': 4, 'audio': 2}."
            ),
        ),
        ("last", NAMED, HEAD.replace("head", "last") + "."),
    ],
)
def test_a_layer_that_mixes_may_be_masked_before(at: str, modalities: Any, said: str) -> None:
    model = Three()
    model.head, model.last = nn.Sequential(nn.Linear(9, 2)), nn.Identity()
    model.register_forward_hook(lambda net, _, output: net.last(output))
    with pytest.raises(ValueError, match=r"\A`") as caught:
        mf.attach(model, at, batch(), modalities=modalities)
    assert str(caught.value) == said
    if at == "head":
        with pytest.warns(mf.WiringWarning, match="`sum` gets it past the mask"):
            mask = mf.attach(model, at, batch(), modalities=modalities, side="input")
        assert TAKES.endswith(f"{mask.channels}.") == (modalities is not None)
