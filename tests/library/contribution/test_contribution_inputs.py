"""How inputs are read, how one is left out, and what one score a target means (P10, P13, P23)."""

import re

import pytest
import torch
from torch import Tensor, nn

import maskfusion as mf
from maskfusion.contribution import accuracy, by_keyword, by_position, left_out

IMAGE, AUDIO = torch.cartesian_prod(torch.tensor([-1.0, 1.0]), torch.tensor([-1.0, 1.0])).split(1, dim=1)
TARGET = (IMAGE[:, 0] > 0).long()
SHAPLEY = {"image": 0.5, "audio": 0.0}


class Positional(nn.Module):
    """The class is the sign of the first; either may be missing."""

    def forward(self, image: Tensor | None = None, audio: Tensor | None = None) -> Tensor:
        score = 1e-3 + sum(
            (0 * each if each is audio else each for each in (image, audio) if each is not None),
            torch.zeros(4, 1),
        )
        return torch.cat([-score, score], 1)


class Mapped(nn.Module):
    """The same from one mapping."""

    def __init__(self) -> None:
        super().__init__()
        self.net = Positional()
        self.keys: list[set[str]] = []

    def forward(self, inputs: dict[str, Tensor]) -> Tensor:
        self.keys.append(set(inputs))
        return self.net(**inputs)


def measured(model: nn.Module, inputs: object, **options) -> dict[str, float]:
    return mf.measure_contributions(model, [(inputs, TARGET)], **options).shapley


@pytest.mark.parametrize("inputs", [(IMAGE, AUDIO), [IMAGE, AUDIO]])
def test_p13_a_sequence_is_given_by_position(inputs: object) -> None:
    assert measured(Positional(), inputs) == SHAPLEY, "under the names of the parameters"
    assert measured(Positional(), inputs, modalities=["0"]) == {"0": 0.5}
    assert list(measured(Positional(), inputs, call=lambda model, x: model(*x.values()))) == ["0", "1"]


@pytest.mark.unchecked
@pytest.mark.parametrize(
    "model",
    [Positional(), Mapped(), nn.DataParallel(Positional()), torch.compile(Positional(), backend="eager")],
    ids=["keywords", "mapping", "wrapped", "compiled"],
)
def test_p13_a_mapping_is_given_as_forward_takes_it(model: nn.Module) -> None:
    assert measured(model, {"audio": AUDIO, "image": IMAGE}) == SHAPLEY


@pytest.mark.parametrize("call", [None, by_keyword, by_position])
def test_p10_left_out(call) -> None:
    model = Positional()
    assert measured(model, {"image": IMAGE, "audio": AUDIO}, call=call, absent=left_out) == SHAPLEY
    result = mf.measure_contributions(Positional(), [((IMAGE, AUDIO), TARGET)], absent=left_out)
    assert (result.shapley, result.absent) == (SHAPLEY, "left_out")


def test_p10_left_out_of_a_mapping_has_no_key() -> None:
    model = Mapped()
    assert measured(model, {"image": IMAGE, "audio": AUDIO}, absent=left_out) == SHAPLEY
    assert model.keys == [set(), {"image"}, {"audio"}, {"image", "audio"}]


class Strict(nn.Module):
    """It needs one at least, and cannot do without the first."""

    def forward(self, image: Tensor | None = None, audio: Tensor | None = None) -> Tensor:
        given = [each for each in (image, audio) if each is not None]
        if not given:
            raise RuntimeError("nothing to look at")
        return torch.cat(given, 1)


def test_p10_a_network_that_cannot_do_without_any() -> None:
    text = (
        "`absent` leaves out every input once, to score the model with none, and `call` cannot do without any "
        "(RuntimeError: nothing to look at): return a prediction there, or take another way of being absent."
    )
    with pytest.raises(ValueError, match=f"^{re.escape(text)}$") as caught:
        measured(Strict(), {"image": IMAGE, "audio": AUDIO}, absent=left_out)
    assert isinstance(caught.value.__cause__, RuntimeError)


def test_an_error_of_the_network_itself_is_passed_on() -> None:
    def fails(*_: object) -> Tensor:
        raise RuntimeError("out of order")

    with pytest.raises(RuntimeError, match=r"^out of order$"):
        measured(Positional(), {"image": IMAGE, "audio": AUDIO}, call=fails)


@pytest.mark.parametrize("shape", [(4, 1), (4, 1, 2, 2)])
def test_p23_one_score_a_target_is_refused(shape: tuple[int, ...]) -> None:
    text = f"`prediction` of shape {shape} has one score a target, which does not say where a class begins"
    with pytest.raises(ValueError, match=re.escape(text)):
        accuracy(torch.ones(shape), torch.zeros(4, *shape[2:]))
    result = mf.measure_contributions(
        Positional(), [((IMAGE, AUDIO), TARGET)], call=lambda model, x: by_position(model, x)[:, 1] > 0
    )
    assert result.with_all == 1.0


def contributions(shapley: list[float], kept: dict[str, list[float]], error: float = 0.0) -> mf.Contributions:
    """Two modalities in a game where each adds what it adds."""
    names = ("image", "audio")
    first, second = shapley
    values = {(): 0.25, ("image",): 0.25 + first, ("audio",): 0.25 + second, names: 0.25 + first + second}
    return mf.Contributions(
        metric="accuracy",
        absent="zeroed",
        modalities=names,
        values=values,
        shapley=dict(zip(names, shapley, strict=True)),
        error=dict.fromkeys(names, error),
        orders=None,
        kept={path: dict(zip(names, shares, strict=False)) for path, shares in kept.items()},
        zeta=dict.fromkeys(kept, 1.0),
    )


