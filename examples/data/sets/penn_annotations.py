"""What is known of the clips of Penn Action without their frames, from its own files or from a small copy."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from examples.data.place import Place
from examples.data.reading.arrays import Shape, read_arrays
from examples.data.reading.cache import Item, Layout, UnreadableError, decode_once
from examples.data.reading.matlab import read_mat, text

MOMENTS, JOINTS = 32, 13

_COPIED: dict[str, Layout] = {
    "joints": Layout("float32", (MOMENTS, JOINTS, 2)),
    "visibility": Layout("uint8", (MOMENTS, JOINTS)),
    "bbox": Layout("float32", (MOMENTS, 4)),
    "action": Layout("U24", ()),
    "viewpoint": Layout("U24", ()),
    "train": Layout("bool", ()),
    "n_frames": Layout("int32", ()),
}
_IN_FILE: dict[str, Shape] = {
    **{name: (None, *layout.shape) for name, layout in _COPIED.items()},
    "video": (None,),
}


@dataclass(frozen=True)
class Annotations:
    """What is known of the clips without their frames.

    Args:
        names: Of the clips, such as 0001.
        arrays: Those of `_COPIED`, ``(clips, *shape)``; coordinates are shares of the frame's width and height.
    """

    names: tuple[str, ...]
    arrays: Mapping[str, NDArray[Any]]


def moments(frames: int) -> NDArray[np.int64]:
    """Return the positions of 32 evenly spaced frames, from the first to the last; of few frames some repeat."""
    return np.linspace(0, frames - 1, MOMENTS).round().astype(np.int64)


def read_labels(place: Place, folder: Path, names: Sequence[str]) -> Annotations:
    """Read the ``.mat`` files of the data set, once; those that cannot be read are left out or raised.

    Args:
        place: Where the copy goes, and whether to raise.
        folder: Of the files.
        names: Of the clips, each is the name of a file.

    Raises:
        UnreadableError: Some cannot be read and `place` says "raise".
    """
    items = [Item(name, (folder / f"{name}.mat",)) for name in names]
    copy = place.decoded("penn-action", {"what": "annotations", "moments": MOMENTS})
    decoded = decode_once(copy, items, _COPIED, decode_annotations, on_error=place.on_error)
    return Annotations(
        tuple(names[position] for position in decoded.good),
        {name: rows[decoded.good] for name, rows in decoded.arrays.items()},
    )


def read_copy(path: Path, *, source: str) -> Annotations:
    """Read the file that holds the annotations of all clips: words as numbers, and the words they stand for.

    Args:
        path: Of the ``.npz`` file.
        source: A sentence that says where it comes from.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It cannot be read, or an array is missing, has another shape or holds other numbers.
    """
    found = read_arrays(path, _IN_FILE, source=source)
    arrays: dict[str, NDArray[Any]] = {name: found[name] for name in _COPIED}
    for name in ("action", "viewpoint"):
        words = read_arrays(path, {f"{name}_names": (None,)}, source=source)[f"{name}_names"]
        numbers = found[name].astype(np.int64)
        if numbers.min() < 0 or numbers.max() >= len(words):
            raise ValueError(f"'{path}': array `{name}` must hold 0 to {len(words) - 1}. {source}")
        arrays[name] = words[numbers]
    return Annotations(tuple(f"{number:04d}" for number in found["video"].tolist()), arrays)


def decode_annotations(item: Item) -> dict[str, NDArray[Any]]:
    """Read the annotations of one clip at 32 moments.

    The boxes of some clips are one short: the last one counts for the frames after it.

    Raises:
        UnreadableError: The file is missing or damaged, or does not hold what it should.
    """
    path = item.files[0]
    found = read_mat(path, ("action", "pose", "x", "y", "visibility", "train", "bbox", "dimensions"))
    count = len(found["x"])
    x, y, seen = (_numbers(path, found, name, (count, JOINTS)) for name in ("x", "y", "visibility"))
    boxes = _numbers(path, found, "bbox", (len(found["bbox"]), 4))
    (train,) = _numbers(path, found, "train", (1, 1))[0]
    height, width, _ = _numbers(path, found, "dimensions", (1, 3))[0]
    if train not in (1, -1) or min(height, width) < 1:
        raise UnreadableError(f"'{path}': train must be 1 or -1, dimensions height, width and frames")
    when = moments(count)
    return {
        "joints": np.stack([x[when] / width, y[when] / height], axis=2),
        "visibility": seen[when] > 0,
        "bbox": boxes[np.minimum(when, len(boxes) - 1)] / [width, height, width, height],
        "action": _word(path, found, "action"),
        "viewpoint": _word(path, found, "pose"),
        "train": np.asarray(train == 1),
        "n_frames": np.asarray(count),
    }


def _numbers(
    path: Path, found: Mapping[str, NDArray[Any]], name: str, shape: tuple[int, ...]
) -> NDArray[np.float64]:
    values = found[name]
    if (
        values.shape != shape
        or values.dtype.kind not in "biuf"
        or not (values.size and np.isfinite(values).all())
    ):
        raise UnreadableError(
            f"'{path}': {name} (of shape {values.shape}) must hold numbers of shape {shape}"
        )
    return values.astype(np.float64)


def _word(path: Path, found: Mapping[str, NDArray[Any]], name: str) -> NDArray[np.str_]:
    word = text(found[name])
    if not 0 < len(word) <= 24:
        raise UnreadableError(f"'{path}': {name} must be a short text")
    return np.asarray(word)
