"""Mel spectrograms in decibels, as the published code makes them."""

import numpy as np
from numpy.typing import NDArray

from examples.data.reading.extras import needs


class MelSpectrogram:
    """Turn a sound into decibels by band and moment.

    The published code calls librosa 0.9.1 with these sizes and leaves the rest at its defaults, which are written out
    here: Slaney's mel scale from 0 to half the rate, triangles of unit area, a Hann window in the middle of a longer
    transform, zeros around the sound so that frames are centred, squared magnitudes, decibels to a full scale of 1,
    none more than 80 below the loudest.

    Args:
        rate: Samples of the sound a second.
        bands: Number of bands of the mel scale.
        fft: Length of the Fourier transform, samples; so long must a sound be.
        window: Length of the window, samples.
        hop: Distance of two frames, samples.
    """

    def __init__(
        self, rate: int, *, bands: int = 256, fft: int = 2048, window: int = 512, hop: int = 353
    ) -> None:
        with needs("media"):
            from librosa import filters

        self.rate, self.fft, self.window, self.hop = rate, fft, window, hop
        self.filters: NDArray[np.float32] = filters.mel(
            sr=rate, n_fft=fft, n_mels=bands, fmin=0.0, fmax=rate / 2, htk=False, norm="slaney"
        )

    def __call__(self, sound: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return ``(bands, 1 + samples // hop)``, float32, from a sound ``(samples,)``."""
        import librosa

        if len(sound) < self.fft:
            raise ValueError(f"`sound` ({len(sound)} samples) must be at least {self.fft} samples long.")
        waves = librosa.stft(
            sound,
            n_fft=self.fft,
            hop_length=self.hop,
            win_length=self.window,
            window="hann",
            center=True,
            pad_mode="constant",
        )
        power = self.filters @ np.square(np.abs(waves))
        decibels: NDArray[np.float32] = librosa.power_to_db(power, ref=1.0, amin=1e-10, top_db=80.0)
        return decibels

    def invert(self, decibels: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return a sound that has about this spectrogram, ``((frames - 1) * hop,)``, its peak at 0.9 of full scale.

        Bands are spread over frequencies by non-negative least squares; the phases, which a spectrogram does not have,
        are found by Griffin and Lim's method from a fixed start, so that the same spectrogram gives the same sound.

        Args:
            decibels: ``(bands, frames)``; values below 100 under the loudest are as silent as 100 under it.
        """
        import librosa

        loudest = decibels.max()
        power = librosa.db_to_power(np.maximum(decibels - loudest, -100.0)).astype(np.float32)
        magnitudes = np.sqrt(librosa.util.nnls(self.filters, power))
        sound: NDArray[np.float32] = librosa.griffinlim(
            magnitudes,
            n_fft=self.fft,
            hop_length=self.hop,
            win_length=self.window,
            window="hann",
            center=True,
            pad_mode="constant",
            length=(decibels.shape[1] - 1) * self.hop,
            random_state=0,
        )
        return (0.9 * sound / max(float(np.abs(sound).max()), 1e-12)).astype(np.float32)


def fit(decibels: NDArray[np.float32], frames: int) -> NDArray[np.float32]:
    """Return the central `frames` of a spectrogram, a short one mirrored at both ends as often as it takes.

    Args:
        decibels: ``(bands, any number of frames)``.
        frames: Number of frames wanted; an odd one more is mirrored at the start, or dropped at the end.
    """
    missing = frames - decibels.shape[1]
    if missing > 0:
        return np.pad(decibels, ((0, 0), (missing - missing // 2, missing // 2)), mode="reflect")
    start = -missing // 2
    return decibels[:, start : start + frames]
