"""Spectrograms as pictures, and as the sound that they stand for."""

import io
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial

import numpy as np
from numpy.typing import NDArray
from scipy.io import wavfile

from examples.data.reading.spectrogram import MelSpectrogram
from examples.data.sets.fsdd import Spectrogram
from examples.pictures.base import Picture, Values, limits, png

_FULL_SCALE = 32767


@dataclass(frozen=True)
class Sound:
    """A spectrogram in decibels, low bands at the bottom, with a player.

    Args:
        spectrogram: Makes what turns it into a sound again; called when the first one is drawn.
    """

    spectrogram: Callable[[], MelSpectrogram]

    def draw(self, values: Values, like: Values) -> list[Picture]:
        """Return picture and sound for each sample, ``(samples, 1, bands, frames)``."""
        low, high = limits(like)
        mel = self.spectrogram()
        return [
            Picture(
                png(decibels, cmap="magma", vmin=low, vmax=high, origin="lower"),
                wav=wav(mel.invert(decibels), mel.rate),
            )
            for (decibels,) in values
        ]


def wav(sound: NDArray[np.float32], rate: int) -> bytes:
    """Return a sound file, 16 bits per sample, one channel.

    Args:
        sound: ``(samples,)``, 1 is full scale.
        rate: Samples a second.
    """
    file = io.BytesIO()
    wavfile.write(file, rate, (sound.clip(-1, 1) * _FULL_SCALE).astype(np.int16))
    return file.getvalue()


@cache
def digit_sound() -> MelSpectrogram:
    """Return the spectrogram of the spoken digits."""
    return Spectrogram().mel


def clip_sound(rate: int) -> Callable[[], MelSpectrogram]:
    """Return what makes the spectrogram of clips with this many samples of sound a second."""
    return partial(MelSpectrogram, rate)
