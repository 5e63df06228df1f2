"""CWFID: 60 images of carrot fields in near infrared and red; find soil, crop and weed. Bring the files yourself."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from examples.data.contract import UNSCORED, MultimodalData, Samples, split_and_standardise
from examples.data.place import Finding, Place, counted, looked_in
from examples.data.reading.arrays import read_arrays
from examples.data.reading.cache import Decoding, Item, decode_once
from examples.data.reading.check import first_bytes, sampled
from examples.data.reading.files import UnreadableError, entry, locate, read_text
from examples.data.reading.media import read_image
from examples.data.reading.records import Layout
from examples.data.splits import Split
from examples.errors import UserError

FILE, SPLIT = "cwfid_quarter.npz", "train_test_split.yaml"
SOURCE = (
    "Crop/Weed Field Image Dataset, S. Haug, J. Ostermann, ECCV workshops 2014, https://github.com/cwfid/dataset, for "
    f"non-commercial research: images/001_image.png ..., annotations/001_annotation.png ... and {SPLIT}; or {FILE}, "
    "the same at a quarter of the size, with the arrays nir, red, label, train and test."
)
CLASSES = ("soil", "crop", "weed")
MODALITIES = ("nir", "red")
_FULL = (966, 1296)  # pixels, height and width
_STEP = 4
_SIZE = (242, 324)  # of a quarter
_TRAINING, _TEST, _IMAGES = 39, 21, 60


class Fields(NamedTuple):
    """The images, at a quarter of their size.

    Attributes:
        numbers: Numbers of the images, from 1, int64, ``(images,)``.
        spectra: Modality name to uint8 ``(images, 242, 324)``.
        classes: uint8, positions in `CLASSES`, ``(images, 242, 324)``.
        training: Positions on the official list for training that are not on the one for the test.
        test: Positions on the official list for the test.
        left_out: Images that could not be read, by name, with the reason.
    """

    numbers: NDArray[np.int64]
    spectra: dict[str, NDArray[np.uint8]]
    classes: NDArray[np.uint8]
    training: NDArray[np.int64]
    test: NDArray[np.int64]
    left_out: dict[str, str]


def load_cwfid(
    place: Place,
    *,
    seed: int = 0,
    tile: int = 80,
    reduce: int = 1,
    validation: int = 8,
    channels: Sequence[int] = (1, 0),
) -> MultimodalData:
    """Return `nir` and `red`, ``(1, tile, tile)`` each, and a class for each pixel, ``(tile, tile)``.

    The images have a quarter of their height and width. The centre of each is cut into tiles that touch and do not
    overlap, by default 12; all tiles of an image are in the same part. The test part is the official list. The
    training part is the other one, without image 28, which is on both, and without what is drawn for validation.
    Most pixels are soil, see `class_shares`.

    Args:
        place: Folder of the official files or of ``cwfid_quarter.npz``, or that file; it is taken where both are there.
        seed: Draws the validation part.
        tile: Height and width, pixels; a multiple of 4.
        reduce: Blocks of so many pixels a side become one before the tiles are cut: their mean, and the class of the
            pixel in their middle.
        validation: Number of training images that choose the epoch.
        channels: Numbers of the channels of the official PNG files that are near infrared and red, from 0. It is
            assumed that they lie in green and in red. Plants are bright in near infrared and dark in red: where they
            are not, a file is refused.

    Raises:
        UserError: There is no data (says where to get it), files could not be read and `place` says that this stops the run,
            an option is impossible, or ``cwfid_quarter.npz`` is damaged or holds something else.
    """
    if not 1 <= reduce <= min(_SIZE) // 4:
        raise UserError(f"`reduce` (={reduce}) must be at least 1 and at most {min(_SIZE) // 4}.")
    heights = [size // reduce for size in _SIZE]
    rows, columns = (size // tile if tile > 0 else 0 for size in heights)
    if tile % 4 or not rows:
        raise UserError(f"`tile` (={tile}) must be a multiple of 4, above 0 and at most {min(heights)}.")
    place = _locate(place)
    fields = _read_npz(place.file(FILE)) if place.file(FILE).is_file() else _read_png(place, channels)
    if not 0 <= validation < len(fields.training):
        raise UserError(
            f"`validation` (={validation}) must be at least 0 and below {len(fields.training)}, the training images."
        )
    training = np.random.default_rng(seed).permutation(fields.training)
    parts = np.sort(training[validation:]), np.sort(training[:validation]), fields.test
    per_image = np.arange(rows * columns)
    return split_and_standardise(
        "cwfid",
        {
            name: torch.as_tensor(_tiles(_reduced(values, reduce).mean(axis=(2, 4)), tile)[:, None])
            for name, values in fields.spectra.items()
        },
        torch.as_tensor(_tiles(_reduced(fields.classes, reduce)[:, :, reduce // 2, :, reduce // 2], tile)),
        kinds=dict.fromkeys(MODALITIES, "image"),
        classes=CLASSES,
        split=Split(*((part[:, None] * len(per_image) + per_image).ravel() for part in parts)),
        task="segmentation",
        labels={"image": torch.as_tensor(fields.numbers.repeat(len(per_image)))},
        names=[
            f"{number:03d}, row {row}, column {column}"
            for number in fields.numbers
            for row in range(rows)
            for column in range(columns)
        ],
        left_out=fields.left_out,
    )


def class_shares(samples: Samples, classes: int = len(CLASSES)) -> Tensor:
    """Return the share of each class among the pixels that are scored, float64, ``(classes,)``."""
    target = samples.target.long()
    counts = target[target != UNSCORED].bincount(minlength=classes).double()
    return counts / counts.sum()


def check_cwfid(place: Place) -> list[Finding]:
    """Read all, or look at every image of the lists and read some; count."""
    place = _locate(place)
    if place.file(FILE).is_file():
        fields = _read_npz(place.file(FILE))
        return [looked_in(place), *_counts(len(fields.numbers), len(fields.training), len(fields.test))]
    numbers, train, test = _read_lists(place.folder())
    decoding = _decoding(place.folder(), (1, 0))
    return [
        looked_in(place),
        *_counts(len(numbers), len(set(train) - set(test)), len(test)),
        first_bytes("images and annotations", [path for item in decoding.items for path in item.files]),
        sampled(decoding),
    ]


def _locate(place: Place) -> Place:
    return locate(
        place,
        lambda folder: entry(folder, FILE).is_file() or entry(folder, SPLIT).is_file(),
        sign=f"'{FILE}' and no '{SPLIT}'",
        source=SOURCE,
        file=FILE,
    )


def _counts(images: int, training: int, test: int) -> list[Finding]:
    return [
        counted("CWFID", "images", images, _IMAGES),
        counted("CWFID, only for training", "images", training, _TRAINING),
        counted("CWFID, test", "images", test, _TEST),
    ]


def _read_npz(path: Path) -> Fields:
    maps = dict.fromkeys((*MODALITIES, "label"), Layout("uint8", _SIZE))
    lists = dict.fromkeys(("train", "test"), Layout("bool", ()))
    arrays = read_arrays(path, {**maps, **lists}, source=SOURCE)
    train, test = arrays["train"], arrays["test"]
    if arrays["label"].max() >= len(CLASSES):
        raise UnreadableError(f"'{path}': array `label` must hold 0 to {len(CLASSES) - 1}. {SOURCE}")
    return Fields(
        np.arange(1, len(train) + 1),
        {name: arrays[name] for name in MODALITIES},
        arrays["label"],
        np.flatnonzero(train & ~test),
        np.flatnonzero(test),
        {},
    )


def _read_png(place: Place, channels: Sequence[int]) -> Fields:
    _, train, test = _read_lists(place.folder())
    if len(channels) != len(MODALITIES) or not set(channels) <= {0, 1, 2}:
        raise UserError(f"`channels` (={list(channels)}) must be two of 0, 1 and 2, near infrared first.")
    decoded = decode_once(_decoding(place.folder(), channels), place)
    arrays, there = decoded.read(), np.asarray(decoded.names).astype(np.int64)
    tested = np.isin(there, test)
    return Fields(
        there,
        {name: arrays[name] for name in MODALITIES},
        arrays["classes"],
        np.flatnonzero(np.isin(there, train) & ~tested),
        np.flatnonzero(tested),
        dict(decoded.problems),
    )


def _decoding(folder: Path, channels: Sequence[int]) -> Decoding:
    return Decoding(
        "cwfid",
        {"channels": list(channels), "step": _STEP},
        [_item(folder, number) for number in _read_lists(folder)[0]],
        dict.fromkeys((*MODALITIES, "classes"), Layout("uint8", _SIZE)),
        lambda item: _decode(item, channels),
    )


def _read_lists(folder: Path) -> tuple[list[int], list[int], list[int]]:
    """Return the numbers of all images, of those for training, and of those for the test."""
    path = entry(folder, SPLIT)
    lists = dict(re.findall(r"^(train|test):\s*\[([\d,\s]+)\]", read_text(path), re.MULTILINE))
    if set(lists) != {"train", "test"}:
        raise UnreadableError(
            f"'{path}' must have two lines, 'train: [2, 5, ...]' and 'test: [1, 3, ...]'. {SOURCE}"
        )
    train, test = ([int(number) for number in re.findall(r"\d+", lists[part])] for part in ("train", "test"))
    return sorted({*train, *test}), train, test


def _item(folder: Path, number: int) -> Item:
    name = f"{number:03d}"
    images, annotations = entry(folder, "images"), entry(folder, "annotations")
    return Item(name, (entry(images, f"{name}_image.png"), entry(annotations, f"{name}_annotation.png")))


def _decode(item: Item, channels: Sequence[int]) -> dict[str, NDArray[np.uint8]]:
    picture, colours = (read_image(path) for path in item.files)
    for path, values in zip(item.files, (picture, colours), strict=True):
        if values.shape[1:] != _FULL:
            height, width = values.shape[1:]
            raise UnreadableError(f"'{path}' has {height} x {width} pixels, not {_FULL[0]} x {_FULL[1]}")
    weed, crop, other = colours > 127
    if (other | (weed & crop)).any():
        raise UnreadableError(
            f"'{item.files[1]}' has colours other than black for soil, green for crop, red for weed"
        )
    nir, red = (_blocks(picture[channel]).mean(axis=(1, 3)) for channel in channels)
    classes = _blocks(crop + 2 * weed)[:, _STEP // 2, :, _STEP // 2]
    plants, index = classes > 0, nir - red
    if plants.any() and index[plants].mean() <= index[~plants].mean():
        raise UnreadableError(
            f"in '{item.files[0]}' plants are no brighter in near infrared than in red: other channels? "
            f"`channels` is {list(channels)}"
        )
    return {
        "nir": nir.round().astype(np.uint8),
        "red": red.round().astype(np.uint8),
        "classes": classes.astype(np.uint8),
    }


def _blocks(values: NDArray[Any]) -> NDArray[Any]:
    """Return ``(242, 4, 324, 4)`` from a full image; the last row is repeated where a block needs it."""
    missing = [(0, -size % _STEP) for size in values.shape]
    padded = np.pad(values, missing, mode="edge")
    return padded.reshape(_SIZE[0], _STEP, _SIZE[1], _STEP)


def _reduced(values: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """Return the blocks of whole images, ``(images, height // side, side, width // side, side)``."""
    images, height, width = values.shape
    cut = values[:, : height // side * side, : width // side * side]
    return cut.reshape(images, height // side, side, width // side, side)


def _tiles(values: NDArray[Any], tile: int) -> NDArray[Any]:
    """Return the tiles of the centre, row by row, image by image, ``(images * rows * columns, tile, tile)``."""
    height, width = values.shape[1:]
    rows, columns = height // tile, width // tile
    top, left = (height - rows * tile) // 2, (width - columns * tile) // 2
    centre = values[:, top : top + rows * tile, left : left + columns * tile]
    return centre.reshape(-1, rows, tile, columns, tile).swapaxes(2, 3).reshape(-1, tile, tile)
