"""NYU Depth v2: 1,449 indoor pictures in color and depth, a class for every pixel. Bring the files yourself."""

import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import interpolate

from examples.data.columns import Whole
from examples.data.contract import Kind, MultimodalData, split_and_standardise
from examples.data.place import Finding, Place, counted
from examples.data.reading.cache import Decoded, Item, Layout, UnreadableError, decode_once
from examples.data.reading.matlab import hdf5_texts, open_hdf5, read_mat
from examples.data.sets.nyuv2_classes import MAPPINGS, choose_classes
from examples.data.splits import Split

FILE, SPLITS = "nyu_depth_v2_labeled.mat", "splits.mat"
SOURCE = (
    "Data: NYU Depth v2, N. Silberman, D. Hoiem, P. Kohli, R. Fergus, ECCV 2012, "
    f"https://cs.nyu.edu/~silberman/datasets/nyu_depth_v2.html, on its terms: `{FILE}` (2.8 GB), beside it "
    f"`{SPLITS}` from http://horatio.cs.nyu.edu/mit/silberman/indoor_seg_sup/splits.mat and, for 40 or 13 "
    f"classes, `{MAPPINGS[40]}` and `{MAPPINGS[13]}` from https://github.com/ankurhanda/nyuv2-meta-data. Name "
    "their folder with --root."
)
KINDS: dict[str, Kind] = {"color": "image", "depth": "image"}

_IMAGES, _TRAIN, _TEST, _CLASSES = 1449, 795, 654, 894
_WIDTH, _HEIGHT = 640, 480
_TEST_SHARE = 0.45  # of the scenes, as in the official split
_NAMES = ("images", "depths", "labels", "names", "scenes", "sceneTypes")
_CHUNK_BYTES = 16 * 2**20


def load_nyuv2(
    place: Place,
    *,
    seed: int = 0,
    modalities: Sequence[str] = ("color", "depth"),
    classes: int = 40,
    size: int = 128,
    validation: float = 0.15,
) -> MultimodalData:
    """Return color and depth as images, a class for each pixel as target; the whole picture becomes a square.

    - color: ``(3, size, size)``, 0 to 255 before it is standardised.
    - depth: ``(1, size, size)``, metres before it is standardised; 0 where it is missing. The depth is the one
      whose holes the authors filled. Where some pixels behind a new one are missing, the others make its value;
      it is missing itself when that holds for more than half of them.
    - target: ``(size, size)``, the class of the pixel in the middle; `UNSCORED` where there is no label.

    The split is the official one where ``splits.mat`` lies beside the data. Where it does not, whole scenes are
    drawn for the test, and that is said on the way: such scores compare with each other only.

    Args:
        place: Folder of ``nyu_depth_v2_labeled.mat``, or the file.
        seed: Draws the validation part, and the test where there is no official split.
        modalities: Any of color and depth, in the order in which they are fused.
        classes: 40 or 13, by the mappings that lie beside the data; any other number takes so many of the
            data's own 894 classes, those with the most pixels in the training part, and scores no others.
        size: Height and width, pixels.
        validation: Share of the training scenes that choose the epoch.
    """
    unknown = [name for name in modalities if name not in KINDS]
    if unknown or not modalities:
        raise ValueError(f"`modalities` (={list(modalities)}) must be some of {list(KINDS)}.")
    if not 0 <= validation < 1:
        raise ValueError(f"`validation` (={validation}) must be a share, at least 0 and below 1.")
    if min(size, classes) < 1:
        raise ValueError(f"`size` (={size}) and `classes` (={classes}) must be at least 1.")
    path = _existing(place)
    with open_hdf5(path, _NAMES, chunk_bytes=_CHUNK_BYTES) as file:
        _check_shapes(path, file)
        own, scenes, rooms = (hdf5_texts(path, file[name]) for name in ("names", "scenes", "sceneTypes"))
        decoded = _decoded(place, path, file, size, len(own))
    scene = np.unique(scenes, return_inverse=True)[1]
    split = _split(path.parent / SPLITS, scene, decoded.good, validation, seed)
    labels = decoded.arrays["labels"][:]
    chosen = choose_classes(path.parent, own, labels[split.train], classes, source=SOURCE)
    return split_and_standardise(
        "nyuv2",
        {name: Whole(decoded.arrays[name]) for name in modalities},
        torch.as_tensor(chosen.numbers[labels]),
        kinds={name: KINDS[name] for name in modalities},
        classes=chosen.names,
        split=split,
        task="segmentation",
        labels={
            "scene": torch.as_tensor(scene),
            "scene type": torch.as_tensor(np.unique(rooms, return_inverse=True)[1]),
        },
        names=_picture_names(len(scene)),
    )


def check_nyuv2(place: Place) -> list[Finding]:
    """Open the file, without decoding it, and look for the ones that should lie beside it."""
    path = _existing(place)
    with open_hdf5(path, _NAMES, chunk_bytes=_CHUNK_BYTES) as file:
        _check_shapes(path, file)
        images, _, width, height = file["images"].shape
        findings = [
            counted(FILE, "pictures", images, _IMAGES),
            Finding(
                FILE, f"{_WIDTH} x {_HEIGHT}", f"{width} x {height}", (width, height) == (_WIDTH, _HEIGHT)
            ),
            counted(FILE, "classes", len(hdf5_texts(path, file["names"])), _CLASSES),
        ]
    if (path.parent / SPLITS).is_file():
        train, test = _official(path.parent / SPLITS, images)
        findings += [
            counted(SPLITS, "training pictures", len(train), _TRAIN),
            counted(SPLITS, "test pictures", len(test), _TEST),
        ]
    else:
        findings.append(Finding(SPLITS, "a file", "none: a test of whole scenes is drawn by the seed", False))
    for classes, name in MAPPINGS.items():
        there = (path.parent / name).is_file()
        found = "there" if there else f"none: {classes} classes cannot be had"
        findings.append(Finding(name, "a file", found, there))
    return findings


