"""Reading MATLAB files, with errors that say which file is wrong and why.

Files of format 7.3 are HDF5: arrays are transposed, a cell array holds references, a text is a column of UTF-16.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from examples.data.reading.exact import exact
from examples.data.reading.extras import needs
from examples.data.reading.files import UnreadableError, look

Value = NDArray[Any]


def read_mat(path: Path, names: Sequence[str]) -> dict[str, Value]:
    """Read some variables of a file of format 7 or older.

    Args:
        path: The file.
        names: Names of the variables; all must be there.

    Returns:
        Two axes or more each, as MATLAB has them; a text is an array of one string, a cell array one of objects.

    Raises:
        UnreadableError: There is no such file, it is damaged, or a variable is missing.
    """
    look(path)
    import scipy.io  # takes half a second, and few data sets need it

    try:
        variables = scipy.io.loadmat(path, variable_names=list(names))
    except Exception as error:  # a damaged file makes the reader fail in a dozen ways
        raise UnreadableError(
            f"'{path}' is damaged or no MATLAB file of format 7 or older ({error})"
        ) from error
    return {name: np.asarray(value) for name, value in _chosen(path, variables, names).items()}


def numbers(
    path: Path, found: Mapping[str, Value], name: str, shape: tuple[int | None, ...], dtype: DTypeLike
) -> Value:
    """Return a variable as numbers of a type that holds them exactly.

    Args:
        path: Path of the file, for errors.
        found: Variables that `read_mat` gave.
        name: Name of the variable.
        shape: The shape that it must have; None is any length above 0.
        dtype: NumPy's name of the type.

    Raises:
        UnreadableError: It has another shape, is no numbers, or a number does not fit.
    """
    values = found[name]
    fits = len(values.shape) == len(shape) and all(
        have == want or (want is None and have) for have, want in zip(values.shape, shape, strict=True)
    )
    if not fits:
        wanted = tuple("any" if axis is None else axis for axis in shape)
        raise UnreadableError(f"'{path}': {name} must have shape {wanted}; it has {values.shape}")
    return exact(values, dtype, f"'{path}': {name}")


def text(value: Value) -> str:
    """Return the only string in a value; an empty one where there is none."""
    strings = [str(entry) for entry in value.ravel()]
    return strings[0] if len(strings) == 1 else ""


def texts(cells: Value) -> tuple[str, ...]:
    """Return the strings of a cell array."""
    return tuple(text(np.asarray(cell)) for cell in cells.ravel())


@contextmanager
def open_hdf5(path: Path, names: Sequence[str], *, chunk_bytes: int) -> Iterator[dict[str, Any]]:
    """Open a file of format 7.3; threads may share what it holds, one reads at a time.

    Args:
        path: The file.
        names: Names of the variables; all must be there.
        chunk_bytes: Bytes of each variable that stay unpacked.

    Returns:
        Datasets of h5py by name, their axes in the opposite order of MATLAB's.

    Raises:
        UserError: h5py is missing; names the extra. The file is damaged or cut, or a variable is missing.
    """
    with needs("media"):
        import h5py
    look(path)
    try:
        file = h5py.File(path, "r", rdcc_nbytes=chunk_bytes)
    except OSError as error:
        raise UnreadableError(
            f"'{path}' is damaged, cut short or not of MATLAB's format 7.3 ({error})"
        ) from error
    with file:
        yield _chosen(path, file, names)


def hdf5_texts(path: Path, cells: Any) -> tuple[str, ...]:
    """Return the strings of a cell array.

    Args:
        path: Path of its file, for errors.
        cells: Cells that `open_hdf5` gave.

    Raises:
        UnreadableError: It is no cell array of strings.
    """
    try:
        return tuple(_hdf5_text(cells.file[reference]) for reference in np.asarray(cells).ravel())
    except (AttributeError, KeyError, OSError, TypeError, ValueError) as error:
        raise UnreadableError(f"'{path}': {cells.name} is no cell array of texts ({error})") from error


def _hdf5_text(value: Any) -> str:
    if "MATLAB_empty" in value.attrs:
        return ""
    return np.asarray(value, dtype="<u2").tobytes().decode("utf-16-le")


def _chosen(path: Path, there: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    """Return what is called `names`; refuse a file that lacks some."""
    missing = [name for name in names if name not in there]
    if missing:
        raise UnreadableError(
            f"'{path}' lacks {missing}; it holds {sorted(n for n in there if n[:1] not in '_#')}"
        )
    return {name: there[name] for name in names}
