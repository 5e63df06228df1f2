"""Reading the arrays of a data file, with errors that say what was expected, where, and where to get it."""

import zipfile
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Shape = tuple[int | None, ...]


def read_arrays(path: Path, expected: Mapping[str, Shape], *, source: str) -> dict[str, NDArray[np.generic]]:
    """Read named arrays from an ``.npz`` file and check them.

    Args:
        path: The file.
        expected: Array name to shape; ``None`` is an axis of any length, the first axis is the sample.
        source: A sentence that says where the file comes from.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file cannot be read, or an array is missing or has another shape.
    """
    wanted = ", ".join(f"{name} {_text(shape)}" for name, shape in expected.items())
    help_text = f"Expected a NumPy .npz file with the arrays {wanted}. {source}"
    if not path.is_file():
        raise FileNotFoundError(f"No file at '{path}'. {help_text}")
    try:
        arrays = _load(path, expected)
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError) as error:
        raise ValueError(f"'{path}' is damaged or cut short ({error}). {help_text}") from error
    missing = [name for name in expected if name not in arrays]
    if missing:
        raise ValueError(f"'{path}' lacks the arrays {missing}. {help_text}")
    _check_shapes(path, arrays, expected, help_text)
    return arrays


def _load(path: Path, names: Iterable[str]) -> dict[str, NDArray[np.generic]]:
    with path.open("rb") as stream, zipfile.ZipFile(stream):  # a clear error where it is no archive at all
        stream.seek(0)
        with np.load(stream, allow_pickle=False) as file:
            return {name: np.asarray(file[name]) for name in names if name in file.files}


def _check_shapes(
    path: Path, arrays: Mapping[str, NDArray[np.generic]], expected: Mapping[str, Shape], help_text: str
) -> None:
    for name, shape in expected.items():
        found = arrays[name].shape
        if len(found) != len(shape) or any(b not in (None, a) for a, b in zip(found, shape, strict=True)):
            raise ValueError(f"'{path}': array `{name}` has shape {found}, not {_text(shape)}. {help_text}")
    counts = {name: len(values) for name, values in arrays.items()}
    if len(set(counts.values())) > 1:
        raise ValueError(f"'{path}': the arrays disagree on the number of samples, {counts}. {help_text}")


def _text(shape: Shape) -> str:
    sizes = ", ".join("n" if size is None else str(size) for size in shape)
    return f"({sizes},)" if len(shape) == 1 else f"({sizes})"
