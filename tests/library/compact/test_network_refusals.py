"""compact of networks: what it refuses, and what the small network says to wrong inputs."""

from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import maskfusion as mf
from tests.support.helpers import set_weight

pytestmark = pytest.mark.unchecked  # the exporter cannot trace checks of shapes


@dataclass
class Result:
    """What a network returns that PyTorch does not know."""

    logits: Tensor


class Net(nn.Module):
    """Two modalities, one of them in a list, and a number."""

    def __init__(self, returns: Any = lambda x: x, **settings: Any) -> None:
        super().__init__()
        self.image, self.audio, self.head = nn.Linear(5, 4), nn.Linear(3, 4), nn.Linear(8, 2)
        self.mask = mf.ComplementaryMask({"image": 4, "audio": 4}, **settings)
        self.register_buffer("calls", torch.zeros(()))
        self.returns = returns

    def forward(self, image: Any, audio: Any, scale: float = 1.0, more: Any = None) -> Any:
        assert more is None
        audio = sum(audio) if isinstance(audio, list) else audio
        return self.returns(self.head(self.mask(self.image(image), self.audio(audio))) * scale)


def inputs() -> dict[str, Any]:
    return {"image": torch.randn(4, 5), "audio": [torch.randn(4, 3), torch.randn(4, 3)]}


def branching(output: Tensor) -> Tensor:
    return output + 1 if output.sum() > 0 else output


class Counting(Net):
    def forward(self, image: Any, audio: Any) -> Tensor:
        self.calls += 1
        return super().forward(image, audio) + self.calls


def test_what_is_refused() -> None:
    plain = nn.Linear(2, 2)
    for model, error, text in (
        ("model", TypeError, r"`model` \(='model'\) must be a module."),
        (plain, ValueError, r"`model` \(Linear\) must hold a ComplementaryMask."),
        (
            Net(gate=mf.random_gate(0.5, always=True)),
            ValueError,
            "`model`: mask 'mask' must have a gate that is not random in evaluation.",
        ),
        (Net(Result), ValueError, r"`model` returns Result; it must return tensors.* `entry='logits'`."),
        (Net(lambda x: {"a": [x, Result(x)]}), ValueError, "`model` returns Result"),
        (
            Net(branching),
            ValueError,
            r"`model` \(Net\) must go through torch.export, which says: .*no export.",
        ),
        (
            Counting(),
            ValueError,
            r"`model` must not change its state in evaluation; it writes \['model.calls'\].",
        ),
        (
            Net(lambda x: x + torch.rand(())),
            RuntimeError,
            "The smaller network gives other outputs than `model`",
        ),
    ):
        with pytest.raises(error, match=f"(?s){text}"):
            mf.compact(model, inputs())
    for example, error, text in (
        (3, TypeError, "`example` of type int"),
        ({}, ValueError, r"`example` \(=\{\}\) is empty"),
    ):
        with pytest.raises(error, match=text):
            mf.compact(Net(), example)
    with pytest.raises(ValueError, match="`modalities` names"):
        mf.compact(Net(), inputs(), modalities={"image": "picture"})
    with pytest.raises(ValueError, match="`entry`"):
        mf.compact(Net(), inputs(), entry="logits")


