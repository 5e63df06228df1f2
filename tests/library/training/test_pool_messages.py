"""What LogarithmicPool refuses: the argument, the value and the rule; the weights stay."""

import pytest
import torch

import maskfusion as mf
from tests.support.helpers import same_state
from tests.support.messages import INF, NAN, Case, check, expect, number

pytestmark = pytest.mark.unchecked

S = torch.linspace(-1, 1, 12).reshape(4, 3)
Y = torch.tensor([0, 1, 2, 0])
NAMES = 'must name the heads, as in ["joint", "video", "sound"]'


def pool() -> mf.LogarithmicPool:
    return mf.LogarithmicPool(["a", "b"])


def fit(a: object = S, b: object = S, target: object = Y, **settings) -> object:
    return pool().fit({"a": a, "b": b}, target, **settings)


def spoiled(value: float) -> torch.Tensor:
    return torch.where(torch.arange(4)[:, None] == 1, value, S)


HEADS: list[Case] = [
    (lambda: mf.LogarithmicPool("joint"), TypeError, f"`heads` (='joint') {NAMES}."),
    (lambda: mf.LogarithmicPool(3), TypeError, f"`heads` (=3) {NAMES}."),
    (lambda: mf.LogarithmicPool(["a", 1]), TypeError, f"`heads` (=['a', 1]) {NAMES}: names are strings."),
    (lambda: mf.LogarithmicPool([]), ValueError, f"`heads` (=[]) {NAMES}: at least one, each once."),
    (
        lambda: mf.LogarithmicPool(["a", "a"]),
        ValueError,
        f"`heads` (=['a', 'a']) {NAMES}: at least one, each once.",
    ),
    (
        lambda: mf.LogarithmicPool("abcdefghi".replace("", " ").split()),
        ValueError,
        (
            "`heads` (=['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i']) must be 8 at most, since each set of them has weights of its own. If none is "
            "ever missing, pass `allow_missing=False`."
        ),
    ),
]
CALL: list[Case] = [
    (lambda: pool()([S, S]), TypeError, "`scores` must be a mapping of head to scores, got list."),
    (
        lambda: pool()({"a": S, "c": S}),
        ValueError,
        "`scores` has ['c']; the heads of the pool are ['a', 'b'].",
    ),
    (lambda: pool()({}), ValueError, "`scores` has none of the heads ['a', 'b']; it must have one."),
    (lambda: pool()({"a": None}), ValueError, "`scores` has none of the heads ['a', 'b']; it must have one."),
    (
        lambda: mf.LogarithmicPool(["a", "b", "c"], allow_missing=False)({"b": S, "c": None}),
        ValueError,
        "`scores` lacks ['a', 'c']: this pool was made with `allow_missing=False`. Make and fit one without that.",
    ),
    (lambda: pool()({"a": [1.0]}), TypeError, "`scores['a']` must be a tensor, got list."),
    (
        lambda: pool()({"a": S.long()}),
        TypeError,
        "`scores['a']` of dtype torch.int64 must be floating point.",
    ),
    (
        lambda: pool()({"a": S[0]}),
        ValueError,
        (
            "`scores['a']` of shape (3,) must be (batch, classes, *spatial) with two classes or more; one score per sample becomes two with "
            "torch.stack([torch.zeros_like(score), score], dim=1)."
        ),
    ),
    (
        lambda: pool()({"a": S[:, :1]}),
        ValueError,
        "`scores['a']` of shape (4, 1) must be (batch, classes, *spatial)",
    ),
    (
        lambda: pool()({"a": S, "b": S[:, :2]}),
        ValueError,
        "`scores['b']` of shape (4, 2) must have the shape of `scores['a']`, (4, 3): all heads tell the same classes of the same samples.",
    ),
]
FIT: list[Case] = [
    (
        lambda: pool().fit({"a": S}, Y),
        ValueError,
        "`scores` lacks ['b']: a fit needs every head.",
    ),
    (lambda: fit(b=None), ValueError, "`scores` lacks ['b']"),
    (
        lambda: pool().fit({"a": S, "b": S, "c": S}, Y),
        ValueError,
        "`scores` has ['c']; the heads of the pool are",
    ),
    (
        lambda: fit(b=S[:2]),
        ValueError,
        "`scores['b']` of shape (2, 3) must have the shape of `scores['a']`, (4, 3)",
    ),
    (lambda: fit(target=[0, 1, 2, 0]), TypeError, "`target` must be a tensor, got list."),
    (
        lambda: fit(target=Y.float()),
        TypeError,
        "`target` of dtype torch.float32 must be integers: the classes.",
    ),
    (lambda: fit(target=Y > 0), TypeError, "`target` of dtype torch.bool must be integers: the classes."),
    (
        lambda: fit(target=Y[:3]),
        ValueError,
        "`target` of shape (3,) must have the shape of the scores without classes, (4,).",
    ),
    (
        lambda: fit(target=Y + 1),
        ValueError,
        "`target` from 1 to 3 must lie in [0, 3), or be `ignore_index` (=-100).",
    ),
    (
        lambda: fit(target=Y - 1, ignore_index=2),
        ValueError,
        "`target` from -1 to 1 must lie in [0, 3), or be `ignore_index` (=2).",
    ),
    (
        lambda: fit(S[:0], S[:0], Y[:0]),
        ValueError,
        "`target` has nothing to fit on: it is empty, or all of it is `ignore_index` (=-100).",
    ),
    (lambda: fit(target=torch.full_like(Y, -100)), ValueError, "`target` has nothing to fit on"),
    *[
        (
            lambda value=value: fit(b=spoiled(value)),
            ValueError,
            (
                "`scores['b']` has NaN or inf in 1 of 4 places. Nothing was changed; look for NaN in the network of that head, and give a class "
                "that is ruled out a score that is low and finite."
            ),
        )
        for value in (NAN, INF, -INF)
    ],
    *number(fit, "ridge", "a finite number above 0", 0.0, -1.0, NAN),
    (lambda: fit(ignore_index="no"), TypeError, "`ignore_index` (='no') must be an integer."),
]


@check([*HEADS, *CALL, *FIT])
def test_message(case: Case) -> None:
    expect(case)


def test_a_fit_that_fails_leaves_the_weights() -> None:
    fitted = pool().fit({"a": S, "b": -S}, Y)
    before = fitted.weight.clone()
    for bad in (spoiled(NAN), S[:2]):
        with pytest.raises(ValueError, match="`scores"):
            fitted.fit({"a": S, "b": bad}, Y)
    assert torch.equal(fitted.weight, before)
    assert not same_state(fitted, pool())


def test_nan_in_a_prediction_is_seen_where_it_is() -> None:
    output = pool()({"a": S, "b": spoiled(NAN)})
    assert output.isnan().any(1).tolist() == [False, True, False, False]
