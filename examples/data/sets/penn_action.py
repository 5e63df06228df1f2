"""Penn Action: 2,326 clips of 15 actions: frames, 13 joints, a box. Bring the files yourself."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from examples.data.columns import Column, OneFrame
from examples.data.contract import Kind, MultimodalData, split_and_standardise
from examples.data.place import Finding, Place, counted, looked_in, none_of
from examples.data.reading.cache import Decoding, Item, decode_once
from examples.data.reading.check import first_bytes, sampled
from examples.data.reading.files import UnreadableError, entry, files_in, locate
from examples.data.reading.media import read_image, resize
from examples.data.reading.records import Layout
from examples.data.sets.penn_annotations import Annotations, decode_annotations, label_decoding, read_copy
from examples.data.splits import Split
from examples.errors import UserError

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
        frames: Number of frames of each clip that are decoded, in the middles of as many equal parts.
        size: Height and width of a frame, pixels.
    """
    unknown = [name for name in modalities if name not in KINDS]
    if unknown or not modalities:
        raise UserError(f"`modalities` (={list(modalities)}) must be some of {list(KINDS)}.")
    if not 0 <= validation < 1:
        raise UserError(f"`validation` (={validation}) must be a share, at least 0 and below 1.")
    if min(frames, size) < 1:
        raise UserError(f"`frames` (={frames}) and `size` (={size}) must be at least 1.")
    place = _locate(place)
    clips = _annotations(place)
    color: dict[str, Column] = {}
    if "color" in modalities:
        decoded = decode_once(_frames(place, clips, frames, size), place)
        clips = clips.without(decoded.problems)
        color["color"] = OneFrame(decoded.arrays["frames"])
    inputs = {name: color.get(name) or _prepared(name, clips) for name in modalities}
    action, classes = _numbered(clips.arrays["action"])
    viewpoint, sides = _numbered(clips.arrays["viewpoint"])
    return split_and_standardise(
        "penn-action",
        inputs,
        torch.as_tensor(action),
        kinds={name: KINDS[name] for name in modalities},
        classes=classes,
        split=_split(action, clips.arrays["train"], validation, seed),
        labels={"viewpoint": torch.as_tensor(viewpoint)},
        values={"viewpoint": sides},
        names=clips.names,
        left_out=clips.left_out,
    )


def check_penn_action(place: Place) -> list[Finding]:
    """Look at every file and read some, or read the file of annotations; count."""
    place = _locate(place)
    clips, names = _clip_folders(place), set[str]()
    if _labels(place).is_dir():
        names = _label_names(place)
        decoding = label_decoding(_labels(place), sorted(names))
        findings = [
            counted("labels", "files", len(names), _CLIPS),
            none_of("frames: folders without labels", sorted({clip.name for clip in clips} - names)),
            first_bytes("labels", [item.files[0] for item in decoding.items]),
            sampled(decoding),
        ]
    else:
        train = read_copy(place.file(FILE), source=SOURCE).arrays["train"]
        findings = [
            counted(FILE, "clips", len(train), _CLIPS),
            counted(FILE, "training clips", int(train.sum()), _TRAIN),
        ]
    findings = [looked_in(place), *findings]
    if not clips:
        return [*findings, Finding("frames", f"{_CLIPS:,} folders, for color", "none: no color", good=True)]
    gaps = [clip.name for clip in clips if not _is_gapless(clip)]
    return [
        *findings,
        counted("frames", "folders", len(clips), _CLIPS),
        none_of("labels: clips without frames", sorted(names - {clip.name for clip in clips})),
        none_of("frames: folders with gaps in the numbers of their frames", gaps),
        first_bytes("frames", [path for clip in clips for path in files_in(clip, ".jpg")]),
        sampled(_first_frames(place, clips)),
    ]


def _locate(place: Place) -> Place:
    return locate(
        place,
        lambda folder: entry(folder, FILE).is_file() or bool(files_in(entry(folder, "labels"), ".mat")),
        sign=f"folder 'labels' with .mat files and no '{FILE}'",
        source=SOURCE,
        file=FILE,
    )


