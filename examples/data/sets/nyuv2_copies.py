"""NYU Depth v2 as others pass it on: folders of pictures, or one small file of them, with 40 classes."""

from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from examples.data.place import Finding, Place, counted
from examples.data.reading.arrays import read_arrays
from examples.data.reading.cache import Item
from examples.data.reading.files import UnreadableError, entry, files_in, read_text
from examples.data.reading.media import decode_image, decode_numbers, read_image, read_numbers
from examples.data.reading.records import Layout
from examples.data.sets.nyuv2_classes import FORTY
from examples.data.sets.nyuv2_source import SPLITS, Picture, Source, picture_names, read_official, runs

ENCODED = "nyuv2_240x320_encoded.npz"
_METRES = 9.9955 / 255  # of a step of its depth
_KINDS = {
    "color": ("rgb", "color", "image", "images"),
    "depth": ("depth", "depths"),
    "labels": ("labels", "label", "labels_40", "labels40", "label40", "masks"),
}
_PARTS = {"train": ("train",), "test": ("test", "val")}
_PICTURES, _TEST = 1449, 654


class Folders(NamedTuple):
    """The files of one picture.

    Attributes:
        color: PNG or JPEG.
        depth: PNG, one number per pixel.
        labels: The same.
        tested: Whether it is for the test; None where the folder it is in does not say it.
    """

    color: Path
    depth: Path
    labels: Path
    tested: bool | None


def read_encoded(place: Place, path: Path) -> Source:
    """Return the pictures of the small file, 240 x 320. Its class 40, other props, cannot be told from no class: it is none.

    Raises:
        UnreadableError: It is damaged or holds something else.
    """
    tested = read_arrays(path, {"split": Layout("bool", ())}, source="")["split"]
    names = picture_names(len(tested))
    bytes_of = {}
    for name in ("rgb_jpg", "depth_png", "label40_png"):
        content = read_arrays(path, {name: Layout("uint8", ())}, source="")[name]
        starts = read_arrays(path, {f"{name}_off": Layout("int64", ())}, source="")[f"{name}_off"]
        if len(starts) != len(names) + 1 or (np.diff(starts) < 0).any() or starts[-1] != len(content):
            raise UnreadableError(f"'{path}': `{name}_off` must cut `{name}` into {len(names)} pictures")
        bytes_of[name] = [content[a:b].tobytes() for a, b in pairwise(starts)]

    def read(item: Item) -> Picture:
        number = int(item.name) - 1
        color, depth, labels = (bytes_of[name][number] for name in bytes_of)
        classes = decode_numbers(path, labels).astype(np.int64) + 1
        return Picture(
            decode_image(path, color),
            decode_numbers(path, depth) * _METRES,
            np.where(classes == len(FORTY), 0, classes),
        )

    return Source(
        place,
        [Item(name, (path,)) for name in names],
        read,
        FORTY,
        runs(tested),
        None,
        tested,
        [
            counted(ENCODED, "pictures", len(names), _PICTURES),
            counted(ENCODED, "test pictures", int(tested.sum()), _TEST),
        ],
    )


def read_folders(place: Place, none: int) -> Source:
    """Return the pictures of folders, with labels 1 to 40, or 0 to 39 where `none` is not 0.

    Args:
        place: Their folder. It holds folders of one kind each, such as rgb, depth and labels, or train and test with such
            folders in them. In each, a picture has the same name. Who is tested is said by train and test, by lists
            train.txt and test.txt, or by ``splits.mat``.
        none: Number of the pixels without a class.

    Raises:
        UnreadableError: Pictures are missing, or a list names others.
    """
    found = folders_of(place.folder())
    names = sorted(found)
    tested = _tested(place.folder(), names, found)

    def read(item: Item) -> Picture:
        color, depth, labels = item.files
        classes = read_numbers(labels).astype(np.int64)
        numbered = np.where(classes == none, 0, classes + (none != 0))
        if numbered.max() > len(FORTY):
            raise UnreadableError(
                f"'{labels}' holds {classes[numbered > len(FORTY)][0]}; `none` (={none}) must be the number of the pixels without "
                "a class, the others 1 to 40, or 0 to 39 where it is not 0"
            )
        return Picture(read_image(color), read_numbers(depth), numbered)

    neighbours = np.zeros(len(names), dtype=np.bool_) if tested is None else tested
    missing = Finding(
        "split", "train and test, lists, or splits.mat", "none: a test is drawn by the seed", good=False
    )
    return Source(
        place,
        [Item(name, found[name][:3]) for name in names],
        read,
        FORTY,
        np.arange(len(names)) // 10 if tested is None else runs(neighbours),
        None,
        tested,
        [
            counted("folders", "pictures", len(names), _PICTURES),
            missing if tested is None else counted("split", "test pictures", int(tested.sum()), _TEST),
        ],
        {"none": none},
    )


def folders_of(folder: Path) -> dict[str, Folders]:
    """Return the files of each picture, by name; those of which a kind is missing have a path where nothing is."""
    parts: list[tuple[Path, bool | None]] = [(folder, None)]
    parts += [(entry(folder, name), part == "test") for part, names in _PARTS.items() for name in names]
    found: dict[str, Folders] = {}
    for part, tested in parts:
        kinds = [_kind(part, names) for names in _KINDS.values()]
        if not all(kind.is_dir() for kind in kinds):
            continue
        files = [{path.stem: path for path in _pictures(kind)} for kind in kinds]
        for name in sorted(set().union(*files)):
            paths = [there.get(name, kind / f"{name}.png") for there, kind in zip(files, kinds, strict=True)]
            found[name] = Folders(paths[0], paths[1], paths[2], tested)
    return found


def _kind(folder: Path, names: tuple[str, ...]) -> Path:
    there = [entry(folder, name) for name in names]
    return next((path for path in there if path.is_dir()), there[0])


def _pictures(folder: Path) -> list[Path]:
    return [path for suffix in (".png", ".jpg", ".jpeg") for path in files_in(folder, suffix)]


def _tested(folder: Path, names: list[str], found: dict[str, Folders]) -> NDArray[np.bool_] | None:
    said = [found[name].tested for name in names]
    if None not in said:
        return np.asarray(said, dtype=np.bool_)
    lists = {part: _list(folder, part) for part in _PARTS}
    if any(lists.values()):
        twice = sorted(lists["train"] & lists["test"])
        unknown = sorted((lists["train"] | lists["test"]) ^ set(names))
        if twice or unknown:
            raise UnreadableError(
                f"The lists in '{folder}' must name each picture once; twice are {twice[:5]}, missing here or there {unknown[:5]}"
            )
        return np.asarray([name in lists["test"] for name in names])
    return read_official(entry(folder, SPLITS), len(names))


def _list(folder: Path, part: str) -> set[str]:
    """Return the names in train.txt or test.txt, one a line, with or without folder and suffix."""
    paths = [entry(folder, f"{name}.txt") for name in _PARTS[part]]
    lines = [line for path in paths if path.is_file() for line in read_text(path).splitlines()]
    return {Path(line.split()[0]).stem for line in lines if line.strip()}
