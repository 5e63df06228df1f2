"""What is known of the clips of Penn Action without their frames, from its own files or from a small copy."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from examples.data.reading.arrays import read_arrays
from examples.data.reading.cache import Decoded, Decoding, Item
from examples.data.reading.files import UnreadableError, entry
from examples.data.reading.matlab import numbers, read_mat, text
from examples.data.reading.records import Layout
from examples.data.reading.resampling import moments

ACTIONS = (
    "baseball_pitch",
    "baseball_swing",
    "bench_press",
    "bowl",
    "clean_and_jerk",
    "golf_swing",
    "jump_rope",
    "jumping_jacks",
    "pullup",
    "pushup",
    "situp",
    "squat",
    "strum_guitar",
    "tennis_forehand",
    "tennis_serve",
)
VIEWPOINTS = ("back", "front", "left", "right")
MOMENTS, JOINTS = 32, 13

_COPIED: dict[str, Layout] = {
    "joints": Layout("float32", (MOMENTS, JOINTS, 2)),
    "visibility": Layout("bool", (MOMENTS, JOINTS)),
    "bbox": Layout("float32", (MOMENTS, 4)),
    "action": Layout("U24", ()),
    "viewpoint": Layout("U24", ()),
    "train": Layout("bool", ()),
    "n_frames": Layout("int32", ()),
}
_DECODED = {**_COPIED, "size": Layout("int32", (2,))}
_IN_FILE = {**_COPIED, **dict.fromkeys(("action", "viewpoint", "video"), Layout("int64", ()))}


@dataclass(frozen=True)
class Annotations:
    """What is known of the clips without their frames.

    Args:
        names: Names of the clips, such as 0001.
        arrays: Arrays of `_DECODED`, ``(clips, *shape)``; coordinates are shares of the frame's width and height, sizes are
            its height and width in pixels, 0 where they are not known.
        left_out: Clips that could not be read, by name, with the reason.
    """

    names: tuple[str, ...]
    arrays: Mapping[str, NDArray[Any]]
    left_out: Mapping[str, str]

    @classmethod
    def of(cls, decoded: Decoded) -> "Annotations":
        """Return what was decoded."""
        return cls(tuple(decoded.names), decoded.read(), decoded.problems)

    def without(self, problems: Mapping[str, str]) -> "Annotations":
        """Return the other clips."""
        kept = [number for number, name in enumerate(self.names) if name not in problems]
        names = tuple(self.names[number] for number in kept)
        arrays = {name: values[kept] for name, values in self.arrays.items()}
        return Annotations(names, arrays, {**self.left_out, **problems})


def label_decoding(folder: Path, names: Sequence[str]) -> Decoding:
    """Return how the ``.mat`` files of the data set are read.

    Args:
        folder: Folder of the files.
        names: Names of the clips, each is the name of a file.
    """
    items = [Item(name, (entry(folder, f"{name}.mat"),)) for name in names]
    settings = {"what": "annotations", "moments": MOMENTS}
    return Decoding("penn-action", settings, items, _DECODED, decode_annotations)


def read_copy(path: Path, *, source: str) -> Annotations:
    """Read the file that holds the annotations of all clips: words as numbers, and the words they stand for.

    Args:
        path: Path of the ``.npz`` file.
        source: A sentence that says where it comes from.

    Raises:
        UnreadableError: There is no such file, it cannot be read, or an array is missing, has another shape or holds other
            numbers.
    """
    arrays = read_arrays(path, _IN_FILE, source=source)
    for name in ("action", "viewpoint"):
        words = read_arrays(path, {f"{name}_names": Layout("U24", ())}, source=source)[f"{name}_names"]
        if arrays[name].min() < 0 or arrays[name].max() >= len(words):
            raise UnreadableError(f"'{path}': array `{name}` must hold 0 to {len(words) - 1}. {source}")
        arrays[name] = words[arrays[name]]
    arrays["size"] = np.zeros((len(arrays["train"]), 2), dtype=np.int32)
    return Annotations(tuple(f"{number:04d}" for number in arrays.pop("video").tolist()), arrays, {})


def decode_annotations(item: Item) -> dict[str, NDArray[Any]]:
    """Read the annotations of one clip at 32 moments.

    The boxes of some clips are one short: the last one counts for the frames after it.

    Raises:
        UnreadableError: The file is missing or damaged, does not hold what it should, or contradicts itself.
    """
    path = item.files[0]
    found = read_mat(path, ("action", "pose", "x", "y", "visibility", "train", "bbox", "dimensions"))
    x = numbers(path, found, "x", (None, JOINTS), np.float64)
    count = len(x)
    y = numbers(path, found, "y", (count, JOINTS), np.float64)
    seen = numbers(path, found, "visibility", (count, JOINTS), np.float64)
    boxes = numbers(path, found, "bbox", (None, 4), np.float64)
    train = int(numbers(path, found, "train", (1, 1), np.int64)[0, 0])
    height, width, _ = numbers(path, found, "dimensions", (1, 3), np.int64)[0]
    if train not in (1, -1) or min(height, width) < 1:
        raise UnreadableError(
            f"'{path}': train (={train}) must be 1 or -1, dimensions (={height} x {width}) above 0"
        )
    if len(boxes) not in (count, count - 1):
        raise UnreadableError(
            f"'{path}': bbox has {len(boxes)} boxes for {count} frames; there must be as many, or one fewer"
        )
    when = moments(count, MOMENTS)
    return {
        "joints": np.stack([x[when] / width, y[when] / height], axis=2),
        "visibility": seen[when] > 0,
        "bbox": boxes[np.minimum(when, len(boxes) - 1)] / [width, height, width, height],
        "action": _word(path, found, "action", ACTIONS),
        "viewpoint": _word(path, found, "pose", VIEWPOINTS),
        "train": np.asarray(train == 1),
        "n_frames": np.asarray(count),
        "size": np.asarray([height, width]),
    }


def _word(path: Path, found: Mapping[str, NDArray[Any]], name: str, known: Sequence[str]) -> NDArray[np.str_]:
    word = text(found[name])
    if word not in known:
        raise UnreadableError(f"'{path}': {name} (='{word}') must be one of {list(known)}")
    return np.asarray(word)
