"""Numbers in another type: equal, or an error that names the one that would change."""

import numpy as np
import pytest

from examples.data.reading.exact import exact
from examples.data.reading.files import UnreadableError


@pytest.mark.parametrize(
    ("values", "dtype"),
    [
        (np.array([0, 255]), "uint8"),
        (np.array([0.0, 255.0]), "uint8"),
        (np.array([-128, 127]), "int8"),
        (np.array([0, 1], dtype="uint8"), "bool"),
        (np.array([True, False]), "int64"),
        (np.array([1.5, -2], dtype="float16"), "float32"),
        (np.array([0.1, 1e30]), "float32"),
        (np.array([3, 4]), "float32"),
        (np.array(["ab", "c"]), "U4"),
        (np.array(["ab", "c"], dtype="U99"), "U2"),
        (np.empty((0, 3)), "uint8"),
    ],
)
def test_what_fits_is_kept(values: np.ndarray, dtype: str) -> None:
    found = exact(values, dtype, "x")
    assert found.dtype == np.dtype(dtype)
    if np.dtype(dtype).kind == "f":
        np.testing.assert_allclose(found, values, rtol=1e-6)
    else:
        assert found.tolist() == values.tolist()


@pytest.mark.parametrize(
    ("values", "dtype", "words"),
    [
        (np.array([[0, 0.25]]), "uint8", "must hold whole numbers from 0 to 255; it holds 0.25"),
        (np.array([0, 256]), "uint8", "must hold whole numbers from 0 to 255; it holds 256"),
        (np.array([0, -1]), "uint8", "must hold whole numbers from 0 to 255; it holds -1"),
        (np.array([-1]), "uint64", "it holds -1"),
        (np.array([1e300]), "int64", "it holds 1e+300"),
        (np.array([1e300]), "float32", "must hold numbers up to 3.4e+38; it holds 1e+300"),
        (np.array([0, 2]), "bool", "must hold 0 and 1; it holds 2"),
        (np.array([[1, np.nan]]), "float32", "must be finite; it is nan at (0, 1), counted from 0"),
        (
            np.array([-np.inf], dtype="float32"),
            "float32",
            "must be finite; it is -inf at (0,), counted from 0",
        ),
        (np.array([np.nan]), "uint8", "must be finite; it is nan"),
        (np.array(["a"]), "uint8", "must hold numbers, not <U1"),
        (np.array([1j]), "float32", "must hold numbers, not complex128"),
        (np.array(["abc"]), "U2", "must hold texts of at most 2 letters"),
        (np.array([1]), "U2", "must hold texts of at most 2 letters"),
    ],
)
def test_what_would_change_is_named(values: np.ndarray, dtype: str, words: str) -> None:
    with pytest.raises(UnreadableError) as error:
        exact(values, dtype, "'a.npz': array `x`")
    assert str(error.value).startswith("'a.npz': array `x` ")
    assert words in str(error.value)
