"""UTD-MHAD: 861 clips of 27 actions by 8 people: depth video, skeleton, wrist sensor. Bring the file yourself."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import interpolate

from examples.data.contract import Kind, MultimodalData, split_and_standardise
from examples.data.place import Finding, Place, counted, looked_in
from examples.data.reading.arrays import read_arrays
from examples.data.reading.files import UnreadableError, entry, locate
from examples.data.reading.records import Layout
from examples.data.sets.utd_clips import LAYOUTS, inspect_clips, is_here, named_clips, read_clips
from examples.data.splits import Split, split_by_group
from examples.errors import UserError

FILE = "utd_mhad.npz"
SOURCE = (
    "Data: UTD-MHAD, C. Chen, R. Jafari, N. Kehtarnavaz, ICIP 2015, "
    "https://personal.utdallas.edu/~kehtar/UTD-MHAD.html: the unpacked folders Depth, Skeleton and Inertial "
    f"(a1_s1_t1_depth.mat ...), or {FILE} made of them: 16 evenly spaced depth frames of each clip, the 20 joints at 48 "
    "moments in metres, the wrist's 3 accelerations and 3 rates at 128 moments, action 0-26, subject 1-8. Name their folder "
    "with --root."
)
KINDS: dict[str, Kind] = {"depth": "image", "skeleton": "image", "inertial": "sequence"}
_LABELS = {"action": Layout("int64", ()), "subject": Layout("int64", ())}
ACTIONS = (
    "swipe left",
    "swipe right",
    "wave",
    "clap",
    "throw",
    "cross arms",
    "basketball shot",
    "draw x",
    "draw circle CW",
    "draw circle CCW",
    "draw triangle",
    "bowl",
    "box",
    "baseball swing",
    "tennis swing",
    "curl arms",
    "tennis serve",
    "push",
    "knock",
    "catch",
    "pick up and throw",
    "jog",
    "walk",
    "stand up",
    "sit down",
    "lunge",
    "squat",
)
"""In the order of their numbers, from 1; CW is clockwise, CCW the other way round."""
_CLIPS, _ACTIONS, _SUBJECTS = 861, len(ACTIONS), 8
_TRAINING = (1, 3, 5, 7)
_SIZE = 32
_SPINE = 2  # number of the joint in the middle of the spine, from 0


def load_utd_mhad(
    place: Place,
    *,
    seed: int = 0,
    modalities: Sequence[str] = ("depth", "skeleton"),
    validation: Sequence[int] | int = (),
    training: Sequence[int] = (),
    skeleton: Literal["map", "sequence"] = "map",
) -> MultimodalData:
    """Return depth and skeleton as images, the wrist's sensor as a sequence: test on subjects 2, 4, 6, 8.

    Depth keeps its 16 frames as channels. The skeleton's channels are x, y and z, its height is time and its
    width the joints. Both are resized to 32 x 32.

    As a sequence the skeleton has 60 channels, x, y and z of each joint in turn, at 48 moments, from where the middle of the
    spine is at first; they are standardised in proportion.

    Args:
        place: Folder of ``utd_mhad.npz``, or the file; or of the official ``.mat`` files, which are decoded once.
        seed: Chooses the validation subjects where `validation` is a number; the protocol fixes the test.
        modalities: Any of depth, skeleton and inertial, in the order in which they are fused.
        validation: Odd subjects that choose the epoch; the other odd ones are learned from. Or how many of them: seed 0
            begins with subject 1, seed 1 with 3, seed 4 with 1 again.
        training: Only these odd subjects are learned from; all that do not choose the epoch when none are named.
        skeleton: Whether the skeleton is an image or a sequence.
    """
    unknown = [name for name in modalities if name not in KINDS]
    if unknown or not modalities:
        raise UserError(f"`modalities` (={list(modalities)}) must be some of {list(KINDS)}.")
    if isinstance(validation, int):
        if not 0 <= validation < len(_TRAINING):
            raise UserError(
                f"`validation` (={validation}) must be at least 0 and below {len(_TRAINING)} subjects."
            )
        validation = [_TRAINING[(seed + more) % len(_TRAINING)] for more in range(validation)]
    even = [subject for subject in validation if subject % 2 == 0]
    if even:
        raise UserError(
            f"`validation` (={list(validation)}) must be odd subjects; the even ones are the test."
        )
    if skeleton not in ("map", "sequence"):
        raise UserError(f"`skeleton` (='{skeleton}') must be 'map' or 'sequence'.")
    arrays, left_out = _read(place, modalities)
    curves = {"skeleton"} if skeleton == "sequence" else set()
    subject = arrays["subject"]
    return split_and_standardise(
        "utd-mhad",
        {
            name: _curves(values) if name in curves else _prepared(name, values)
            for name, values in ((name, torch.as_tensor(arrays[name]).float()) for name in modalities)
        },
        torch.as_tensor(arrays["action"]),
        kinds={name: "sequence" if name in curves else KINDS[name] for name in modalities},
        classes=ACTIONS,
        split=_split(subject, validation, training),
        in_proportion=curves & set(modalities),
        labels={"subject": torch.as_tensor(subject)},
        left_out=left_out,
    )


def check_utd_mhad(place: Place) -> list[Finding]:
    """Read all, or look at every official file and read some; count."""
    place = _locate(place)
    if place.file(FILE).is_file():
        arrays, _ = _read(place, list(KINDS))
        return [looked_in(place), *_counts(FILE, arrays["action"], arrays["subject"])]
    action, subject = named_clips(place.folder())
    return [looked_in(place), *_counts("mat files", action, subject), *inspect_clips(place.folder())]


def _counts(what: str, action: NDArray[np.int64], subject: NDArray[np.int64]) -> list[Finding]:
    return [
        counted(what, "clips", len(action), _CLIPS),
        counted(what, "actions", len(np.unique(action)), _ACTIONS),
        counted(what, "subjects", len(np.unique(subject)), _SUBJECTS),
    ]


def _split(subject: NDArray[np.int64], validation: Sequence[int], training: Sequence[int]) -> Split:
    split = split_by_group(subject, validation, [even for even in (2, 4, 6, 8) if even in subject])
    if not training:
        return split
    left = sorted(set(subject[split.train].tolist()))
    if not set(training) <= set(left):
        raise UserError(f"`training` (={list(training)}) must be some of {left}, odd and not for validation.")
    return replace(split, train=split.train[np.isin(subject[split.train], list(training))])


def _locate(place: Place) -> Place:
    return locate(
        place,
        lambda folder: entry(folder, FILE).is_file() or is_here(folder),
        sign=f"'{FILE}' and no official files like a1_s1_t1_depth.mat",
        source=SOURCE,
        file=FILE,
    )


def _read(place: Place, modalities: Sequence[str]) -> tuple[dict[str, NDArray[Any]], dict[str, str]]:
    place = _locate(place)
    path = place.file(FILE)
    left_out: dict[str, str] = {}
    if path.is_file():
        expected = {**{name: LAYOUTS[name] for name in modalities}, **_LABELS}
        arrays = read_arrays(path, expected, source=SOURCE)
    else:
        path = place.folder()
        arrays, left_out = read_clips(place, modalities)
    action, subject = arrays["action"], arrays["subject"]
    if action.min() < 0 or action.max() >= _ACTIONS:
        raise UnreadableError(f"'{path}': array `action` must hold 0 to {_ACTIONS - 1}. {SOURCE}")
    odd = subject % 2 == 1
    if odd.all() or not odd.any() or subject.min() < 1 or subject.max() > _SUBJECTS:
        raise UnreadableError(f"'{path}': array `subject` must hold odd and even numbers, 1 to 8. {SOURCE}")
    return arrays, left_out


def _prepared(name: str, values: Tensor) -> Tensor:
    if name == "inertial":
        return values.transpose(1, 2)
    maps = values.permute(0, 3, 1, 2) if name == "skeleton" else values
    return interpolate(maps, size=(_SIZE, _SIZE), mode="bilinear", align_corners=False, antialias=True)


def _curves(skeleton: Tensor) -> Tensor:
    """Return ``(clips, 60, 48)`` from ``(clips, 48, 20, 3)``."""
    still = skeleton[:, :1, _SPINE : _SPINE + 1]
    return (skeleton - still).flatten(2).transpose(1, 2).contiguous()
