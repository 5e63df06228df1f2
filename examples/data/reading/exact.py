"""Numbers of a file in another type, without loss: what would change is an error that names the value."""

from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from examples.data.reading.files import UnreadableError


def exact(values: NDArray[Any], dtype: DTypeLike, what: str) -> NDArray[Any]:
    """Return `values` as `dtype`: whole numbers stay what they are, others are rounded as little as its digits need.

    Args:
        values: Numbers or texts of any type.
        dtype: NumPy's name of the type.
        what: The file and the name of the values, for the message.

    Raises:
        UnreadableError: They are no numbers, one is not finite, or one does not fit.
    """
    wanted = np.dtype(dtype)
    if values.dtype == wanted and wanted.kind != "f":
        return values
    if wanted.kind == "U":
        if values.dtype.kind != "U" or (
            values.dtype.itemsize > wanted.itemsize and _longest(values) > wanted.itemsize // 4
        ):
            raise UnreadableError(f"{what} must hold texts of at most {wanted.itemsize // 4} letters")
        return values.astype(wanted)
    if values.dtype.kind not in "biuf":
        raise UnreadableError(f"{what} must hold numbers, not {values.dtype}")
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        where = tuple(int(axis) for axis in np.argwhere(~np.isfinite(values))[0])
        raise UnreadableError(f"{what} must be finite; it is {values[where]} at {where}, counted from 0")
    with np.errstate(over="ignore", invalid="ignore"):
        cast = values.astype(wanted)
        lost = ~np.isfinite(cast) if wanted.kind == "f" else cast.astype(values.dtype) != values
        if values.dtype.kind == "i" and wanted.kind == "u":
            lost |= values < 0
    if lost.any():
        raise UnreadableError(f"{what} must hold {_range(wanted)}; it holds {values[lost].flat[0]}")
    return cast


def _longest(values: NDArray[Any]) -> int:
    return int(np.char.str_len(values).max(initial=0))


def _range(dtype: np.dtype[Any]) -> str:
    if dtype.kind == "b":
        return "0 and 1"
    if dtype.kind == "f":
        return f"numbers up to {np.finfo(dtype).max:.3g}"
    return f"whole numbers from {np.iinfo(dtype).min} to {np.iinfo(dtype).max}"
