"""What measuring contributions refuses: the argument, its value, the rule."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

import maskfusion as mf
from maskfusion.contribution import accuracy, mean_replaced, permuted, shapley_values
from tests.support.messages import Case, check, expect

pytestmark = pytest.mark.unchecked

ONE, TWO = torch.ones(2, 3), torch.ones(4, 3)
BATCH = {"image": ONE, "audio": ONE}, torch.zeros(2)


def wrong(batches: object = (BATCH,), **options: Any) -> Callable[[], object]:
    """The call, with classes as predictions unless told otherwise."""
    options = {"call": lambda _, x: x["image"][:, 0].long(), **options}
    model = options.pop("model", nn.Linear(3, 2))
    return lambda: mf.measure_contributions(model, batches, **options)


def pair(target: object = BATCH[1], **inputs: object) -> tuple[object, object]:
    """A batch with other inputs or another target."""
    return {**BATCH[0], **inputs}, target


EMPTY = "`batches` is empty; it must hold at least one sample."
SHAPES = "`batches` gives samples of 'image' in different shapes; they must have one shape."
NOT_A_PAIR = "`batches` gives a Tensor; it must give pairs (inputs, target)."

ARGUMENTS: list[Case] = [
    (wrong(model=accuracy), TypeError, f"`model` (={accuracy!r}) must be a module."),
    *(
        (wrong(**{name: 3}), TypeError, f"`{name}` (=3) must be a function.")
        for name in ("metric", "absent", "call")
    ),
    (wrong(orders=1), ValueError, "`orders` (=1) must be an integer of at least 2."),
    (wrong(orders=2.0), TypeError, "`orders` (=2.0) must be an integer of at least 2."),
    (
        wrong(modalities="image"),
        TypeError,
        "`modalities` (='image') must be a sequence of names, or a mapping of modality to names.",
    ),
    *(
        (
            wrong(modalities=names),
            ValueError,
            f"`modalities` (={names!r}) must hold at least one name, and no name twice.",
        )
        for names in ([], {}, {"image": []}, ["image", "image"], {"a": "image", "b": ["image"]})
    ),
    (
        wrong(modalities=["image", "x"]),
        ValueError,
        "`modalities` names ['x']; the inputs are ['image', 'audio'].",
    ),
]

BATCHES: list[Case] = [
    (wrong([]), ValueError, EMPTY),
    (wrong([({"image": ONE[:0]}, ONE[:0])]), ValueError, EMPTY),
    (wrong([ONE]), TypeError, NOT_A_PAIR),
    (wrong([(*BATCH, ONE)]), TypeError, "`batches` gives a tuple of 3; it must give pairs (inputs, target)."),
    (
        wrong([(ONE, ONE)]),
        TypeError,
        "`batches` gives inputs of type Tensor; they must be a mapping of name to tensor, or a sequence of tensors.",
    ),
    (
        wrong([BATCH, ({"image": ONE}, ONE)]),
        ValueError,
        "`batches` gives inputs ['image']; 'audio' must be in every batch.",
    ),
    (
        wrong([pair(audio=[1, 2])]),
        TypeError,
        "`batches` gives 'audio' as a list; an input that is taken away must be a tensor of samples: name those that are",
    ),
    (
        wrong([pair(audio=torch.tensor(1.0))]),
        TypeError,
        "`batches` gives 'audio' as a Tensor of shape (); an input",
    ),
    (
        wrong([pair(audio=TWO)]),
        ValueError,
        "`batches` gives inputs with {'image': 2, 'audio': 4} samples; they must have the same number.",
    ),
    (wrong([pair([0, 1])]), TypeError, "`batches` gives a target of type list; it must be a tensor."),
    (
        wrong([pair(TWO)]),
        ValueError,
        "`batches` gives a target of shape (4, 3); its first dimension must be the 2 samples.",
    ),
    (
        wrong([BATCH, pair(ONE)]),
        ValueError,
        "`batches` gives targets of shapes [(), (3,)] per sample; they must have one shape.",
    ),
]

RESULTS: list[Case] = [
    (
        wrong(call=lambda *_: (ONE,)),
        TypeError,
        "`call` returned predictions of type tuple; it must be a tensor.",
    ),
    (
        wrong(call=lambda *_: torch.tensor(0)),
        ValueError,
        "`call` returned predictions of shape (); its first dimension must be the 2 samples.",
    ),
    (
        wrong([BATCH, pair(image=ONE[:, :2])], call=lambda _, x: x["image"]),
        ValueError,
        "`call` returned predictions of shapes [(2,), (3,)] per sample; they must have one shape.",
    ),
    (
        wrong(absent=lambda *_: 0),
        TypeError,
        "`absent` gave a int for 'image'; it must give a tensor, or None.",
    ),
    (
        wrong(absent=lambda *_: TWO),
        ValueError,
        "`absent` gave shape (4, 3) for 'image'; it must give shape (2, 3).",
    ),
    (
        wrong(absent=mean_replaced([pair(image=ONE[:, :2])])),
        ValueError,
        "`absent` gave shape (2, 2) for 'image'",
    ),
    (wrong(metric=lambda *_: None), TypeError, "`metric` returned a NoneType; it must return one number."),
    (
        wrong(metric=lambda *_: ONE),
        TypeError,
        "`metric` returned a Tensor of shape (2, 3); it must return one number.",
    ),
]

PARTS: list[Case] = [
    *(
        case
        for make in (mean_replaced, permuted)
        for case in (
            (lambda make=make: make([]), ValueError, EMPTY),
            (lambda make=make: make([ONE]), TypeError, NOT_A_PAIR),
            (lambda make=make: make([({"image": ONE}, 0), ({"image": ONE[:, :2]}, 0)]), ValueError, SHAPES),
            (
                lambda make=make: make([({"image": ONE, "scale": torch.tensor(1.0)}, 0)])(
                    "audio", ONE, range(2)
                ),
                ValueError,
                "`absent` was made of ['image']; it cannot replace 'audio'.",
            ),
        )
    ),
    (
        lambda: mean_replaced([({"ids": ONE.long()}, 0)])("ids", ONE.long(), range(2)),
        TypeError,
        "`ids` of dtype torch.int64 must be floating point to have a mean.",
    ),
    (
        lambda: permuted([({"image": ONE, "audio": TWO}, 0)]),
        ValueError,
        "`batches` gives inputs with {'image': 2, 'audio': 4} samples; they must have the same number.",
    ),
    (
        lambda: accuracy(ONE, torch.ones(2, 1)),
        ValueError,
        "`prediction` of shape (2, 3) must have the shape of `target`, (2, 1), or that with classes along dimension 1.",
    ),
    (
        lambda: accuracy(ONE, ONE),
        TypeError,
        "`prediction` of dtype torch.float32 must hold classes, as integers or booleans, if it has no dimension of scores.",
    ),
    (lambda: shapley_values(["a"], {(): 0.0}), ValueError, "`values` lacks 1 of 2 sets, ('a',) first."),
]


@check([*ARGUMENTS, *BATCHES, *RESULTS, *PARTS])
def test_messages(case: Case) -> None:
    expect(case)