def test_a_network_that_has_lost_its_hooks() -> None:
    class Pair(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.joined, self.head = nn.Linear(4, 4), nn.Linear(4, 2)

        def forward(self, x: Tensor) -> Tensor:
            return self.head(self.joined(x))

    model = Pair()
    mf.attach(model, "joined", channels={"a": 2, "b": 2}, channel_dim=-1)
    model.joined = nn.Linear(4, 4)
    with pytest.raises(ValueError, match="no longer carry mask"):
        mf.compact(model, torch.randn(3, 4))


def test_an_entry_of_a_dataclass() -> None:
    model, example = Net(Result).eval(), inputs()
    small = mf.compact(model, example, entry="logits")
    torch.testing.assert_close(small(**example), model(**example).logits)
    several = mf.compact(Net(lambda x: {"a": (x, None, x.argmax(1), 3)}).eval(), example)(**example)["a"]
    assert several[1] is None
    assert several[2].dtype == torch.int64
    assert several[3] == 3


def test_wrong_inputs_of_the_small_network() -> None:
    torch.manual_seed(0)
    model, example = Net().eval(), inputs()
    with torch.no_grad():
        model.mask.weight[:4] = 0.0
    small = mf.compact(model, {**example, "scale": 2.0})
    torch.testing.assert_close(small(**example), model(**example, scale=2.0))
    image, audio = example.values()
    torch.testing.assert_close(small(image, audio, None, None), small(audio=audio))
    for args, kwargs, error, text in (
        ((image,), {}, TypeError, r"`audio` must be given: the network reads it. It does not read \['image'"),
        ((), {"audio": None}, TypeError, "`audio` must be given"),
        (
            (),
            {"audio": audio, "sound": audio},
            TypeError,
            r"The inputs must be those of the example, \['image', 'audio', ",
        ),
        (
            (image, audio),
            {"audio": audio},
            TypeError,
            r"each once; got 2 by position and \['audio'\] by name.",
        ),
        ((image, audio, 1, 2, 3), {}, TypeError, "got 5 by position"),
        ((image, audio, None, 3), {}, TypeError, "got 4 by position"),
        ((image, audio[:1]), {}, TypeError, "`audio` must hold 2 tensors, as in the example, got 1."),
        ((image, [audio[0], 2]), {}, TypeError, r"`audio` \(=2\) must be a tensor, as in the example."),
        (
            (image, [audio[0], audio[1][:, :2]]),
            {},
            ValueError,
            r"`audio` of shape \(4, 2\) must have shape \(batch, 3\)",
        ),
        ((image, [audio[0], audio[1][0]]), {}, ValueError, r"`audio` of shape \(3,\) must have shape"),
    ):
        with pytest.raises(error, match=text):
            small(*args, **kwargs)


class Captions(nn.Module):
    """Takes one mapping per sample: an image, words, and what nobody reads."""

    def __init__(self) -> None:
        super().__init__()
        self.image, self.words, self.head = nn.Linear(5, 4), nn.EmbeddingBag(128, 4), nn.Linear(8, 2)

    def forward(self, samples: list[dict[str, Any]]) -> list[dict[str, Tensor]]:
        letters = [sample["letters"] for sample in samples]
        codes = [
            torch.tensor([ord(one) for one in each]) if isinstance(each, str) else each for each in letters
        ]
        images = self.image(torch.stack([sample["image"] for sample in samples]))
        scores = self.head(torch.cat([images, self.words(torch.stack(codes))], 1))
        return [{"scores": each} for each in scores]


def samples(letters: Any = lambda word: torch.tensor([ord(one) for one in word])) -> list[dict[str, Any]]:
    words = ("cat", "dog", "owl")
    return [
        {"image": torch.randn(5), "letters": letters(word), "name": word, "boxes": [torch.zeros(4)] * number}
        for number, word in enumerate(words)
    ]


def test_words_that_the_network_reads() -> None:
    """The exporter takes them for constants; those that it does not read may be any."""
    model = Captions()
    mask = mf.attach(
        model,
        {"image": "image", "words": "words"},
        samples(),
        modalities={"image": "image", "words": "letters"},
    )
    set_weight(mask, torch.tensor([-1.0] * 2 + [0.2] * 6))
    with pytest.raises(
        ValueError,
        match=r"`example`: the network reads what is no tensor in `letters` \(=\['cat', 'dog', 'owl'\]\), .* Make tensors of it",
    ):
        mf.compact(model, samples(str))
    small = mf.compact(model, samples())
    others = [{**sample, "name": "?"} for sample in samples()][::-1]
    assert small.unread == ("name", "boxes")
    assert [share.modality for share in small.report.shares][:2] == ["image", "words"], "as attach has found"
    for one, other in zip(model.eval()(others), small(others), strict=True):
        torch.testing.assert_close(one["scores"], other["scores"])


def test_flags_stay_as_they_were() -> None:
    x = inputs()
    model = Net().eval()
    small = mf.compact(model, {**x, "scale": 2.0})
    torch.testing.assert_close(small(**x), model(**x, scale=2.0))
    torch.testing.assert_close(small(**x, scale=2.0), model(**x, scale=2.0))
    for other in (3.0, torch.tensor(2.0)):
        with pytest.raises(
            ValueError,
            match=r"`scale` \(=.*3.0|2.*\) must be 2.0 as in the example, for which the network was made smaller\. For another, `compact`",
        ):
            small(**x, scale=other)
