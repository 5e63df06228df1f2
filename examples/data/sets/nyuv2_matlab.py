"""NYU Depth v2 as its authors gave it out: one file of MATLAB's format 7.3, and small files beside it."""

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from examples.data.place import Finding, Place, counted
from examples.data.reading.cache import Item
from examples.data.reading.files import UnreadableError, entry
from examples.data.reading.matlab import hdf5_texts, open_hdf5
from examples.data.sets.nyuv2_source import SPLITS, Picture, Source, picture_names, read_official

FILE = "nyu_depth_v2_labeled.mat"
_IMAGES, _TRAIN, _TEST, _CLASSES = 1449, 795, 654, 894
_WIDTH, _HEIGHT = 640, 480
_NAMES = ("images", "depths", "labels", "names", "scenes", "sceneTypes")
_CHUNK_BYTES = 16 * 2**20


@contextmanager
def open_matlab(place: Place, path: Path) -> Iterator[Source]:
    """Open the file; it stays open meanwhile, as its chunks may hold several pictures.

    Raises:
        UnreadableError: It is damaged, cut or holds something else.
    """
    with open_hdf5(path, _NAMES, chunk_bytes=_CHUNK_BYTES) as file:
        _check_shapes(path, file)
        own, scenes, rooms = (hdf5_texts(path, file[name]) for name in ("names", "scenes", "sceneTypes"))
        images, _, width, height = file["images"].shape

        def read(item: Item) -> Picture:
            number = int(item.name) - 1
            try:
                return Picture(*(file[name][number].swapaxes(-1, -2) for name in _NAMES[:3]))
            except OSError as error:
                raise UnreadableError(f"this part of '{path}' is damaged ({error})") from error

        official = read_official(entry(path.parent, SPLITS), images)
        size = (width, height) == (_WIDTH, _HEIGHT)
        findings = [
            counted(FILE, "pictures", images, _IMAGES),
            Finding(FILE, f"{_WIDTH} x {_HEIGHT}", f"{width} x {height}", size),
            counted(FILE, "classes", len(own), _CLASSES),
        ]
        if official is None:
            findings.append(
                Finding(SPLITS, "a file", "none: a test of whole scenes is drawn by the seed", good=False)
            )
        else:
            findings += [
                counted(SPLITS, "training pictures", int((~official).sum()), _TRAIN),
                counted(SPLITS, "test pictures", int(official.sum()), _TEST),
            ]
        yield Source(
            place,
            [Item(name, (path,)) for name in picture_names(images)],
            read,
            own,
            np.unique(scenes, return_inverse=True)[1],
            np.unique(rooms, return_inverse=True)[1],
            official,
            findings,
        )


def _check_shapes(path: Path, file: Mapping[str, Any]) -> None:
    shapes = {name: tuple(getattr(file[name], "shape", ())) for name in _NAMES}
    images = shapes["images"]
    fits = len(images) == 4 and images[1] == 3 and images[2] >= images[3]
    if not fits or any(shapes[name] != (images[0], *images[2:]) for name in ("depths", "labels")):
        raise UnreadableError(
            f"'{path}' has shapes {shapes}; as MATLAB writes them, images are (n, 3, width, height), the others (n, width, "
            "height), and pictures are wider than high"
        )
    if any(math.prod(shapes[name]) != images[0] for name in ("scenes", "sceneTypes")):
        raise UnreadableError(
            f"'{path}' has shapes {shapes}; scenes and sceneTypes must be one for each image"
        )
