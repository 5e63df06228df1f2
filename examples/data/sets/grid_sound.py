"""The sound of GRID: sentences of one speaker, and a babble of others of the same speaker under a word."""

import math
from io import BytesIO
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from examples.data.reading.arrays import read_arrays
from examples.data.reading.extras import needs
from examples.data.reading.files import UnreadableError
from examples.data.reading.records import Layout

RATE = 16_000  # samples a second
VOICES = 8  # in the babble
_DRAW = 2006  # begins the seed of each babble


class Voice:
    """The sentences of a speaker, decoded when they are asked for, and kept.

    Args:
        path: Path of the file.
        ids: Names that its sentences must have, in order.
        source: Sentence that says where the file comes from.

    Raises:
        UnreadableError: The file is missing or damaged, or it has other sentences.
    """

    def __init__(self, path: Path, ids: NDArray[np.str_], *, source: str) -> None:
        wanted = {"ids": Layout("U24", ()), "opus": Layout("uint8", ()), "offset": Layout("int64", ())}
        names, sounds, offset = (
            read_arrays(path, {key: layout}, source=source)[key] for key, layout in wanted.items()
        )
        if not np.array_equal(names, ids):
            raise UnreadableError(
                f"'{path}': array `ids` must name the sentences of the video, in the same order. {source}"
            )
        grows = len(offset) == len(ids) + 1 and offset[0] == 0 and (np.diff(offset) > 0).all()
        if not grows or offset[-1] != len(sounds):
            raise UnreadableError(
                f"'{path}': array `offset` must hold {len(ids) + 1} growing numbers, from 0 to the {len(sounds)} bytes of "
                f"`opus`. {source}"
            )
        self._path, self._sounds, self._parts = path, sounds, list(pairwise(offset.tolist()))
        self._known: dict[int, NDArray[np.float32]] = {}

    def __len__(self) -> int:
        """Return the number of sentences."""
        return len(self._parts)

    def __getitem__(self, number: int) -> NDArray[np.float32]:
        """Return a sentence by its number from 0, ``(samples,)``; 1 is full scale.

        Raises:
            UnreadableError: It is damaged, or has another rate.
        """
        if number not in self._known:
            self._known[number] = self._decoded(number)
        return self._known[number]

    def _decoded(self, number: int) -> NDArray[np.float32]:
        with needs("media"):
            import soundfile

        start, stop = self._parts[number]
        file = BytesIO(self._sounds[start:stop].tobytes())
        try:
            wave, rate = soundfile.read(file, dtype="float32", always_2d=True)
        except soundfile.LibsndfileError as error:
            raise UnreadableError(f"'{self._path}': sound {number} is damaged ({error})") from error
        if rate != RATE or not len(wave):
            raise UnreadableError(
                f"'{self._path}': sound {number} has {len(wave)} samples, {rate} a second; it must have some, {RATE} a second"
            )
        mixed: NDArray[np.float32] = wave.mean(axis=1, dtype=np.float32)
        return mixed


def cut(wave: NDArray[np.float32], middle: int, length: int) -> NDArray[np.float32]:
    """Return `length` samples around the one at `middle`, with silence where there are none."""
    padded = np.pad(wave, length)
    start = min(max(middle + length - length // 2, 0), len(padded) - length)
    return padded[start : start + length]


def in_babble(word: NDArray[np.float32], number: int, voice: Voice, *, snr: float) -> NDArray[np.float32]:
    """Return a word with pieces of eight other sentences under it.

    What is drawn depends on the number of the sentence alone, so neither on a split nor on the seed of a run.

    Args:
        word: ``(samples,)``.
        number: Number of its sentence, which is none of the eight.
        voice: All sentences, at least two.
        snr: Mean power of the word over that of all voices together, decibels.
    """
    random = np.random.default_rng([_DRAW, number])
    others = np.delete(np.arange(len(voice)), number)
    noise, half = np.zeros(len(word)), len(word) // 2
    for other in random.choice(others, VOICES, replace=len(others) < VOICES).tolist():
        sentence = voice[other]
        middle = int(random.integers(half, max(len(sentence) - half, half + 1)))
        noise += cut(sentence, middle, len(word))
    wanted = float(np.square(word, dtype=np.float64).mean()) / 10 ** (snr / 10)
    scale = math.sqrt(wanted / max(float(np.square(noise).mean()), 1e-12))
    return (word + scale * noise).astype(np.float32)
