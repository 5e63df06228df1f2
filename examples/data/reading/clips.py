"""Clips of a speaking face, as CREMA-D and RML hold them: frames around the middle, and the sound as a spectrogram."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from examples.data.columns import Column, OneFrame, Standardised, Whole
from examples.data.contract import Kind
from examples.data.reading.cache import Decoded, Decoding, Item
from examples.data.reading.files import UnreadableError
from examples.data.reading.media import NoSoundError, read_frames, read_sound
from examples.data.reading.records import Layout
from examples.data.reading.spectrogram import MelSpectrogram, fit
from examples.data.splits import Split, draw_groups, split_at_random
from examples.errors import UserError

KINDS: dict[str, Kind] = {"color": "image", "audio": "image"}
SHARE = 744 / 7442  # of the samples or speakers, for validation and for the test, as published for CREMA-D
_SIZE, _BANDS = 128, 256
_SILENT = 1e-4  # of full scale, 80 decibels below it


@dataclass(frozen=True)
class Recording:
    """What is taken of a clip.

    Args:
        around: Frames before the middle one, and as many after it, that training draws from.
        crop: Side of the square that is cut from a frame, as a share of its height.
        from_top: Whether the square begins at the top row; it lies in the middle otherwise.
        rate: Samples of the sound a second.
        seconds: Length of the sound, its centre; all of it when None.
    """

    around: int
    crop: float
    from_top: bool
    rate: int
    seconds: float | None


def clip_decoding(
    name: str, items: Sequence[Item], recording: Recording, refuse: Callable[[Item], object]
) -> Decoding:
    """Return how clips are decoded.

    Arrays: ``color`` (``(clips, 2 * around + 1, 3, 128, 128)``, uint8), ``frames``, how many of these frames hold
    anything (``(clips,)``), and ``audio`` in decibels (``(clips, 1, 256, 256)``, float32, low bands first).

    Args:
        name: Name of the data set.
        items: The clips; their sound is their own, or that of a spare file where they have none.
        recording: The part of them that is taken.
        refuse: Raises `UnreadableError` for a clip of which too little is known.
    """
    spectrogram = MelSpectrogram(recording.rate, bands=_BANDS)
    window = 2 * recording.around + 1

    def decode(item: Item) -> dict[str, NDArray[np.generic]]:
        refuse(item)
        frames = read_frames(
            item.files[0],
            around=recording.around,
            crop=recording.crop,
            size=_SIZE,
            from_top=recording.from_top,
        )
        sound = _sound(item, recording)
        if len(sound) < spectrogram.fft:
            raise UnreadableError(f"'{item.files[0]}' has only {len(sound) / recording.rate:.3f} s of sound")
        if np.abs(sound).max() < _SILENT:
            raise UnreadableError(f"'{item.files[0]}' is silent")
        color = np.zeros((window, *frames.shape[1:]), dtype=np.uint8)
        color[: len(frames)] = frames
        return {
            "color": color,
            "frames": np.asarray(len(frames)),
            "audio": fit(spectrogram(sound), _BANDS)[None],
        }

    return Decoding(
        name,
        {**asdict(recording), "size": _SIZE, "bands": _BANDS},
        items,
        {
            "color": Layout("uint8", (window, 3, _SIZE, _SIZE)),
            "frames": Layout("uint8", ()),
            "audio": Layout("float32", (1, _BANDS, _BANDS)),
        },
        decode,
    )


def columns(clips: Decoded) -> dict[str, Column]:
    """Return one frame of every clip, ``(3, 128, 128)`` in 0 to 1, and the sound, ``(1, 256, 256)`` in decibels."""
    color = OneFrame(clips.arrays["color"], clips.arrays["frames"][:])
    return {
        "color": Standardised(color, np.arange(len(color)), torch.tensor(0.0), torch.tensor(255.0)),
        "audio": Whole(clips.arrays["audio"]),
    }


def split_clips(
    split: str, names: Sequence[str], speakers: ArrayLike, left_out: Mapping[str, str], *, seed: int
) -> Split:
    """Return who learns from what.

    Args:
        split: "random" draws clips, "speakers" draws speakers, so that none is in two parts; or the path of a file
            that `Split.write` wrote, of which clips that were left out are left out.
        names: Names of the clips.
        speakers: Their speakers.
        left_out: Clips that are not among them, by name.
        seed: Seed of the draw.
    """
    if split == "random":
        held = max(1, round(SHARE * len(names)))
        return split_at_random(len(names), held, held, seed=seed)
    if split == "speakers":
        return draw_groups(np.asarray(speakers), SHARE, SHARE, seed=seed)
    if Path(split).is_file():
        return Split.read(Path(split), names, left_out=left_out)
    raise UserError(f"`split` (='{split}') must be 'random', 'speakers' or the path of a JSON file.")


def _sound(item: Item, recording: Recording) -> NDArray[np.float32]:
    read = partial(read_sound, rate=recording.rate, seconds=recording.seconds)
    try:
        return read(item.files[0])
    except NoSoundError:
        spare = next((path for path in item.spare if path.is_file()), None)
        if spare is None:
            raise
        return read(spare)
