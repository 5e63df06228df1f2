"""Arrays as modalities: kinds by shape, any numeric type and order in memory, what is refused."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays, integer_dtypes, unsigned_integer_dtypes

from examples.data.sets.arrays_columns import Form, Given, expect_name, form_of
from examples.errors import UserError

VECTOR = Form("vector", (6,))


@pytest.mark.parametrize(
    ("shape", "form", "words"),
    [
        ((), Form("vector", (1,)), "vector of 1"),
        ((300,), Form("vector", (300,)), "vector of 300"),
        ((6, 128), Form("sequence", (6, 128)), "sequence of 128, 6 channels"),
        (
            (128, 3),
            Form("sequence", (3, 128), True),
            "sequence of 128, 3 channels, channels in the last axis",
        ),
        ((8, 8), Form("image", (1, 8, 8)), "image, 8 x 8, 1 channel"),
        ((3, 32, 24), Form("image", (3, 32, 24)), "image, 32 x 24, 3 channels"),
        (
            (32, 24, 3),
            Form("image", (3, 32, 24), True),
            "image, 32 x 24, 3 channels, channels in the last axis",
        ),
        ((32, 24, 16), Form("image", (32, 24, 16)), "image, 24 x 16, 32 channels"),
        ((4, 4, 4), Form("image", (4, 4, 4)), "image, 4 x 4, 4 channels"),
        ((2, 3), VECTOR, "vector of 6"),
        ((1, 2, 3), VECTOR, "vector of 6"),
    ],
)
def test_the_shape_tells_the_kind(shape: tuple[int, ...], form: Form, words: str):
    assert form_of("a", shape, None) == form
    assert str(form) == words


@pytest.mark.parametrize(
    ("shape", "kind", "form"),
    [
        ((5, 9), "vector", Form("vector", (45,))),
        ((9,), "sequence", Form("sequence", (1, 9))),
        ((8, 8), "sequence", Form("sequence", (8, 8))),
        ((50, 768), "channels-last", Form("sequence", (768, 50), True)),
        ((28, 20), "image", Form("image", (1, 28, 20))),
        ((8, 9, 30), "channels-last", Form("image", (30, 8, 9), True)),
        ((2, 3, 4, 5), "vector", Form("vector", (120,))),
    ],
)
def test_a_kind_that_is_named(shape: tuple[int, ...], kind: str, form: Form):
    assert form_of("a", shape, kind) == form


@pytest.mark.parametrize(
    ("shape", "kind", "message"),
    [
        (
            (3, 4, 5, 6),
            None,
            r"'a' has 5 axes; a modality has at most 4\. --data_options\.kinds '\{a: vector\}'",
        ),
        ((9,), "image", r"`kinds` of 'a' \(='image'\) does not fit its shape \(n, 9\)"),
        (
            (8, 8, 3),
            "image",
            r"`kinds` of 'a' \(='image'\) needs sizes of at least 4; it has \(8, 3\), in shape \(8, 8, 3\)",
        ),
        (
            (9,),
            "sound",
            r"`kinds` of 'a' \(='sound'\) must be one of \['vector', 'sequence', 'image', 'channels-last'\]",
        ),
    ],
)
def test_kinds_that_do_not_fit(shape: tuple[int, ...], kind: str | None, message: str):
    with pytest.raises(UserError, match=message):
        form_of("a", shape, kind)


FLOATS = st.sampled_from(["<f2", ">f2", "<f4", ">f4", "<f8", ">f8", np.dtype("longdouble").str])
NUMBERS = st.one_of(
    FLOATS.map(np.dtype), integer_dtypes(), unsigned_integer_dtypes(), st.just(np.dtype("bool"))
)


@given(data=st.data(), dtype=NUMBERS, order=st.sampled_from("CF"))
def test_any_number_in_any_order(data: st.DataObject, dtype: np.dtype, order: str):
    elements = (
        None if dtype.kind != "f" else {"min_value": -1000, "max_value": 1000, "allow_subnormal": False}
    )
    drawn = data.draw(arrays(np.dtype("<f8") if dtype.itemsize > 8 else dtype, (5, 2, 3), elements=elements))
    values = np.asarray(drawn.astype(dtype), order=order)
    taken = Given("a", values, VECTOR).take(np.array([3, 0, 3]), None)
    assert taken.dtype == torch.float32
    expected = torch.tensor(values.reshape(5, 6)[[3, 0, 3]].astype("float64").tolist())
    torch.testing.assert_close(taken, expected, rtol=1e-7, atol=0)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.int8, torch.uint16, torch.bool])
def test_tensors_of_any_type(dtype: torch.dtype):
    values = (torch.arange(12).reshape(2, 6) % 2).to(dtype)
    taken = Given("a", values, VECTOR).take(np.array([1]), None)
    assert taken.tolist() == [[0.0, 1.0, 0.0, 1.0, 0.0, 1.0]]


def test_channels_in_the_last_axis_come_first():
    values = np.arange(2 * 8 * 3).reshape(2, 8, 3)
    taken = Given("a", values, form_of("a", (8, 3), None)).take(np.array([1]), None)
    assert taken.shape == (1, 3, 8)
    assert taken[0, 2].tolist() == values[1, :, 2].tolist()


def test_missing_rows_and_values_are_counted():
    values = np.zeros((4, 6))
    values[1], values[2, :3] = np.nan, np.nan
    column = Given("a", values, VECTOR)
    assert (column.absent, column.missing) == (1, 3 / 18)


@pytest.mark.parametrize("value", [np.inf, -np.inf, 1e39])
def test_what_float32_does_not_hold(value: float):
    values = np.zeros((4, 6))
    values[2, 5] = value
    with pytest.raises(UserError, match=r"infinite or above 3\.4e\+38, in row 2, counted from 0"):
        Given("a", values, VECTOR)


def test_nothing_but_missing_values():
    with pytest.raises(UserError, match="'a' holds NaN only, so every sample lacks it; leave it out"):
        Given("a", np.full((4, 6), np.nan), VECTOR)


@pytest.mark.parametrize("name", ["keys", "train", "type", "a.b", "a/b", "..", "", " a", "[red]a"])
def test_names_that_modalities_cannot_have(name: str):
    with pytest.raises(UserError, match=r"cannot be the name of a modality.*; rename the array"):
        expect_name(name)


@pytest.mark.parametrize("name", ["a", "arr_0", "log-mel", "my text", "Bild_ä", "0"])
def test_names_that_modalities_can_have(name: str):
    torch.nn.ModuleDict({name: torch.nn.Identity()})
    expect_name(name)
