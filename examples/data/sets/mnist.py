"""MNIST: 70,000 handwritten digits, from the official idx files or from ``mnist.npz``. Bring the files yourself."""

import gzip
import math
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from examples.data.pairs import Collection, last_tenth
from examples.data.place import Finding, counted
from examples.data.reading.arrays import read_arrays
from examples.data.reading.cache import UnreadableError

FILE = "mnist.npz"
SOURCE = (
    "MNIST, Y. LeCun, C. Cortes, C. Burges, http://yann.lecun.com/exdb/mnist (CC BY-SA 3.0): the four idx files, "
    "plain or as .gz, or mnist.npz with the arrays x_train, y_train, x_test and y_test."
)
CLASSES = tuple(str(digit) for digit in range(10))
_PARTS = {"train": "train", "test": "t10k"}  # in the npz file, and in the names of the idx files
_TRAINING, _TEST = 60_000, 10_000
_SIDE = 28
_BORDER = 2  # makes 32 x 32 of it, the size of the other maps


def read_mnist(folder: Path) -> Collection:
    """Return uint8 images ``(digits, 28, 28)``, 0 is paper and 255 is ink, the official test part last.

    The last tenth of the official training part is for validation.

    Args:
        folder: Holds ``mnist.npz`` or the idx files; the first is taken where both are there.

    Raises:
        FileNotFoundError: Neither is there; names what was looked for.
        ValueError: A file is damaged or holds something else.
    """
    npz = (folder / FILE).is_file()
    (images, labels), (test_images, test_labels) = (
        _from_npz(folder / FILE, part) if npz else _from_idx(folder, name) for part, name in _PARTS.items()
    )
    split = last_tenth(len(labels), len(test_labels))
    return Collection(
        np.concatenate([images, test_images]), np.concatenate([labels, test_labels]).astype(np.int64), split
    )


def as_maps(images: NDArray[np.generic]) -> NDArray[np.generic]:
    """Return images ``(digits, 28, 28)`` with a border of two zeros, ``(digits, 1, 32, 32)``."""
    border = (_BORDER, _BORDER)
    return np.pad(images, ((0, 0), border, border))[:, None]


def check_mnist(folder: Path) -> list[Finding]:
    """Read the files and count the digits."""
    split = read_mnist(folder).split
    return [
        counted("MNIST, training", "digits", len(split.train) + len(split.validation), _TRAINING),
        counted("MNIST, test", "digits", len(split.test), _TEST),
    ]


def _from_npz(path: Path, part: str) -> tuple[NDArray[np.generic], NDArray[np.generic]]:
    shapes = {f"x_{part}": (None, _SIDE, _SIDE), f"y_{part}": (None,)}
    images, labels = read_arrays(path, shapes, source=SOURCE).values()
    return images, _checked(labels, len(images), path)


def _from_idx(folder: Path, name: str) -> tuple[NDArray[np.generic], NDArray[np.generic]]:
    images = _read_idx(_find(folder, f"{name}-images-idx3-ubyte"), (_SIDE, _SIDE))
    path = _find(folder, f"{name}-labels-idx1-ubyte")
    return images, _checked(_read_idx(path, ()), len(images), path)


def _checked(labels: NDArray[np.generic], images: int, path: Path) -> NDArray[np.generic]:
    if len(labels) != images or not np.isin(labels, range(len(CLASSES))).all():
        raise UnreadableError(f"'{path}' must have a label from 0 to 9 for each of {images} images. {SOURCE}")
    return labels


def _find(folder: Path, name: str) -> Path:
    for path in (folder / name, folder / f"{name}.gz"):
        if path.is_file():
            return path
    raise FileNotFoundError(
        f"No MNIST in '{folder}': there is no '{FILE}', and no '{name}', plain or as .gz. {SOURCE}"
    )


def _read_idx(path: Path, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Read an idx file: two zeros, 8 for bytes, the number of axes, their lengths as big-endian int32, the bytes."""
    try:
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (OSError, EOFError, zlib.error) as error:
        raise UnreadableError(f"'{path}' is damaged or cut short ({error}). {SOURCE}") from error
    start = 4 + 4 * (1 + len(shape))
    if len(content) < start or content[:4] != bytes((0, 0, 8, 1 + len(shape))):
        raise UnreadableError(f"'{path}' is no idx file of bytes with {1 + len(shape)} axes. {SOURCE}")
    found = tuple(np.frombuffer(content[4:start], dtype=">i4").tolist())
    if found[1:] != shape or math.prod(found) != len(content) - start:
        raise UnreadableError(
            f"'{path}' says that it has shape {found} and holds {len(content) - start:,} bytes; expected are {shape} "
            f"a sample and {math.prod(found):,} bytes. {SOURCE}"
        )
    return np.frombuffer(content, dtype=np.uint8, offset=start).reshape(found).copy()
