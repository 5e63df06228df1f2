"""From the 894 classes of NYU Depth v2 to the ones that are scored."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from examples.data.contract import UNSCORED
from examples.data.reading.exact import exact
from examples.data.reading.files import UnreadableError, entry
from examples.data.reading.matlab import read_mat, texts
from examples.errors import UserError

FORTY: tuple[str, ...] = (
    "wall",
    "floor",
    "cabinet",
    "bed",
    "chair",
    "sofa",
    "table",
    "door",
    "window",
    "bookshelf",
    "picture",
    "counter",
    "blinds",
    "desk",
    "shelves",
    "curtain",
    "dresser",
    "pillow",
    "mirror",
    "floor mat",
    "clothes",
    "ceiling",
    "books",
    "refrigerator",
    "television",
    "paper",
    "towel",
    "shower curtain",
    "box",
    "whiteboard",
    "person",
    "night stand",
    "toilet",
    "sink",
    "lamp",
    "bathtub",
    "bag",
    "otherstructure",
    "otherfurniture",
    "otherprop",
)
"""The 40 classes, for data that has no others."""
MAPPINGS = {40: "classMapping40.mat", 13: "class13Mapping.mat"}


class Classes(NamedTuple):
    """What is scored.

    Attributes:
        names: Names of the classes.
        numbers: Label in the data to position in `names`, or `UNSCORED`: ``(own classes + 1,)``, int16. Label 0
            means that there is none.
    """

    names: tuple[str, ...]
    numbers: NDArray[np.int16]


def read_mapping(folder: Path, own: tuple[str, ...], classes: int, *, source: str) -> Classes:
    """Return the classes of S. Gupta et al., CVPR 2013, or of C. Couprie et al., ICLR 2013.

    Args:
        folder: Folder of the files in `MAPPINGS`. 13 classes are made of the 40.
        own: Names of the classes of the data.
        classes: 40 or 13.
        source: A sentence that says where the files come from.

    Raises:
        UserError: A file is missing, or does not hold a mapping of these classes.
    """
    missing = [path.name for path in _needed(folder, own, classes) if not path.is_file()]
    if missing:
        raise UserError(
            f"`classes` (={classes}) needs {missing} in '{folder.absolute()}'. Without them, another number takes so many of "
            f"the data's own classes. {source}"
        )
    if own == FORTY:
        table, names = np.arange(len(own) + 1), own
    else:
        table, names = _forty(entry(folder, MAPPINGS[40]), len(own))
    if classes == 13:
        second, names = _thirteen(entry(folder, MAPPINGS[13]), len(names))
        table = second[table]
    return Classes(names, np.where(table == 0, UNSCORED, table - 1).astype(np.int16))


def can_map(folder: Path, own: tuple[str, ...], classes: int) -> bool:
    """Whether the files that 40 or 13 classes need are there."""
    return all(path.is_file() for path in _needed(folder, own, classes))


def most_frequent(own: tuple[str, ...], training: NDArray[Any], classes: int) -> Classes:
    """Return so many of the data's own classes, those with the most pixels.

    Args:
        own: Names of the classes of the data.
        training: Labels of the training part, any shape.
        classes: Number of classes.

    Raises:
        UserError: There are fewer.
    """
    pixels = np.bincount(training.ravel(), minlength=len(own) + 1)[1:]
    there = int(np.count_nonzero(pixels))
    if classes > there:
        raise UserError(
            f"`classes` (={classes}) must be at most {there}, that is how many the training part shows."
        )
    frequent = np.argsort(-pixels, kind="stable")[:classes]
    numbers = np.full(len(own) + 1, UNSCORED, dtype=np.int16)
    numbers[frequent + 1] = np.arange(classes)
    return Classes(tuple(own[number] for number in frequent), numbers)


def _needed(folder: Path, own: tuple[str, ...], classes: int) -> list[Path]:
    """Return the files to read: data that has the 40 classes itself needs no mapping to them."""
    first = [] if own == FORTY else [MAPPINGS[40]]
    return [entry(folder, name) for name in ([*first, MAPPINGS[13]] if classes == 13 else first)]


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
    numbers = exact(np.asarray(values).ravel(), np.int64, f"'{path}'")
    if len(numbers) != classes or numbers.min() < 0 or numbers.max() > len(names):
        raise UnreadableError(
            f"'{path}' must map {classes} classes to 0 to {len(names)}, "
            f"it maps {len(numbers)} to {numbers.min()} to {numbers.max()}"
        )
    return np.concatenate([[0], numbers])
