"""GRID: 1,000 sentences of one speaker, mouth and voice, with a noisy microphone if wanted. Bring the files yourself."""

import math
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from examples.data.contract import MultimodalData, split_and_standardise
from examples.data.place import Finding, Place, counted, looked_in
from examples.data.reading.arrays import read_arrays
from examples.data.reading.cache import Decoding, Item, decode_once
from examples.data.reading.check import sampled
from examples.data.reading.files import UnreadableError, entry, locate
from examples.data.reading.records import Layout
from examples.data.reading.spectrogram import MelSpectrogram
from examples.data.sets.grid_sound import RATE, VOICES, Voice, cut, in_babble
from examples.data.splits import split_at_random
from examples.errors import UserError

VIDEO, AUDIO = "grid_s1_video.npz", "grid_s1_audio.npz"
SOURCE = (
    "Data: the GRID corpus, M. Cooke, J. Barker, S. Cunningham, X. Shao, JASA 2006, https://zenodo.org/records/3625687 "
    f"(CC BY 4.0), as two files of speaker 1. {VIDEO}: video (uint8, 8 pictures of the mouth, 24 x 48, while the letter is "
    "said, and 8 for the digit), label (the letter, 0-24, and the digit, 0-9), bounds (first and last 40 ms picture of each "
    f"of the six words), ids. {AUDIO}: opus (uint8, all sentences end to end, each in Ogg Opus, 16 kHz), offset (where each "
    "begins, and the end), ids. Name their folder with --root."
)
CLASSES = {
    "letter": tuple("abcdefghijklmnopqrstuvxyz"),  # no w, which has three syllables
    "digit": ("eight", "five", "four", "nine", "one", "seven", "six", "three", "two", "zero"),
}
"""In the order of their numbers."""
_WORDS = ("command", "colour", "preposition", "letter", "digit", "adverb")
_ARRAYS = {
    "video": Layout("uint8", (2, 8, 24, 48)),
    "label": Layout("int64", (2,)),
    "bounds": Layout("int64", (len(_WORDS), 2)),
    "ids": Layout("U24", ()),
}
_SENTENCES = 1000
_PICTURE = RATE // 25  # samples while one picture is seen
_LENGTH = RATE // 2  # samples around the middle of a word, which takes 0.2 s, the longest 0.5 s
BANDS, FRAMES = 40, 51
_FFT, _HOP = 512, 160  # 32 and 10 ms


def load_grid(
    place: Place,
    *,
    seed: int = 0,
    word: Literal["letter", "digit"] = "letter",
    snr: float | None = None,
    validation: int = 100,
    test: int = 300,
) -> MultimodalData:
    """Return `video`, 8 pictures of the mouth as channels, ``(8, 24, 48)``, and `sound`, a sequence of 40 bands, ``(40, 51)``.

    The sound is a mel spectrogram in decibels of the half second around the word. The split is drawn by sentence.

    Args:
        place: Folder of both files.
        seed: Draws the split.
        word: Word to be recognised, one of 25 letters or of 10 digits.
        snr: Decibels of the word over a babble of eight other sentences of the same speaker, see `in_babble`; without
            babble where it is None.
        validation: Number of sentences that choose the epoch.
        test: Number of sentences that are scored; all others are learned from.

    Raises:
        UserError: A file is not there (says where to get it), damaged, or holds something else; sounds cannot be read and
            `place` says that this stops the run; or an option is impossible.
    """
    if word not in CLASSES:
        raise UserError(f"`word` (='{word}') must be one of {list(CLASSES)}.")
    if snr is not None and not math.isfinite(snr):
        raise UserError(f"`snr` (={snr}) must be finite, decibels; without it there is no babble.")
    place = _locate(place)
    arrays = _read_video(place)
    split_at_random(len(arrays["ids"]), validation, test, seed=seed)  # refuses before anything is decoded
    decoded = decode_once(_decoding(place, arrays, word, snr), place)
    there = np.flatnonzero(~np.isin(arrays["ids"], list(decoded.problems)))
    which = list(CLASSES).index(word)
    return split_and_standardise(
        "grid",
        {
            "video": torch.as_tensor(arrays["video"][there, which]),
            "sound": torch.as_tensor(decoded.read()["sound"]),
        },
        torch.as_tensor(arrays["label"][there, which]),
        kinds={"video": "image", "sound": "sequence"},
        classes=CLASSES[word],
        split=split_at_random(len(there), validation, test, seed=seed),
        names=decoded.names,
        left_out=decoded.problems,
    )


def check_grid(place: Place) -> list[Finding]:
    """Read the video, count sentences and classes, decode some of the sounds."""
    place = _locate(place)
    arrays = _read_video(place)
    return [
        looked_in(place),
        counted(VIDEO, "sentences", len(arrays["ids"]), _SENTENCES),
        *(
            counted(VIDEO, f"{word}s", len(np.unique(arrays["label"][:, which])), len(classes))
            for which, (word, classes) in enumerate(CLASSES.items())
        ),
        sampled(_decoding(place, arrays, "letter", None)),
    ]


def _locate(place: Place) -> Place:
    return locate(
        place,
        lambda folder: entry(folder, VIDEO).is_file() or entry(folder, AUDIO).is_file(),
        sign=f"'{VIDEO}'",
        source=SOURCE,
    )


def _read_video(place: Place) -> dict[str, NDArray[Any]]:
    path = entry(place.folder(), VIDEO)
    arrays = read_arrays(path, _ARRAYS, source=SOURCE)
    for which, (word, classes) in enumerate(CLASSES.items()):
        label = arrays["label"][:, which]
        if label.min() < 0 or label.max() >= len(classes):
            raise UnreadableError(
                f"'{path}': column {which} of array `label`, the {word}, must hold 0 to {len(classes) - 1}. {SOURCE}"
            )
    return arrays


def _decoding(place: Place, arrays: dict[str, NDArray[Any]], word: str, snr: float | None) -> Decoding:
    files = entry(place.folder(), VIDEO), entry(place.folder(), AUDIO)
    ids, bounds = arrays["ids"], arrays["bounds"][:, _WORDS.index(word)]
    number = {name: position for position, name in enumerate(ids.tolist())}
    mel = MelSpectrogram(RATE, bands=BANDS, fft=_FFT, window=_FFT, hop=_HOP)
    voice = Voice(files[1], ids, source=SOURCE)

    def decode(item: Item) -> dict[str, NDArray[np.float32]]:
        position = number[item.name]
        first, last = bounds[position].tolist()
        heard = cut(voice[position], (first + last + 1) * _PICTURE // 2, _LENGTH)
        return {"sound": mel(heard if snr is None else in_babble(heard, position, voice, snr=snr))}

    return Decoding(
        "grid",
        {
            "word": word,
            "snr": snr,
            "voices": VOICES,
            "length": _LENGTH,
            "fft": _FFT,
            "hop": _HOP,
            "bands": BANDS,
        },
        [Item(name, files) for name in ids.tolist()],
        {"sound": Layout("float32", (BANDS, FRAMES))},
        decode,
    )
