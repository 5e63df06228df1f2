"""NYU Depth v2: 1,449 indoor pictures in color and depth, a class for every pixel. Bring the files yourself."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray

from examples.data.columns import Whole
from examples.data.contract import Kind, MultimodalData, split_and_standardise
from examples.data.place import Finding, Place, looked_in
from examples.data.reading.cache import decode_once
from examples.data.reading.check import first_bytes, sampled
from examples.data.reading.files import entry, locate
from examples.data.sets.nyuv2_classes import MAPPINGS, can_map, most_frequent, read_mapping
from examples.data.sets.nyuv2_copies import ENCODED, folders_of, read_encoded, read_folders
from examples.data.sets.nyuv2_matlab import FILE, open_matlab
from examples.data.sets.nyuv2_source import SPLITS, Source
from examples.data.splits import Split
from examples.errors import UserError

SOURCE = (
    "Data: NYU Depth v2, N. Silberman, D. Hoiem, P. Kohli, R. Fergus, ECCV 2012, "
    "https://cs.nyu.edu/~silberman/datasets/nyu_depth_v2.html, on its terms. "
    f"`{FILE}` (2.8 GB): its authors' server has not answered since December 2023; a copy is at "
    f"https://www.kaggle.com/datasets/rmzhang0526/nyu-depth-v2-labeled. Beside it belong `{SPLITS}`, `{MAPPINGS[40]}` and "
    f"`{MAPPINGS[13]}` from https://github.com/ankurhanda/nyuv2-meta-data. Folders rgb, depth and labels of PNG or JPEG files "
    "with 40 classes will do as well. Name their folder with --root."
)
KINDS: dict[str, Kind] = {"color": "image", "depth": "image"}
_TEST_SHARE = 0.45  # of the scenes, as in the official split


def load_nyuv2(
    place: Place,
    *,
    seed: int = 0,
    modalities: Sequence[str] = ("color", "depth"),
    classes: int = 40,
    size: int = 128,
    validation: float = 0.15,
    none: int = 0,
) -> MultimodalData:
    """Return color and depth as images, a class for each pixel as target; the whole picture becomes a square.

    - color: ``(3, size, size)``, 0 to 255 before it is standardised.
    - depth: ``(1, size, size)``, before it is standardised in metres, or in what folders of pictures hold; 0 where it is
      missing. The depth is the one whose holes the authors filled. Where some pixels behind a new one are missing, the
      others make its value; it is missing itself when that holds for more than half of them.
    - target: ``(size, size)``, the class of the pixel in the middle; `UNSCORED` where there is no label.

    The split is the official one where it is known. Where it is not, whole scenes are drawn for the test, and that is
    said on the way: such scores compare with each other only.

    Args:
        place: Folder of ``nyu_depth_v2_labeled.mat``, or that file; of ``nyuv2_240x320_encoded.npz``, or that file; or of
            folders of pictures, see `read_folders`.
        seed: Draws the validation part, and the test where there is no official split.
        modalities: Any of color and depth, in the order in which they are fused.
        classes: 40 or 13, by the mappings that lie beside the data; any other number takes so many of the
            data's own classes, those with the most pixels in the training part, and scores no others.
        size: Height and width, pixels.
        validation: Share of the training scenes that choose the epoch; of runs of neighbours where scenes are not known.
        none: Number of the pixels without a class, in folders of pictures.
    """
    unknown = [name for name in modalities if name not in KINDS]
    if unknown or not modalities:
        raise UserError(f"`modalities` (={list(modalities)}) must be some of {list(KINDS)}.")
    if not 0 <= validation < 1:
        raise UserError(f"`validation` (={validation}) must be a share, at least 0 and below 1.")
    if min(size, classes) < 1:
        raise UserError(f"`size` (={size}) and `classes` (={classes}) must be at least 1.")
    with _opened(place, none) as source:
        folder = source.place.folder()
        mapping = read_mapping(folder, source.own, classes, source=SOURCE) if classes in MAPPINGS else None
        decoded = decode_once(source.decoding(size), source.place)
    position = {item.name: number for number, item in enumerate(source.items)}
    good = np.asarray([position[name] for name in decoded.names])
    split = _split(source, good, validation, seed)
    labels = decoded.arrays["labels"][:]
    chosen = mapping or most_frequent(source.own, labels[split.train], classes)
    sides = {"scene": source.scene} | ({} if source.room is None else {"scene type": source.room})
    return split_and_standardise(
        "nyuv2",
        {name: Whole(decoded.arrays[name]) for name in modalities},
        torch.as_tensor(chosen.numbers[labels]),
        kinds={name: KINDS[name] for name in modalities},
        classes=chosen.names,
        split=split,
        task="segmentation",
        labels={name: torch.as_tensor(values[good]) for name, values in sides.items()},
        names=decoded.names,
        left_out=decoded.problems,
    )


def check_nyuv2(place: Place) -> list[Finding]:
    """Count pictures, look at all files, read some pictures, and look for the files that should lie beside them."""
    with _opened(place, 0) as source:
        files = sorted({path for item in source.items for path in item.files})
        findings = [
            looked_in(source.place),
            *source.findings,
            first_bytes("files", files),
            sampled(source.decoding(128)),
        ]
        for classes in MAPPINGS:
            there = can_map(source.place.folder(), source.own, classes)
            found = "there" if there else f"none: {classes} classes cannot be had"
            findings.append(Finding(MAPPINGS[classes], "a file, where classes are mapped", found, there))
    return findings


@contextmanager
def _opened(place: Place, none: int) -> Iterator[Source]:
    """Open the data set in the form that is there; of several the first: authors' file, small file, folders."""
    suffix = ENCODED if place.root is not None and place.root.suffix == ".npz" else FILE
    place = locate(
        place,
        lambda folder: (
            any(entry(folder, name).is_file() for name in (FILE, ENCODED)) or bool(folders_of(folder))
        ),
        sign=f"'{FILE}', no '{ENCODED}' and no folders like rgb, depth and labels",
        source=SOURCE,
        file=suffix,
    )
    path = place.file(FILE)
    encoded = place.file(ENCODED)
    if path.suffix == ".mat" and path.is_file():
        with open_matlab(place, path) as source:
            yield source
    else:
        yield read_encoded(place, encoded) if encoded.is_file() else read_folders(place, none)


def _split(source: Source, good: NDArray[np.int64], share: float, seed: int) -> Split:
    """Return the official split, or one by scene; the validation part is made of training scenes."""
    random = np.random.default_rng(seed)
    tested = source.official
    if tested is None:
        tested = np.isin(source.scene, _drawn(source.scene, _TEST_SHARE, random))
        words = f"No official split in '{source.place.folder()}': the test are {int(tested.sum())} pictures of scenes drawn by seed {seed}."
        print(words, file=sys.stderr)
    chooses = np.isin(source.scene, _drawn(source.scene[~tested], share, random))
    parts = ~tested & ~chooses, ~tested & chooses, tested
    return Split(*(np.flatnonzero(part[good]) for part in parts))


def _drawn(scene: NDArray[np.int64], share: float, random: np.random.Generator) -> NDArray[np.int64]:
    scenes = np.unique(scene)
    return random.permutation(scenes)[: round(share * len(scenes))]