def _annotations(place: Place) -> Annotations:
    if not _labels(place).is_dir():
        return read_copy(place.file(FILE), source=SOURCE)
    names = _label_names(place) | {clip.name for clip in _clip_folders(place)}
    return Annotations.of(decode_once(label_decoding(_labels(place), sorted(names)), place))


def _frames(place: Place, clips: Annotations, frames: int, size: int) -> Decoding:
    folder = _all_frames(place)
    if not folder.is_dir():
        raise UserError(f"No folder '{folder.absolute()}'; the modality color needs the frames. {SOURCE}")
    items = []
    for name, count in zip(clips.names, clips.arrays["n_frames"].tolist(), strict=True):
        middles = ((np.arange(frames) + 0.5) * count / frames).astype(np.int64)
        items.append(Item(name, tuple(folder / name / f"{middle + 1:06d}.jpg" for middle in middles)))
    said = {name: tuple(pair) for name, pair in zip(clips.names, clips.arrays["size"].tolist(), strict=True)}

    def decode(item: Item) -> dict[str, NDArray[np.uint8]]:
        images = [_read_frame(path, *said[item.name]) for path in item.files]
        return {"frames": np.stack([resize(image, size, size) for image in images])}

    return Decoding(
        "penn-action",
        {"what": "frames", "frames": frames, "size": size},
        items,
        {"frames": Layout("uint8", (frames, 3, size, size))},
        decode,
    )


def _read_frame(path: Path, height: int, width: int) -> NDArray[np.uint8]:
    """Read a frame, ``(3, height, width)``; a height of 0 is not known."""
    image = read_image(path)
    if height and image.shape[1:] != (height, width):
        raise UnreadableError(
            f"'{path}' has {image.shape[1]} x {image.shape[2]} pixels, and its labels say {height} x {width}"
        )
    return image


def _first_frames(place: Place, clips: Sequence[Path]) -> Decoding:
    """Return how to read the first frame of each clip, and its labels where there are any."""
    labels = _labels(place)

    def decode(item: Item) -> dict[str, NDArray[np.uint8]]:
        *label, frame = item.files
        size = decode_annotations(Item(item.name, tuple(label)))["size"] if label else (0, 0)
        return {"frame": _read_frame(frame, *size)}

    items = [
        Item(
            clip.name,
            (*([entry(labels, f"{clip.name}.mat")] if labels.is_dir() else []), clip / "000001.jpg"),
        )
        for clip in clips
    ]
    return Decoding("penn-action", {}, items, {}, decode)


def _prepared(name: str, clips: Annotations) -> Tensor:
    """Return one modality as float32, its channels first."""
    key, axes = {
        "pose": ("joints", (0, 3, 1, 2)),
        "box": ("bbox", (0, 2, 1)),
        "visibility": (name, (0, 2, 1)),
    }[name]
    return torch.as_tensor(clips.arrays[key].astype("float32").transpose(axes))


def _split(action: NDArray[np.int64], train: NDArray[Any], share: float, seed: int) -> Split:
    """Return the official split, a share of each action's training clips drawn for validation."""
    random = np.random.default_rng(seed)
    learned = np.flatnonzero(train)
    by_action = [random.permutation(learned[action[learned] == number]) for number in np.unique(action)]
    drawn = np.concatenate([clips[: round(share * len(clips))] for clips in by_action])
    return Split(np.setdiff1d(learned, drawn), np.sort(drawn), np.flatnonzero(~train))


def _numbered(words: NDArray[Any]) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """Return the number of each word, and the words in order."""
    names, numbers = np.unique(words, return_inverse=True)
    return numbers.astype(np.int64), tuple(str(name) for name in names)


def _labels(place: Place) -> Path:
    return entry(place.folder(), "labels")


def _label_names(place: Place) -> set[str]:
    return {path.stem for path in files_in(_labels(place), ".mat") if path.stem.isdecimal()}


def _all_frames(place: Place) -> Path:
    return entry(place.folder(), "frames")


def _clip_folders(place: Place) -> list[Path]:
    return sorted(path for path in _all_frames(place).glob("[0-9]*") if path.is_dir())


def _is_gapless(clip: Path) -> bool:
    frames = [path.stem for path in files_in(clip, ".jpg")]
    return bool(frames) and frames == [f"{number + 1:06d}" for number in range(len(frames))]
