"""The official files of UTD-MHAD, one ``.mat`` per clip and modality, brought to the size of ``utd_mhad.npz``."""

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from examples.data.place import Finding, Place
from examples.data.reading.cache import Decoding, Item, decode_once
from examples.data.reading.check import first_bytes, sampled
from examples.data.reading.files import entry, files_below, files_in
from examples.data.reading.matlab import numbers, read_mat
from examples.data.reading.records import Layout
from examples.data.reading.resampling import at_moments, moments, shrunk_depth

LAYOUTS = {
    "depth": Layout("uint8", (16, 56, 56)),
    "skeleton": Layout("float32", (48, 20, 3)),
    "inertial": Layout("float32", (128, 6)),
}
_VARIABLES = {"depth": "d_depth", "skeleton": "d_skel", "inertial": "d_iner"}
_NAME = re.compile(r"(a\d+_s\d+_t\d+)_(depth|skeleton|inertial)", re.IGNORECASE)


def read_clips(
    place: Place, modalities: Sequence[str]
) -> tuple[dict[str, NDArray[np.generic]], dict[str, str]]:
    """Return the arrays that ``utd_mhad.npz`` has, of the clips that have all modalities, and why others were left out.

    Depth is the central square of 16 evenly spaced frames, averaged to 56 x 56, in units of 16 mm. How the pictures of the
    copy were made smaller is not known, so they may differ a little.

    Args:
        place: A folder that holds the files, at any depth.
        modalities: Any of depth, skeleton and inertial.

    Raises:
        UserError: Files cannot be read, and `place` says that this stops the run; names them.
    """
    decoded = {name: decode_once(_decoding(place.folder(), name), place) for name in modalities}
    problems = {name: why for copy in decoded.values() for name, why in copy.problems.items()}
    names = [name for name in next(iter(decoded.values())).names if name not in problems]
    arrays: dict[str, NDArray[np.generic]] = {}
    for modality, copy in decoded.items():
        position = {name: number for number, name in enumerate(copy.names)}
        arrays[modality] = copy.arrays[modality][[position[name] for name in names]]
    action, subject = _said(names)
    return {**arrays, "action": action, "subject": subject}, problems


def named_clips(folder: Path) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return action, from 0, and subject of each clip, by the names of the files."""
    return _said(sorted({clip for clip, _ in _found(folder)}))


def is_here(folder: Path) -> bool:
    """Whether the official files lie in a folder, or in its folders Depth, Skeleton and Inertial."""
    folders = [folder, *(entry(folder, modality.title()) for modality in LAYOUTS)]
    files = [path for part in folders for path in files_in(part, ".mat")]
    return folder.name.lower() not in LAYOUTS and any(_NAME.fullmatch(path.stem) for path in files)


def inspect_clips(folder: Path) -> list[Finding]:
    """Look at every file, and read some."""
    findings = []
    for name in LAYOUTS:
        decoding = _decoding(folder, name)
        findings += [first_bytes(name, [item.files[0] for item in decoding.items]), sampled(decoding)]
    return findings


def _found(folder: Path) -> dict[tuple[str, str], Path]:
    """Return the files by clip and modality."""
    matches = [(_NAME.fullmatch(path.stem), path) for path in files_below(folder, ".mat")]
    return {(match[1].lower(), match[2].lower()): path for match, path in matches if match}


def _said(clips: Sequence[str]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    said = np.asarray(
        [[int(number) for number in re.findall(r"\d+", clip)] for clip in clips], dtype=np.int64
    )
    return said[:, 0] - 1, said[:, 1]


def _decoding(folder: Path, modality: str) -> Decoding:
    found = _found(folder)
    clips = sorted(
        {clip for clip, _ in found}, key=lambda clip: [int(part) for part in re.findall(r"\d+", clip)]
    )
    items = [
        Item(clip, (found.get((clip, modality), folder / modality.title() / f"{clip}_{modality}.mat"),))
        for clip in clips
    ]
    return Decoding(
        "utd-mhad",
        {"modality": modality},
        items,
        {modality: LAYOUTS[modality]},
        lambda item: {modality: _decode(item.files[0], modality)},
    )


def _decode(path: Path, modality: str) -> NDArray[np.generic]:
    variable = _VARIABLES[modality]
    found = read_mat(path, [variable])
    if modality == "inertial":
        return at_moments(numbers(path, found, variable, (None, 6), np.float64), 128)
    if modality == "skeleton":
        joints = numbers(path, found, variable, (20, 3, None), np.float64)
        return at_moments(joints.transpose(2, 0, 1), 48)
    depth = numbers(path, found, variable, (240, 320, None), np.int64)
    chosen = depth[:, 40:280, moments(depth.shape[2], 16)].transpose(2, 0, 1)
    return (shrunk_depth(chosen.clip(0), 56) / 16).round().clip(0, 255).astype(np.uint8)