def _existing(place: Place) -> Path:
    path = place.file(FILE)
    if not path.is_file():
        raise FileNotFoundError(f"No file at '{path}'. {SOURCE}")
    return path


def _check_shapes(path: Path, file: Mapping[str, Any]) -> None:
    shapes = {name: tuple(getattr(file[name], "shape", ())) for name in _NAMES}
    images = shapes["images"]
    if len(images) != 4 or any(shapes[name] != (images[0], *images[2:]) for name in ("depths", "labels")):
        raise UnreadableError(
            f"'{path}' has shapes {shapes}; images must be (n, 3, width, height), the others (n, width, height)"
        )
    if any(math.prod(shapes[name]) != images[0] for name in ("scenes", "sceneTypes")):
        raise UnreadableError(
            f"'{path}' has shapes {shapes}; scenes and sceneTypes must be one for each image"
        )


def _decoded(place: Place, path: Path, file: Mapping[str, Any], size: int, classes: int) -> Decoded:
    """Decode every picture once; `file` stays open meanwhile, as its chunks may hold several pictures."""
    layout = {
        "color": Layout("uint8", (3, size, size)),
        "depth": Layout("float32", (1, size, size)),
        "labels": Layout("uint16", (size, size)),
    }

    def decode(item: Item) -> Mapping[str, NDArray[Any]]:
        number = int(item.name) - 1
        try:
            images, depths, labels = (file[name][number].swapaxes(-1, -2) for name in _NAMES[:3])
        except OSError as error:
            raise UnreadableError(f"this part of '{path}' is damaged ({error})") from error
        if not np.isfinite(depths).all() or depths.min() < 0:
            raise UnreadableError("its depth must be numbers that are not negative")
        if labels.max() > classes:
            raise UnreadableError(f"its labels must be 0 to {classes}, one is {labels.max()}")
        return {
            "color": _resized(images[None], size)[0].round().byte().numpy(),
            "depth": _resized_depth(depths, size),
            "labels": labels[np.ix_(*(_nearest(length, size) for length in labels.shape))],
        }

    items = [Item(name, (path,)) for name in _picture_names(len(file["images"]))]
    folder = replace(place, root=path.parent).decoded("nyuv2", {"size": size})
    return decode_once(folder, items, layout, decode, on_error=place.on_error)


def _resized(values: NDArray[Any], size: int) -> Tensor:
    """Return ``(n, channels, height, width)`` as float32 squares, averaged where they shrink."""
    maps = torch.as_tensor(values.astype("float32"))
    return interpolate(maps, size=(size, size), mode="bilinear", align_corners=False, antialias=True)


def _resized_depth(depth: NDArray[Any], size: int) -> NDArray[np.float32]:
    """Average what is known of ``(height, width)``; where less than half is known, so is nothing: 0."""
    known, values = _resized(np.stack([depth > 0, depth])[:, None], size)
    return torch.where(known >= 0.5, values / known.clamp(min=0.5), 0.0).numpy()


def _nearest(length: int, size: int) -> NDArray[np.int64]:
    return ((np.arange(size) + 0.5) * length / size).astype(np.int64)


def _picture_names(count: int) -> list[str]:
    return [f"{number + 1:04d}" for number in range(count)]


def _split(path: Path, scene: NDArray[np.int64], good: NDArray[np.int64], share: float, seed: int) -> Split:
    """Return the official split, or one by scene; the validation part is made of training scenes."""
    random = np.random.default_rng(seed)
    if path.is_file():
        train, test = _official(path, len(scene))
    else:
        held_out = np.isin(scene, _drawn(scene, _TEST_SHARE, random))
        train, test = np.flatnonzero(~held_out), np.flatnonzero(held_out)
        words = f"No official split at '{path}': the test are {len(test)} pictures of scenes drawn by seed {seed}."
        print(words, file=sys.stderr)
    chooses = np.isin(scene[train], _drawn(scene[train], share, random))
    return Split(*(np.intersect1d(part, good) for part in (train[~chooses], train[chooses], test)))


def _drawn(scene: NDArray[np.int64], share: float, random: np.random.Generator) -> NDArray[np.int64]:
    scenes = np.unique(scene)
    return random.permutation(scenes)[: round(share * len(scenes))]


def _official(path: Path, count: int) -> list[NDArray[np.int64]]:
    """Read positions of training and test pictures; the file counts from 1."""
    found = read_mat(path, ("trainNdxs", "testNdxs"))
    parts = [np.sort(found[name].ravel().astype(np.int64)) - 1 for name in ("trainNdxs", "testNdxs")]
    everything = np.concatenate(parts)
    if not len(everything) or everything.min() < 0 or everything.max() >= count:
        raise UnreadableError(f"'{path}' must name pictures by 1 to {count}")
    return parts