def test_p1_a_closed_modality_that_contributes_contradicts_the_mask() -> None:
    result = contributions([0.51, 0.0], {"": [0.0, 100.0]})
    sentence = (
        "'image' has no open channel, yet its input changes the accuracy (Shapley 0.51): the mask is not where it comes in, or another way "
        "leads around the mask."
    )
    assert result.contradictions == [sentence]
    assert " ".join(str(result).splitlines()[-2:]) == sentence
    assert contributions([0.51, 0.0], {"early": [0.0, 100.0], "late": [50.0, 100.0]}).contradictions[:1] != [
        sentence
    ]


def test_p15_shares_that_rank_otherwise_than_contributions() -> None:
    result = contributions([0.4, 0.0], {"fusion": [69.0, 75.0]})
    sentence = (
        "'image' contributes most (Shapley 0.40), but mask 'fusion' leaves 'audio' more open (75 against 69 %): do not rank modalities by "
        "these shares. They may not have settled, or need a larger lambda."
    )
    assert result.contradictions == [sentence]
    nameless = contributions([0.4, 0.0], {"": [69.0, 75.0]})
    assert "but the mask leaves 'audio'" in nameless.contradictions[0]


@pytest.mark.parametrize(
    ("shapley", "kept", "error"),
    [
        ([0.4, 0.0], {"": [75.0, 69.0]}, 0.0),
        ([0.4, 0.39], {"": [69.0, 75.0]}, 0.0),
        ([0.4, 0.1], {"": [69.0, 75.0]}, 0.1),
        ([0.0, 0.4], {"": [0.0, 100.0]}, 0.0),
        ([0.4, 0.3], {}, 0.0),
        ([0.4, 0.3], {"": [10.0]}, 0.0),
        ([0.4, 0.3], {"": [0.0, 10.0], "other": [50.0]}, 0.0),
    ],
)
def test_what_agrees_or_cannot_be_told_is_no_contradiction(shapley, kept, error) -> None:
    assert contributions(shapley, kept, error).contradictions == []


class Reads(nn.Module):
    """A picture, and words of which a padding mask says which are real: attention is NaN where none is."""

    def __init__(self) -> None:
        super().__init__()
        self.image, self.words, self.head = nn.Linear(2, 2), nn.Embedding(5, 2), nn.Linear(4, 2)

    def forward(self, pixels: Tensor, ids: Tensor, real: Tensor) -> Tensor:
        weights = torch.zeros(ids.shape).masked_fill(real == 0, -torch.inf).softmax(1)
        text = (weights[..., None] * self.words(ids)).sum(1)
        return self.head(torch.cat([self.image(pixels), text], 1))


def reading() -> tuple[dict[str, Tensor], Tensor]:
    real = torch.ones(6, 3, dtype=torch.int64)
    real[0, 2] = 0
    return {"pixels": torch.randn(6, 2), "ids": torch.randint(1, 5, (6, 3)), "real": real}, torch.arange(
        6
    ) % 2


def test_modalities_are_those_that_attach_has_found() -> None:
    model, (inputs, target) = Reads().eval(), reading()
    mf.attach(
        model, {"image": "image", "text": "words"}, inputs, modalities={"image": "pixels", "text": "ids"}
    )
    result = mf.measure_contributions(model, [(inputs, target)])
    assert result.modalities == ("image", "text")
    assert "ids" not in str(result)
    by_position = mf.measure_contributions(model, [(tuple(inputs.values()), target)])
    assert by_position.shapley == result.shapley
    named = mf.measure_contributions(model, [(inputs, target)], modalities={"image": "pixels", "text": "ids"})
    assert named.values == result.values
    others = {"a": inputs["pixels"], "b": inputs["ids"], "c": inputs["real"]}
    renamed = mf.measure_contributions(
        model, [(others, target)], call=lambda model, x: model(*x.values()), modalities=["a", "b"]
    )
    assert renamed.modalities == ("a", "b")


def test_scores_that_are_no_numbers() -> None:
    model, (inputs, target) = Reads().eval(), reading()
    with pytest.raises(
        ValueError,
        match=r"`call` returned NaN without \{'text': \['ids', 'real'\]\}, whose inputs are zeroed\. A padding mask of zeros .* `permuted`\.",
    ):
        mf.measure_contributions(
            model, [(inputs, target)], modalities={"image": "pixels", "text": ["ids", "real"]}
        )
    with torch.no_grad():
        model.head.bias[0] = torch.nan
    with pytest.raises(
        ValueError, match=r"`call` returned NaN with all modalities there; the model must predict"
    ):
        mf.measure_contributions(model, [(inputs, target)], modalities=["pixels", "ids"])
    own = mf.measure_contributions(
        model,
        [(inputs, target)],
        modalities=["pixels", "ids"],
        metric=lambda scores, _: scores.isnan().float().mean(),
    )
    assert own.values["pixels", "ids"] == 0.5, "a metric of one's own knows what to do"
