"""Penn Action: 2,326 clips of 15 actions: frames, 13 joints, a box. Bring the files yourself."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from examples.data.columns import Column, OneFrame
from examples.data.contract import Kind, MultimodalData, split_and_standardise
from examples.data.place import Finding, Place, counted
from examples.data.reading.cache import Decoded, Item, Layout, decode_once
from examples.data.reading.media import read_image
from examples.data.sets.penn_annotations import Annotations, read_copy, read_labels
from examples.data.splits import Split

FILE = "penn_action_pose.npz"
SOURCE = (
    "Data: Penn Action, W. Zhang, M. Zhu, K. Derpanis, ICCV 2013, http://dreamdragon.github.io/PennAction, for "
    "research: the folders `frames` (0001/000001.jpg ...) and `labels` (0001.mat ...) of its archive. Without "
    f"the frames `{FILE}` will do, the annotations at 32 moments. Name the folder of either with --root."
)
KINDS: dict[str, Kind] = {"color": "image", "pose": "image", "box": "sequence", "visibility": "sequence"}

_CLIPS, _TRAIN = 2326, 1258


def load_penn_action(
    place: Place,
    *,
    seed: int = 0,
    modalities: Sequence[str] = ("color", "pose"),
    validation: float = 0.15,
    frames: int = 8,
    size: int = 128,
) -> MultimodalData:
    """Return clips under the official split, annotations at 32 moments evenly spaced from first to last frame.

    - color: One frame, ``(3, size, size)``, the whole of it, squeezed to a square. It is any of `frames` in
      training and the middle one otherwise. The paper does not say which frames it took.
    - pose: The joints as an image, ``(2, 32, 13)``: its channels are x and y, its height is time.
    - box: Left, top, right, bottom over time, ``(4, 32)``.
    - visibility: 1 where a joint is seen, over time, ``(13, 32)``.

    x and y are shares of the frame's width and height. A joint that is not seen often lies in the corner, near
    (0, 0): so the annotators left it. In five clips joints lie beyond the frame, up to 1.45.

    Args:
        place: Folder of ``labels`` and, for color, ``frames``; or of ``penn_action_pose.npz``.
        seed: Draws the validation part.
        modalities: Any of color, pose, box and visibility, in the order in which they are fused.
        validation: Share of each action's training clips that choose the epoch.
        frames: How many frames of each clip are decoded, in the middles of as many equal parts.
        size: Height and width of a frame, pixels.
    """
    unknown = [name for name in modalities if name not in KINDS]
    if unknown or not modalities:
        raise ValueError(f"`modalities` (={list(modalities)}) must be some of {list(KINDS)}.")
    if not 0 <= validation < 1:
        raise ValueError(f"`validation` (={validation}) must be a share, at least 0 and below 1.")
    if min(frames, size) < 1:
        raise ValueError(f"`frames` (={frames}) and `size` (={size}) must be at least 1.")
    clips = _annotations(place)
    action, classes = _numbered(clips.arrays["action"])
    viewpoint, sides = _numbered(clips.arrays["viewpoint"])
    inputs: dict[str, Tensor | Column] = {}
    good = np.arange(len(action))
    for name in modalities:
        if name == "color":
            decoded = _frames(place, clips, frames, size)
            inputs[name], good = OneFrame(decoded.arrays["frames"]), decoded.good
        else:
            inputs[name] = _prepared(name, clips)
    return split_and_standardise(
        "penn-action",
        inputs,
        torch.as_tensor(action),
        kinds={name: KINDS[name] for name in modalities},
        classes=classes,
        split=_split(action, clips.arrays["train"], good, validation, seed),
        labels={"viewpoint": torch.as_tensor(viewpoint)},
        values={"viewpoint": sides},
        names=clips.names,
    )


def check_penn_action(place: Place) -> list[Finding]:
    """Count the files, or the clips in the file of annotations."""
    clips = _clip_folders(place)
    if _labels(place).is_dir():
        labels = _label_names(place)
        findings = [
            counted("labels", "files", len(labels), _CLIPS),
            _none("frames", "folders without labels", sorted({clip.name for clip in clips} - labels)),
        ]
    else:
        train = read_copy(place.file(FILE), source=SOURCE).arrays["train"]
        findings = [
            counted(FILE, "clips", len(train), _CLIPS),
            counted(FILE, "training clips", int(train.sum()), _TRAIN),
        ]
    if not clips:
        return [*findings, Finding("frames", f"{_CLIPS:,} folders, for color", "none: no color", True)]
    gaps = [clip.name for clip in clips if not _is_gapless(clip)]
    return [
        *findings,
        counted("frames", "folders", len(clips), _CLIPS),
        _none("frames", "folders with gaps in the numbers of their frames", gaps),
    ]


def _annotations(place: Place) -> Annotations:
    if not _labels(place).is_dir():
        return read_copy(place.file(FILE), source=SOURCE)
    names = _label_names(place) | {clip.name for clip in _clip_folders(place)}
    if not names:
        raise FileNotFoundError(f"No .mat files in '{_labels(place)}'. {SOURCE}")
    return read_labels(place, _labels(place), sorted(names))


def _frames(place: Place, clips: Annotations, frames: int, size: int) -> Decoded:
    folder = _all_frames(place)
    if not folder.is_dir():
        raise FileNotFoundError(f"No folder '{folder}'; the modality color needs the frames. {SOURCE}")
    items = []
    for name, count in zip(clips.names, clips.arrays["n_frames"].tolist(), strict=True):
        middles = ((np.arange(frames) + 0.5) * count / frames).astype(np.int64)
        items.append(Item(name, tuple(folder / name / f"{middle + 1:06d}.jpg" for middle in middles)))
    return decode_once(
        replace(place, root=folder.parent).decoded(
            "penn-action", {"what": "frames", "frames": frames, "size": size}
        ),
        items,
        {"frames": Layout("uint8", (frames, 3, size, size))},
        lambda item: {"frames": np.stack([read_image(path, (size, size)) for path in item.files])},
        on_error=place.on_error,
    )


def _prepared(name: str, clips: Annotations) -> Tensor:
    """Return one modality as float32, its channels first."""
    key, axes = {
        "pose": ("joints", (0, 3, 1, 2)),
        "box": ("bbox", (0, 2, 1)),
        "visibility": (name, (0, 2, 1)),
    }[name]
    return torch.as_tensor(clips.arrays[key].astype("float32").transpose(axes))


def _split(
    action: NDArray[np.int64], train: NDArray[Any], good: NDArray[np.int64], share: float, seed: int
) -> Split:
    """Return the official split, a share of each action's training clips drawn for validation."""
    random = np.random.default_rng(seed)
    learned = np.flatnonzero(train)
    by_action = [random.permutation(learned[action[learned] == number]) for number in np.unique(action)]
    drawn = np.concatenate([clips[: round(share * len(clips))] for clips in by_action])
    parts = np.setdiff1d(learned, drawn), drawn, np.flatnonzero(~np.asarray(train, dtype=bool))
    return Split(*(np.intersect1d(part, good) for part in parts))


def _numbered(words: NDArray[Any]) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """Return the number of each word, and the words in order."""
    names, numbers = np.unique(words, return_inverse=True)
    return numbers.astype(np.int64), tuple(str(name) for name in names)


def _labels(place: Place) -> Path:
    return place.folder() / "labels"


def _label_names(place: Place) -> set[str]:
    return {path.stem for path in _labels(place).glob("[0-9]*.mat")}


def _all_frames(place: Place) -> Path:
    return place.file(FILE).parent / "frames"


def _clip_folders(place: Place) -> list[Path]:
    return sorted(path for path in _all_frames(place).glob("[0-9]*") if path.is_dir())


def _is_gapless(clip: Path) -> bool:
    frames = sorted(path.stem for path in clip.glob("*.jpg"))
    return bool(frames) and frames == [f"{number + 1:06d}" for number in range(len(frames))]


def _none(what: str, unwanted: str, names: Sequence[str]) -> Finding:
    listed = ", ".join(names[:5]) + (" ..." if len(names) > 5 else "")
    return Finding(what, f"no {unwanted}", f"{len(names)}: {listed}" if names else "none", not names)
