"""Places that are unusual: nested, missing, by hand, of several arguments."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, fx, nn

import maskfusion as mf
from tests.support.attaching import AT, Late, Recurrent, batch
from tests.support.helpers import Sum, set_weight
from tests.support.towers import Box, Towers


class Mixer(Late):
    """Hands its features on in some form."""

    def __init__(self, hand_on: Callable[[nn.Module, Tensor, Tensor], Any]) -> None:
        super().__init__()
        self.hand_on, self.fusion, self.text_2 = hand_on, AddUp(), nn.Linear(5, 3)

    def forward(self, text: Tensor, audio: Tensor) -> Tensor:
        return self.hand_on(self, self.text(text), self.audio(audio))


class AddUp(nn.Module):
    """Adds the means of all that it gets."""

    def forward(self, *features: Any, **named: Any) -> Tensor:
        found = []
        for each in (*features, *named.values()):
            inside = each.values() if isinstance(each, dict) else each if isinstance(each, list) else [each]
            found += [value.flatten(1).mean(1) for value in inside if value is not None]
        return torch.stack(found).sum(0)


def attached(
    hand_on: Callable[[nn.Module, Tensor, Tensor], Any], **settings: Any
) -> tuple[Mixer, mf.ComplementaryMask]:
    model = Mixer(hand_on)
    return model, mf.attach(model, "fusion", batch(), side="input", **settings)


@pytest.mark.parametrize(
    "hand_on",
    [
        lambda m, a, b: m.fusion([a, b]),
        lambda m, a, b: m.fusion({"x": a, "y": b}),
        lambda m, a, b: m.fusion(features={"x": a, "y": b}),
        lambda m, a, b: m.fusion(a[:, None, None], audio=b),
    ],
    ids=["list", "mapping", "keyword", "both"],
)
def test_features_inside_of_arguments(hand_on: Callable[..., Any]) -> None:
    model, mask = attached(hand_on, channel_dim=-1)
    assert mask.channels == {"text": 4, "audio": 2}
    set_weight(mask, 0.0)
    assert not model(*batch()).any()


def test_a_key_or_an_argument_that_is_left_out_is_no_matter() -> None:
    model, mask = attached(lambda m, a, b: m.fusion({"x": a, "y": b}))
    set_weight(mask, 0.0)
    model.hand_on = lambda m, a, b: m.fusion({"x": a, "z": b + 1})
    assert model(*batch()).all()
    model, mask = attached(lambda m, a, b: m.fusion(a, b))
    model.hand_on = lambda m, a, _: m.fusion(a, None)
    assert mf.check(model, batch()).wires[0].closed is False
    model.hand_on = lambda m, a, _: m.fusion(a)
    set_weight(mask, 0.0)
    assert not model(*batch()).any()
    assert "text      0/4   argument 0 of fusion\n" in repr(mask)
    assert "audio     0/2   argument 1 of fusion\n" in repr(mask)


def test_entries_inside_of_entries() -> None:
    model, x = Recurrent(), batch()
    with pytest.raises(ValueError, match=r"`text` returns a tuple.*`entry=`, of \[0, '1.0', '1.1'\]"):
        mf.attach(model, AT, x)
    mask = mf.attach(model, AT, x, entry={"text": "1.0"})
    assert mask.channels == {"text": 4, "audio": 2}
    assert mf.check(model, x).problems == ()


def test_a_layer_that_returns_nothing_has_found_its_modality_missing() -> None:
    class Optional(Late):
        def forward(self, text: Tensor | None, audio: Tensor) -> Tensor:
            words = self.text(text)
            return self.head(torch.cat([self.audio(audio), torch.zeros(6, 4) if words is None else words], 1))

    class Missing(nn.Linear):
        def forward(self, x: Tensor | None) -> Tensor | None:
            return None if x is None else super().forward(x)

    model, (text, audio) = Optional(), batch()
    model.text = Missing(5, 4)
    mf.attach(model, AT, (text, audio))
    assert model(None, audio).isfinite().all()


def test_the_proof_fails_and_the_mask_is_gone() -> None:
    class Changing(Late):
        """Calls a layer twice, with other widths."""

        def forward(self, text: Tensor, audio: Tensor) -> Tensor:
            return self.shared(text).sum(1) + self.shared(audio).sum(1)

    model, x = Changing(), batch()
    model.shared = nn.Identity()
    with pytest.raises(ValueError, match=r"`output of shared` of shape \(6, 3\) must have .* 5 channels"):
        mf.attach(model, {"text": "shared"}, x)
    assert not hasattr(model, "complementary_mask")
    assert not model.shared._forward_hooks


def test_an_encoder_that_is_gone_stays_as_it_is_when_the_mask_goes() -> None:
    model = Towers()
    mf.attach(model, {"words": "encoder.layers.1"}, channels={"words": 6}, channel_dim=-1)
    model.encoder = nn.Identity()
    assert mf.detach(model) == ["complementary_mask"]


def test_fx_says_what_to_do() -> None:
    model, _ = attached(lambda m, a, b: m.fusion(a, b))
    with pytest.raises(
        TypeError, match=r"argument 0 of fusion: fx\.symbolic_trace sees no tensor here\. Trace"
    ):
        fx.symbolic_trace(model)


def test_layers_on_other_devices_than_the_mask() -> None:
    """A network spread over devices; the meta device stands for a second one."""
    model = Late()
    mask = mf.attach(model, AT, batch())
    model.audio.to("meta")
    assert model.audio(torch.empty(6, 3, device="meta")).device.type == "meta"
    features = model.text(batch()[0])
    assert features.device == mask.weight.device == torch.device("cpu")


def test_an_entry_tells_the_argument_of_a_modality() -> None:
    said = r"'text' is still heard: `fusion` also takes argument 0, unmasked, and the output depends on it\. Name it with `entry=`, alone or"
    with pytest.warns(mf.WiringWarning, match=said):
        _, mask = attached(lambda m, a, b: m.fusion(a, a + 1, b), entry={"text": 1})
    assert "text      4/4   argument 1 of fusion\n" in repr(mask)
    assert "audio     2/2   argument 2 of fusion\n" in repr(mask)
    model, mask = attached(lambda m, a, b: m.fusion(a, a + 1, b), entry={"text": [0, 1], "audio": 2})
    assert mask.channels == {"text": 8, "audio": 2}
    assert mf.check(model, batch()).problems == ()


def test_by_keyword_and_by_place_together() -> None:
    mask = mf.ComplementaryMask({"a": 2, "b": 2}, fusion=Sum(), side="input")
    assert mask(torch.ones(1, 2), b=torch.ones(1, 2)).tolist() == [[2.0, 2.0]]
    assert mask(b=torch.ones(1, 2), a=torch.ones(1, 2)).tolist() == [[2.0, 2.0]]


def test_a_mask_over_one_input_and_outputs_of_other_kinds() -> None:
    class Whole(Late):
        """Takes one mapping with a setting in it; returns a class, nothing, and as many rows as they say."""

        def forward(self, inputs: dict[str, Any]) -> Any:
            scores = super().forward(inputs["text"], inputs["audio"]) * inputs["scale"]
            rows = int(1000 * scores[0, 0].abs()) % 6
            return {
                "best": (100 * scores).long(),
                "none": scores[:0],
                "box": Box(scores),
                "few": scores[:rows],
            }

    model, (text, audio) = Whole(), batch()
    x = {"text": text, "audio": audio, "scale": 2.0}
    mf.attach(model, AT, x)
    assert mf.check(model, x).problems == ()
    assert mf.check(model, (x,)).problems == ()
    single = nn.Sequential(nn.Linear(5, 4), nn.Linear(4, 2))
    assert mf.attach(single, {"only": "0"}, text).channels == {"only": 4}


def test_dimensions_by_hand() -> None:
    mask = mf.attach(Late(), AT, channels={"text": 4, "audio": 2}, channel_dim={"text": 1, "audio": -1})
    assert [place.channel_dim for place in mask.places] == [1, -1]


def test_modalities_that_are_named_keep_their_order() -> None:
    _, mask = attached(lambda m, a, b: m.fusion(a, b), modalities=["audio", "text"])
    assert mask.channels == {"audio": 2, "text": 4}


class Clouds(nn.Module):
    """Takes a list of clouds of points, and sentences."""

    def __init__(self) -> None:
        super().__init__()
        self.points, self.words, self.head = nn.Linear(3, 4), nn.EmbeddingBag(128, 4), nn.Linear(8, 2)

    def forward(self, points: list[Tensor], words: list[str]) -> Tensor:
        clouds = torch.stack([self.points(cloud).amax(0) for cloud in points])
        letters = torch.tensor([[ord(letter) % 128 for letter in each.ljust(5)[:5]] for each in words])
        return self.head(torch.cat([clouds, self.words(letters)], 1))


def test_lists_hold_a_sample_an_entry() -> None:
    model = Clouds()
    x = {"points": [torch.randn(size, 3) for size in (4, 5, 6)], "words": ["a cat", "dogs", ""]}
    at = {"points": "points", "words": "words"}
    assert mf.attach(model, at, x, channel_dim=-1).channels == {"points": 4, "words": 4}
    assert mf.check(model, x).problems == ()


class Detector(nn.Module):
    """Takes one mapping per sample, as detectors do, and returns one."""

    def __init__(self) -> None:
        super().__init__()
        self.image, self.caption, self.head = nn.Conv2d(3, 4, 3), nn.EmbeddingBag(128, 4), nn.Linear(8, 2)

    def forward(self, samples: list[dict[str, Any]], least: float = 0.0) -> list[dict[str, Any]]:
        width = max(each["image"].shape[2] for each in samples)
        images = [nn.functional.pad(each["image"], (0, width - each["image"].shape[2])) for each in samples]
        letters = torch.tensor([[ord(letter) for letter in each["caption"][:3]] for each in samples])
        features = [self.image(torch.stack(images)).amax((2, 3)), self.caption(letters)]
        return [{"scores": scores.clamp(min=least)} for scores in self.head(torch.cat(features, 1)).sigmoid()]


def test_a_mapping_a_sample() -> None:
    """As many samples as an image has channels; some know more of themselves."""
    model = Detector()
    x: list[dict[str, Any]] = [
        {"image": torch.randn(3, 6, 7), "caption": "a cat", "id": 1},
        {"image": torch.randn(3, 6, 8), "caption": "dogs", "id": 2},
        {"image": torch.randn(3, 6, 9), "caption": "none", "id": 3, "truth": torch.ones(2)},
    ]
    before = model(x)
    mask = mf.attach(model, {"image": "image", "caption": "caption"}, x)
    assert mask.channels == {"image": 4, "caption": 4}
    assert mask.sources == {"image": ("image",), "caption": ("caption",)}
    torch.testing.assert_close(model(x), before, rtol=0, atol=0)
    set_weight(mask, torch.tensor([-1.0] * 4 + [0.2] * 4))
    assert mf.check(model, x).problems == ()
    by_hand = mf.check(
        model,
        x,
        call=lambda model, inputs: model(
            [{"image": a, "caption": b} for a, b in zip(inputs["image"], inputs["caption"], strict=True)]
        ),
    )
    assert by_hand.problems == ()


class Cosine(Late):
    """How alike the two are, as in CLIP: something divides by the length of each."""

    def forward(self, text: Tensor, audio: Tensor) -> Tensor:
        first, second = (nn.functional.pad(each, (0, 1)) for each in (self.text(text), self.audio(audio)))
        first, second = (each / each.norm(dim=1, keepdim=True) for each in (first[:, :2], second[:, :2]))
        return first @ second.T


def test_a_check_knows_whose_the_inputs_are_as_attach_has_found() -> None:
    """Where closing makes everything NaN, listening could not tell."""
    model = Cosine()
    with pytest.warns(mf.WiringWarning, match="makes the output NaN or infinite"):
        mask = mf.attach(model, {"words": "text", "voice": "audio"}, batch())
    wiring = mf.check(model, batch())
    assert [wire.inputs for wire in wiring.wires] == [("text",), ("audio",)]
    assert all("divides by the length" in problem for problem in wiring.problems)
    mask.sources = {"words": ("text_of_old",), "voice": ("audio",)}  # the network took other inputs then
    with pytest.raises(ValueError, match="`modalities` must say which of the inputs"):
        mf.check(model, batch())
