"""Reading the arrays of a data file, with errors that say what was expected, where, and where to get it."""

import zipfile
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from examples.data.reading.exact import exact
from examples.data.reading.files import UnreadableError, look
from examples.data.reading.records import Layout


def read_arrays(path: Path, expected: Mapping[str, Layout], *, source: str) -> dict[str, NDArray[Any]]:
    """Read named arrays from an ``.npz`` file and check them.

    Args:
        path: The file.
        expected: Array name to dtype and shape of one sample; the first axis of an array is the sample.
        source: A sentence that says where the file comes from.

    Returns:
        Arrays of exactly these types.

    Raises:
        UnreadableError: There is no such file or it cannot be read, an array is missing or has another shape, or a value
            does not fit the type.
    """
    wanted = ", ".join(f"{name} {_text(layout.shape)}" for name, layout in expected.items())
    help_text = f"Expected a NumPy .npz file with the arrays {wanted}. {source}"
    if not path.is_file():
        raise UnreadableError(f"No file at '{path.absolute()}'. {help_text}")
    look(path)
    try:
        arrays = _load(path, expected)
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError) as error:
        raise UnreadableError(f"'{path}' is damaged or cut short ({error}). {help_text}") from error
    missing = [name for name in expected if name not in arrays]
    if missing:
        raise UnreadableError(f"'{path}' lacks the arrays {missing}. {help_text}")
    _check_shapes(path, arrays, expected, help_text)
    return {
        name: exact(arrays[name], layout.dtype, f"'{path}': array `{name}`")
        for name, layout in expected.items()
    }


def _load(path: Path, names: Iterable[str]) -> dict[str, NDArray[Any]]:
    with path.open("rb") as stream, zipfile.ZipFile(stream):  # a clear error where it is no archive at all
        stream.seek(0)
        with np.load(stream, allow_pickle=False) as file:
            return {name: np.asarray(file[name]) for name in names if name in file.files}


def _check_shapes(
    path: Path, arrays: Mapping[str, NDArray[Any]], expected: Mapping[str, Layout], help_text: str
) -> None:
    for name, layout in expected.items():
        found = arrays[name].shape
        if len(found) < 1 or found[1:] != layout.shape:
            raise UnreadableError(
                f"'{path}': array `{name}` has shape {found}, not {_text(layout.shape)}. {help_text}"
            )
    counts = {name: len(values) for name, values in arrays.items()}
    if len(set(counts.values())) > 1 or not all(counts.values()):
        raise UnreadableError(
            f"'{path}': the arrays must have as many samples each, and at least one; they have {counts}. {help_text}"
        )


def _text(shape: tuple[int, ...]) -> str:
    sizes = ", ".join(["n", *map(str, shape)])
    return f"({sizes},)" if not shape else f"({sizes})"
