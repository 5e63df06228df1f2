"""MNIST: 70,000 handwritten digits, from the official idx files or from ``mnist.npz``. Bring the files yourself."""

import gzip
import math
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from examples.data.pairs import Collection, last_tenth
from examples.data.place import Finding, Place, counted, looked_in
from examples.data.reading.arrays import read_arrays
from examples.data.reading.files import UnreadableError, entry, locate, look
from examples.data.reading.records import Layout

FILE = "mnist.npz"
SOURCE = (
    "MNIST, Y. LeCun, C. Cortes, C. Burges, http://yann.lecun.com/exdb/mnist (CC BY-SA 3.0): the four idx files, "
    "plain or as .gz, or mnist.npz with the arrays x_train, y_train, x_test and y_test."
)
CLASSES = tuple(str(digit) for digit in range(10))
_PARTS = {"train": "train", "test": "t10k"}  # in the npz file, and in the names of the idx files
_IDX = [f"{part}-{kind}-ubyte" for part in _PARTS.values() for kind in ("images-idx3", "labels-idx1")]
_TRAINING, _TEST = 60_000, 10_000
_SIDE = 28
_BORDER = 2  # makes 32 x 32 of it, the size of the other maps


def read_mnist(place: Place) -> Collection:
    """Return uint8 images ``(digits, 28, 28)``, 0 is paper and 255 is ink, the official test part last.

    The last tenth of the official training part is for validation.

    Args:
        place: Folder that holds ``mnist.npz`` or the idx files, also in a folder below it such as ``MNIST/raw``; the first
            is taken where both are there.

    Raises:
        UserError: Neither is there, or a file is damaged or holds something else.
    """
    folder = _locate(place).folder()
    npz = entry(folder, FILE)
    (images, labels), (test_images, test_labels) = (
        _from_npz(npz, part) if npz.is_file() else _from_idx(folder, name) for part, name in _PARTS.items()
    )
    split = last_tenth(len(labels), len(test_labels))
    return Collection(np.concatenate([images, test_images]), np.concatenate([labels, test_labels]), split)


def as_maps(images: NDArray[np.generic]) -> NDArray[np.generic]:
    """Return images ``(digits, 28, 28)`` with a border of two zeros, ``(digits, 1, 32, 32)``."""
    border = (_BORDER, _BORDER)
    return np.pad(images, ((0, 0), border, border))[:, None]


def check_mnist(place: Place) -> list[Finding]:
    """Read the files and count the digits."""
    split = read_mnist(place).split
    return [
        looked_in(_locate(place), "MNIST"),
        counted("MNIST, training", "digits", len(split.train) + len(split.validation), _TRAINING),
        counted("MNIST, test", "digits", len(split.test), _TEST),
    ]


def _locate(place: Place) -> Place:
    return locate(
        place,
        lambda folder: entry(folder, FILE).is_file() or any(_idx(folder, name) for name in _IDX),
        sign=f"'{FILE}' and no '{_IDX[0]}', plain or as .gz,",
        source=SOURCE,
    )


def _from_npz(path: Path, part: str) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    images, labels = f"x_{part}", f"y_{part}"
    expected = {images: Layout("uint8", (_SIDE, _SIDE)), labels: Layout("int64", ())}
    arrays = read_arrays(path, expected, source=SOURCE)
    return arrays[images], _checked(arrays[labels], len(arrays[images]), path)


def _from_idx(folder: Path, name: str) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    images = _read_idx(_find(folder, f"{name}-images-idx3-ubyte"), (_SIDE, _SIDE))
    path = _find(folder, f"{name}-labels-idx1-ubyte")
    return images, _checked(_read_idx(path, ()).astype(np.int64), len(images), path)


def _checked(labels: NDArray[np.int64], images: int, path: Path) -> NDArray[np.int64]:
    if len(labels) != images or not np.isin(labels, range(len(CLASSES))).all():
        raise UnreadableError(f"'{path}' must have a label from 0 to 9 for each of {images} images. {SOURCE}")
    return labels


def _idx(folder: Path, name: str) -> Path | None:
    """Return an idx file under its official name or that of other copies, ``train-images.idx3-ubyte``."""
    names = [f"{base}{end}" for base in (name, name.replace("-idx", ".idx")) for end in ("", ".gz")]
    return next((path for path in (entry(folder, name) for name in names) if path.is_file()), None)


def _find(folder: Path, name: str) -> Path:
    path = _idx(folder, name)
    if path is None:
        raise UnreadableError(
            f"MNIST in '{folder.absolute()}' lacks '{name}', plain or as .gz; the four idx files belong in one folder. {SOURCE}"
        )
    return path


def _read_idx(path: Path, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Read an idx file: two zeros, 8 for bytes, the number of axes, their lengths as big-endian int32, the bytes."""
    look(path)
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
