"""What the ways in which NYU Depth v2 lies on disk have in common: pictures, the classes of its pixels, and who is tested."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from examples.data.place import Finding, Place
from examples.data.reading.cache import Decoding, Item
from examples.data.reading.files import UnreadableError
from examples.data.reading.matlab import numbers, read_mat
from examples.data.reading.records import Layout
from examples.data.reading.resampling import nearest, shrunk, shrunk_depth

SPLITS = "splits.mat"


class Picture(NamedTuple):
    """One picture as it lies on disk.

    Attributes:
        color: uint8, ``(3, height, width)``.
        depth: Any numbers, ``(height, width)``; 0 where it is not known.
        labels: Classes from 1, ``(height, width)``; 0 where there is none.
    """

    color: NDArray[np.uint8]
    depth: NDArray[Any]
    labels: NDArray[Any]


@dataclass(frozen=True)
class Source:
    """The data set in one of its forms.

    Args:
        place: The folder it lies in.
        items: Pictures.
        read: Reader of an item as `Picture`, called from several threads. Raises `UnreadableError`.
        own: Names of its classes, in the order of their numbers.
        scene: Number of the place where each picture was taken, or of the run of neighbours it is in; ``(pictures,)``.
        room: Number of the kind of room, ``(pictures,)``; None where it is not known.
        official: Whether each picture is for the test, ``(pictures,)``; None where it is not known.
        findings: Findings of `data check`.
        settings: Other settings that decide how a picture is read.
    """

    place: Place
    items: Sequence[Item]
    read: Callable[[Item], Picture]
    own: tuple[str, ...]
    scene: NDArray[np.int64]
    room: NDArray[np.int64] | None
    official: NDArray[np.bool_] | None
    findings: Sequence[Finding]
    settings: Mapping[str, object] = field(default_factory=dict)

    def decoding(self, size: int) -> Decoding:
        """Return how its pictures become squares of `size`."""
        layout = {
            "color": Layout("uint8", (3, size, size)),
            "depth": Layout("float32", (1, size, size)),
            "labels": Layout("uint16", (size, size)),
        }

        def decode(item: Item) -> dict[str, NDArray[Any]]:
            color, depth, labels = self.read(item)
            if not color.shape[1:] == depth.shape == labels.shape:
                raise UnreadableError(
                    f"color, depth and labels must be of one size; they are {color.shape[1:]}, {depth.shape}, {labels.shape}"
                )
            if not np.isfinite(depth).all() or depth.min() < 0:
                raise UnreadableError("its depth must be numbers that are not negative")
            if labels.max() > len(self.own):
                raise UnreadableError(f"its labels must be 0 to {len(self.own)}, one is {labels.max()}")
            return {
                "color": shrunk(color[None], size)[0].round().byte().numpy(),
                "depth": shrunk_depth(depth[None], size),
                "labels": labels[np.ix_(*(nearest(length, size) for length in labels.shape))],
            }

        return Decoding(
            "nyuv2", {"size": size, "classes": len(self.own), **self.settings}, self.items, layout, decode
        )


def read_official(path: Path, count: int) -> NDArray[np.bool_] | None:
    """Return whether each picture is for the test, by ``splits.mat``, which counts from 1; None where it is not there.

    Raises:
        UnreadableError: It does not name every picture once.
    """
    if not path.is_file():
        return None
    found = read_mat(path, ("trainNdxs", "testNdxs"))
    train, test = (
        numbers(path, {name: found[name].reshape(-1)}, name, (None,), np.int64)
        for name in ("trainNdxs", "testNdxs")
    )
    if sorted([*train, *test]) != list(range(1, count + 1)):
        raise UnreadableError(
            f"'{path}' must name each of the pictures 1 to {count} once; it names {len(train)} for training and "
            f"{len(test)} for the test, {min([*train, *test])} to {max([*train, *test])}"
        )
    tested = np.zeros(count, dtype=np.bool_)
    tested[test - 1] = True
    return tested


def picture_names(count: int) -> list[str]:
    """Return 0001, 0002, ..."""
    return [f"{number + 1:04d}" for number in range(count)]


def runs(tested: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return a number for each run of neighbours of one part; the pictures of a scene follow each other."""
    return np.concatenate([[0], np.cumsum(tested[1:] != tested[:-1])]).astype(np.int64)
