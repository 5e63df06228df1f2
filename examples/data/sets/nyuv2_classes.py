"""From the 894 classes of NYU Depth v2 to the ones that are scored."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from examples.data.contract import UNSCORED
from examples.data.reading.cache import UnreadableError
from examples.data.reading.matlab import read_mat, texts

MAPPINGS = {40: "classMapping40.mat", 13: "class13Mapping.mat"}


class Classes(NamedTuple):
    """What is scored.

    Attributes:
        names: Of the classes.
        numbers: Label in the data to position in `names`, or `UNSCORED`: ``(own classes + 1,)``, int16. Label 0
            means that there is none.
    """

    names: tuple[str, ...]
    numbers: NDArray[np.int16]


def choose_classes(
    folder: Path, own: tuple[str, ...], training: NDArray[Any], classes: int, *, source: str
) -> Classes:
    """Return the classes of S. Gupta et al., CVPR 2013, of C. Couprie et al., ICLR 2013, or the most frequent ones.

    Args:
        folder: Of the files in `MAPPINGS`. 13 classes need both, they are made of the 40.
        own: Names of the classes of the data.
        training: Labels of the training part, any shape: they decide which classes are frequent.
        classes: 40, 13, or how many of the data's own.
        source: A sentence that says where the files come from.

    Raises:
        FileNotFoundError: A file is missing.
        ValueError: A file does not hold a mapping of these classes, or fewer classes than that are there.
    """
    if classes not in MAPPINGS:
        return _most_frequent(own, training, classes)
    needed = [MAPPINGS[40]] if classes == 40 else [MAPPINGS[40], MAPPINGS[13]]
    missing = [name for name in needed if not (folder / name).is_file()]
    if missing:
        raise FileNotFoundError(
            f"`classes` (={classes}) needs {missing} in '{folder}'. Without them, another number takes so many of "
            f"the data's own classes. {source}"
        )
    table, names = _forty(folder / MAPPINGS[40], len(own))
    if classes == 13:
        second, names = _thirteen(folder / MAPPINGS[13], len(names))
        table = second[table]
    return Classes(names, np.where(table == 0, UNSCORED, table - 1).astype(np.int16))


def _forty(path: Path, own: int) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    found = read_mat(path, ("mapClass", "className"))
    names = texts(found["className"])
    return _table(path, found["mapClass"], own, names), names


def _thirteen(path: Path, forty: int) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """Read a struct of two fields: a number for each of the 40 classes, and the names of the 13."""
    struct = read_mat(path, ("classMapping13",))["classMapping13"]
    fields = [np.asarray(struct[field].ravel()[0]) for field in struct.dtype.names or ()]
    numbers = [value for value in fields if value.dtype.kind in "uif"]
    names = [texts(value) for value in fields if value.dtype.kind == "O"]
    if len(numbers) != 1 or len(names) != 1:
        raise UnreadableError(f"'{path}': classMapping13 must hold numbers and names")
    return _table(path, numbers[0], forty, names[0]), names[0]


def _table(path: Path, values: NDArray[Any], classes: int, names: tuple[str, ...]) -> NDArray[np.int64]:
    """Return where each class goes, counted from 1; 0 goes to 0, no class."""
    numbers = np.asarray(values).ravel().astype(np.int64)
    if len(numbers) != classes or numbers.min() < 0 or numbers.max() > len(names):
        raise UnreadableError(
            f"'{path}' must map {classes} classes to 0 to {len(names)}, "
            f"it maps {len(numbers)} to {numbers.min()} to {numbers.max()}"
        )
    return np.concatenate([[0], numbers])


def _most_frequent(own: tuple[str, ...], training: NDArray[Any], classes: int) -> Classes:
    pixels = np.bincount(training.ravel(), minlength=len(own) + 1)[1:]
    there = int(np.count_nonzero(pixels))
    if classes > there:
        raise ValueError(
            f"`classes` (={classes}) must be at most {there}, that is how many the training part shows."
        )
    frequent = np.argsort(-pixels, kind="stable")[:classes]
    numbers = np.full(len(own) + 1, UNSCORED, dtype=np.int16)
    numbers[frequent + 1] = np.arange(classes)
    return Classes(tuple(own[number] for number in frequent), numbers)
