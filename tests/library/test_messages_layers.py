"""Every error of masks and quantisers: its type, the argument, the value and the rule; nothing changed before it."""

import copy

import pytest
import torch
from torch import nn

import maskfusion as mf
from tests.support.helpers import Sum, quantizer, same_state
from tests.support.messages import INF, NAN, POSITIVE, Case, X, check, expect, mask, number

pytestmark = pytest.mark.unchecked

HALF = X[:, :2]


def before(**settings) -> mf.ComplementaryMask:
    return mf.ComplementaryMask({"image": 2, "audio": 2}, fusion=Sum(), side="input", **settings)


def vq(**settings) -> mf.VectorQuantizer:
    return mf.VectorQuantizer(5, 4, **settings)


MASK: list[Case] = [
    *[
        (
            lambda n=n: mf.ComplementaryMask(n),
            ValueError,
            f"`channels` (={n}) must be even and at least 2 when it is an int",
        )
        for n in (0, -2, 7)
    ],
    (lambda: mf.ComplementaryMask({}), ValueError, "`channels` (={}) must name at least one modality."),
    (lambda: mf.ComplementaryMask([]), ValueError, "`channels` (=[]) must name at least one modality."),
    (
        lambda: mf.ComplementaryMask([3, 0]),
        ValueError,
        "`channels['1']` (=0) must be an integer of at least 1.",
    ),
    (
        lambda: mf.ComplementaryMask({"image": 2.5}),
        TypeError,
        "`channels['image']` (=2.5) must be an integer of at least 1.",
    ),
    (
        lambda: mf.ComplementaryMask({"image": True}),
        TypeError,
        "`channels['image']` (=True) must be an integer",
    ),
    (
        lambda: mf.ComplementaryMask({1: 2}),
        TypeError,
        "`channels` names a modality 1; names must be strings.",
    ),
    *[
        (
            lambda value=value: mf.ComplementaryMask(value),
            TypeError,
            f"`channels` (={value!r}) must be an even int (two equal modalities), a sequence of ints or a mapping",
        )
        for value in (2.0, "4", None, True)
    ],
    *number(mask, "threshold", "a finite number", NAN, INF, -INF),
    *number(mask, "init", "a finite number", NAN, INF),
    (
        lambda: mask(init=0.05),
        ValueError,
        "`init` (=0.05) must be above `threshold` (=0.05), so that every channel starts open.",
    ),
    (lambda: mask(threshold=0.3), ValueError, "`init` (=0.1) must be above `threshold` (=0.3)"),
    (lambda: mask(side="left"), ValueError, "`side` (='left') must be one of 'output', 'input'."),
    (
        lambda: mask(gate="hard"),
        TypeError,
        "`gate` (='hard') must be a function of (weight, threshold, training).",
    ),
    (lambda: mask(fusion="cat"), TypeError, "`fusion` (='cat') must be a module, a function or None."),
    (lambda: mask(channel_dim=1.0), TypeError, "`channel_dim` (=1.0) must be an integer."),
    (lambda: mask(min_channels=-1), ValueError, "`min_channels` (=-1) must be an integer of at least 0."),
    (
        lambda: mask(min_channels=3),
        ValueError,
        "`min_channels` (=3) must be at most 2, the smallest modality.",
    ),
    (lambda: mask(min_channels="1"), TypeError, "`min_channels` (='1') must be an integer of at least 0."),
    (
        lambda: mask()(X[:, :4]),
        ValueError,
        "`fused features` of shape (2, 4, 3) must have at least 2 dimensions and 5 channels along dimension 1.",
    ),
    (lambda: mask()(X.mT), ValueError, "`fused features` of shape (2, 3, 5)"),
    (lambda: mask(channel_dim=-1)(X), ValueError, "5 channels along dimension -1."),
    (lambda: mask()(X.int()), TypeError, "of dtype torch.int32 must be floating point."),
    (lambda: mask()(1.0), ValueError, "There must be one tensor for each of ['image', 'audio'], got 1."),
    (lambda: mask()(*[]), ValueError, "There must be one tensor for each of ['image', 'audio'], got 0."),
    (
        lambda: mask()(HALF, HALF),
        ValueError,
        "`audio` of shape (2, 2, 3) must have at least 2 dimensions and 3 channels",
    ),
    (
        lambda: mask()(HALF, X[:, :3], HALF),
        ValueError,
        "There must be one tensor for each of ['image', 'audio'], got 3.",
    ),
    (lambda: mask()([HALF]), ValueError, "There must be one tensor for each of ['image', 'audio'], got 1."),
    (
        lambda: mask()({"image": HALF}),
        ValueError,
        "Features of ['audio'] are missing: there must be one tensor for each of",
    ),
    (
        lambda: mask()({"image": HALF, "audio": X[:, :3], "depth": X}),
        ValueError,
        "Features of ['depth'] are not of the modalities ['image', 'audio'].",
    ),
    (
        lambda: mask()(HALF, X[:, :3, :2]),
        ValueError,
        "{'image': (2, 2, 3), 'audio': (2, 3, 2)} must agree in all dimensions but 1.",
    ),
    (lambda: mask()(HALF, "x"), TypeError, "`audio` must be a tensor, got str."),
    (lambda: mask(fusion=Sum())(HALF, HALF), ValueError, "`fused features` of shape (2, 2, 3)"),
    (lambda: before()(HALF), ValueError, "Features of ['audio'] are missing"),
    (
        lambda: before()(HALF, X),
        ValueError,
        "`audio` of shape (2, 5, 3) must have at least 2 dimensions and 2 channels",
    ),
    (lambda: before()([HALF]), ValueError, "There must be one tensor for each of ['image', 'audio'], got 1."),
    (
        lambda: mask().complementary(X[:, :3]),
        ValueError,
        "`x` of shape (2, 3, 3) must have at least 2 dimensions and 5 channels",
    ),
    (
        lambda: mask().contradictory(X, "audio"),
        ValueError,
        "`x` of shape (2, 5, 3) must have at least 2 dimensions and 3 channels",
    ),
    (
        lambda: mask().complementary(X, "depth"),
        ValueError,
        "`modality` (='depth') must be one of 'image', 'audio'.",
    ),
    (lambda: mask().split(X[:, 0]), ValueError, "`x` of shape (2, 3)"),
    (lambda: mask().split([1]), TypeError, "`x` must be a tensor, got list."),
    (lambda: mask().exchange(X, shift=0.5), TypeError, "`shift` (=0.5) must be an integer."),
    (lambda: mask().exchange(X[0]), ValueError, "`x` of shape (5, 3)"),
]
QUANTIZER: list[Case] = [
    *[
        (
            lambda value=value, name=name: mf.VectorQuantizer(**{name: value}),
            error,
            f"`{name}` (={value!r}) must be an integer of at least 1.",
        )
        for name in ("dim", "codebook_size")
        for value, error in (
            (0, ValueError),
            (-3, ValueError),
            (2.0, TypeError),
            ("8", TypeError),
            (True, TypeError),
        )
    ],
    *number(vq, "decay", "a finite number at least 0 and below 1", 1.0, -0.1, NAN),
    *number(vq, "commitment_weight", POSITIVE, -1.0, INF),
    *number(vq, "restart_threshold", "a finite number at least 0 and below 1", -0.1, 1.0),
    *number(vq, "epsilon", POSITIVE, -1e-5, NAN),
    (lambda: vq(channel_dim="1"), TypeError, "`channel_dim` (='1') must be an integer."),
    (
        lambda: vq(on_nonfinite="ignore"),
        ValueError,
        "`on_nonfinite` (='ignore') must be one of 'propagate', 'raise'.",
    ),
    (
        lambda: vq()(X[:, :4]),
        ValueError,
        "`z` of shape (2, 4, 3) must have at least 2 dimensions and 5 channels along dimension 1.",
    ),
    (lambda: vq()(X[:, :4].repeat(1, 5, 1)), ValueError, "`z` of shape (2, 20, 3)"),
    (lambda: vq()(X.long()), TypeError, "`z` of dtype torch.int64 must be floating point."),
    (lambda: vq()(None), TypeError, "`z` must be a tensor, got NoneType."),
    (
        lambda: vq()(X, torch.ones(2, 3)),
        TypeError,
        "`mask` of dtype torch.float32 must be boolean: True is real, False is padding.",
    ),
    (
        lambda: vq()(X, torch.ones(3, 2, dtype=torch.bool)),
        ValueError,
        "`mask` of shape (3, 2) must have the shape (2, 3).",
    ),
    (lambda: vq()(X, [True]), TypeError, "`mask` must be a tensor, got list."),
    (
        lambda: vq(on_nonfinite="raise")(X * NAN),
        ValueError,
        "`z` has 6 of 6 vectors with NaN or inf. Nothing was changed.",
    ),
    (lambda: vq().encode(X.mT), ValueError, "`z` of shape (2, 3, 5)"),
    (lambda: vq().decode(X), TypeError, "`indices` of dtype torch.float32 must be integers."),
    (lambda: vq().decode(X > 0), TypeError, "`indices` of dtype torch.bool must be integers."),
    (lambda: vq().decode(torch.tensor([0, 4])), ValueError, "`indices` from 0 to 4 must lie in [0, 4)."),
    (lambda: vq().decode(torch.tensor([-1])), ValueError, "`indices` from -1 to -1 must lie in [0, 4)."),
]
FAMILY: list[Case] = [
    (
        lambda: vq().start(X * NAN),
        ValueError,
        "`z` must have at least one vector that is finite and not padding.",
    ),
    (
        lambda: vq().start(X, iterations=-1),
        ValueError,
        "`iterations` (=-1) must be an integer of at least 0.",
    ),
    (
        lambda: vq().start(X, iterations=1.5),
        TypeError,
        "`iterations` (=1.5) must be an integer of at least 0.",
    ),
    *[
        (lambda kind=kind, given=given: kind(given), error, text)
        for kind in (mf.ResidualQuantizer, mf.ProductQuantizer)
        for given, error, text in (
            ([], ValueError, "`quantizers` (=[]) must hold at least one VectorQuantizer."),
            ([vq(), nn.ReLU()], TypeError, "`quantizers` holds a ReLU; each must be a VectorQuantizer."),
            (
                [vq(), vq(channel_dim=-1)],
                ValueError,
                "`quantizers` with `channel_dim` [1, -1] must agree in it.",
            ),
        )
    ],
    (
        lambda: mf.ResidualQuantizer([vq(), mf.VectorQuantizer(4, 4)]),
        ValueError,
        "`quantizers` with `dim` [5, 4] must agree in it.",
    ),
    (lambda: mf.ResidualQuantizer([vq()])(X.mT), ValueError, "`z` of shape (2, 3, 5)"),
    (
        lambda: mf.ProductQuantizer([vq(), vq()])(X),
        ValueError,
        "`z` of shape (2, 5, 3) must have at least 2 dimensions and 10",
    ),
    (lambda: mf.ProductQuantizer([vq(), vq()]).encode(X), ValueError, "`z` of shape (2, 5, 3)"),
    *[
        (
            lambda kind=kind, count=count: kind([vq(), vq()]).decode(torch.zeros(3, count).long()),
            ValueError,
            "`indices`",
        )
        for kind, count in ((mf.ResidualQuantizer, 3), (mf.ResidualQuantizer, 0), (mf.ProductQuantizer, 3))
    ],
    (lambda: mf.ProjectedQuantizer(0, vq()), ValueError, "`dim` (=0) must be an integer of at least 1."),
    (lambda: mf.ProjectedQuantizer(3, nn.ReLU()), TypeError, "a ReLU"),
    (
        lambda: mf.ProjectedQuantizer(3, vq())(X),
        ValueError,
        "`z` of shape (2, 5, 3) must have at least 2 dimensions and 3",
    ),
    (lambda: mf.ProjectedQuantizer(3, vq()).encode(X), ValueError, "`z` of shape (2, 5, 3)"),
]


@check([*MASK, *QUANTIZER, *FAMILY])
def test_message(case: Case) -> None:
    expect(case)


@pytest.mark.parametrize("bad", [X[:, :4], X.long(), X.mT])
def test_quantizer_is_untouched_by_wrong_input(bad: torch.Tensor) -> None:
    for module in (vq(), quantizer(torch.randn(4, 5))):
        original = copy.deepcopy(module)
        with pytest.raises((TypeError, ValueError)):
            module(bad)
        assert same_state(module, original)


def test_state_of_another_size_is_refused() -> None:
    with pytest.raises(RuntimeError, match="size mismatch"):
        mask().load_state_dict(mf.ComplementaryMask(4).state_dict())
    with pytest.raises(RuntimeError, match="size mismatch"):
        vq().load_state_dict(mf.VectorQuantizer(5, 8).state_dict())
