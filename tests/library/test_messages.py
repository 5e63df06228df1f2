"""Every other error: its type, the argument, the value and the rule; nothing changed before it."""

import re

import pytest
import torch
from torch import nn

import maskfusion as mf
from maskfusion import functional
from tests.support.helpers import set_weight
from tests.support.messages import INF, NAN, POSITIVE, Case, X, check, expect, mask, number

pytestmark = pytest.mark.unchecked


def groups(**settings) -> object:
    return mf.parameter_groups(nn.Linear(2, 2), **{"lr": 0.1, **settings})


def track() -> mf.ComplementarityTracker:
    return mf.ComplementarityTracker(mask())


FUNCTIONAL: list[Case] = [
    *number(functional.random_gate, "p", "a finite number at least 0 and below 1", -0.1, 1.0, 1.5, NAN),
    (
        lambda: functional.apply_gate([1.0], torch.ones(1)),
        TypeError,
        "`features` must be a tensor, got list.",
    ),
    (
        lambda: functional.apply_gate(X, torch.ones(4)),
        ValueError,
        "`features` of shape (2, 5, 3) must have at least 2 dimensions and 4 channels along dimension 1.",
    ),
    (
        lambda: functional.apply_gate(X[0, 0], torch.ones(3)),
        ValueError,
        "`features` of shape (3,) must have at least 2 dimensions",
    ),
    (lambda: functional.apply_gate(X, torch.ones(5), 3), ValueError, "along dimension 3."),
    (
        lambda: functional.apply_gate(X.long(), torch.ones(5)),
        TypeError,
        "`features` of dtype torch.int64 must be floating point.",
    ),
    (
        lambda: functional.nearest_code(X, torch.ones(4, 3)),
        ValueError,
        "`vectors` of shape (2, 5, 3) and `codebook` of shape (4, 3) must be (vectors, dim)",
    ),
    (
        lambda: functional.nearest_code(X[0], torch.ones(4, 2)),
        ValueError,
        "with one dim and at least one code.",
    ),
    (
        lambda: functional.nearest_code(X[0], torch.ones(0, 3)),
        ValueError,
        "with one dim and at least one code.",
    ),
]
REST: list[Case] = [
    (lambda: mf.ComplementarityTracker("model"), TypeError, "`model_or_mask` (='model') must be a module."),
    (
        lambda: mf.ComplementarityTracker(nn.ReLU()),
        ValueError,
        "`model_or_mask` (ReLU) must hold a ComplementaryMask.",
    ),
    (
        lambda: track().zeta("image", "depth"),
        ValueError,
        "`modalities` has ['depth']; the mask's are ['image', 'audio'].",
    ),
    (lambda: track().update(step="one"), TypeError, "`step` (='one') must be an integer."),
    (lambda: track().mean_zeta(last=0), ValueError, "`last` (=0) must be an integer of at least 1."),
    *[
        case
        for name in ("reconstruction_weight", "code_weight", "mask_weight")
        for case in number(mf.ComplementaryLoss, name, POSITIVE, -1.0, NAN)
    ],
    (lambda: mf.ComplementaryLoss(penalty="l1"), TypeError, "`penalty` (='l1') must be a function of Omega."),
    (
        lambda: mf.ComplementaryLoss(nn.MSELoss())(X, X, inputs={"a": X}),
        ValueError,
        "`inputs` of ['a'] and `reconstructions` of [] must have the same modalities.",
    ),
    (
        lambda: mf.ComplementaryLoss(nn.MSELoss())(X, X, inputs={"a": X}, reconstructions={"b": X}),
        ValueError,
        "`inputs` of ['a'] and `reconstructions` of ['b']",
    ),
    (
        lambda: mf.ComplementaryLoss(nn.MSELoss())(X, X, inputs={"a": X}, reconstructions={"a": X[:1]}),
        ValueError,
        "`reconstructions['a']` of shape (1, 5, 3) must have the shape of its input, (2, 5, 3).",
    ),
    *number(groups, "lr", POSITIVE, -1.0, NAN),
    *number(groups, "weight_decay", POSITIVE, -1.0),
    *number(groups, "mask_lr", POSITIVE, INF),
]


@check([*FUNCTIONAL, *REST])
def test_message(case: Case) -> None:
    expect(case)


def test_nan_warning_names_mask_and_modalities() -> None:
    model = nn.ModuleDict({"fusion": set_weight(mask(), [NAN, 0.1, 0.1, NAN, NAN])})
    text = "Mask 'fusion' has NaN or inf in Omega: 1 of 'image', 2 of 'audio'. Channels with NaN are closed"
    with pytest.warns(mf.NotFiniteWarning, match=re.escape(text)):
        mf.ComplementarityTracker(model).update()
