"""Mel spectrograms against a second reading of the formulas."""

import math
import sys

import numpy as np
import pytest
import torch

from examples.data.reading.spectrogram import MelSpectrogram, fit
from examples.errors import UserError
from tests.examples.data.clip_files import tone


def hertz(mel: float) -> float:
    """Slaney's scale: linear up to 1000 Hz at 200 / 3 Hz a step, then 27 steps for every factor of 6.4."""
    return mel * 200 / 3 if mel < 15 else 1000 * 6.4 ** ((mel - 15) / 27)


def mel_of(frequency: float) -> float:
    return frequency * 3 / 200 if frequency < 1000 else 15 + 27 * math.log(frequency / 1000) / math.log(6.4)


def triangles(rate: int, fft: int, bands: int) -> torch.Tensor:
    """Return ``(bands, 1 + fft // 2)``, float64: band b rises from edge b to b + 1 and falls to b + 2; its area is 1."""
    edges = [hertz(mel_of(rate / 2) * number / (bands + 1)) for number in range(bands + 2)]
    frequencies = torch.arange(1 + fft // 2, dtype=torch.float64) * rate / fft
    rows = []
    for low, middle, high in zip(edges, edges[1:], edges[2:], strict=False):
        rise, fall = (frequencies - low) / (middle - low), (high - frequencies) / (high - middle)
        rows.append(torch.minimum(rise, fall).clamp(min=0) * 2 / (high - low))
    return torch.stack(rows)


def second_reading(sound: np.ndarray, rate: int, bands: int, fft: int, window: int, hop: int) -> torch.Tensor:
    waves = torch.stft(
        torch.as_tensor(sound, dtype=torch.float64),
        n_fft=fft,
        hop_length=hop,
        win_length=window,
        window=torch.hann_window(window, periodic=True, dtype=torch.float64),
        center=True,
        pad_mode="constant",
        return_complex=True,
    )
    decibels = 10 * (triangles(rate, fft, bands) @ waves.abs().square()).clamp(min=1e-10).log10()
    return decibels.clamp(min=float(decibels.max()) - 80)


@pytest.mark.parametrize(
    ("rate", "bands", "fft", "window", "hop"),
    [(44100, 256, 2048, 512, 353), (32000, 256, 2048, 512, 353), (8000, 32, 512, 256, 128)],
)
def test_agrees_with_the_formulas(rate: int, bands: int, fft: int, window: int, hop: int) -> None:
    random = np.random.default_rng(0)
    sound = (tone(0.5, rate, 700) + 0.1 * random.normal(size=rate // 2)).astype("float32")
    spectrogram = MelSpectrogram(rate, bands=bands, fft=fft, window=window, hop=hop)
    np.testing.assert_allclose(spectrogram.filters, triangles(rate, fft, bands).numpy(), rtol=1e-4, atol=1e-7)
    decibels = spectrogram(sound)
    assert decibels.shape == (bands, 1 + len(sound) // hop)
    assert decibels.dtype == np.float32
    expected = second_reading(sound, rate, bands, fft, window, hop)
    np.testing.assert_allclose(decibels, expected.numpy(), atol=2e-3)


def test_a_tone_lies_in_its_band_and_silence_at_the_floor() -> None:
    spectrogram = MelSpectrogram(44100)
    loudest = spectrogram(tone(1.0, 44100, 2000).astype("float32"))[:, 40:80].mean(axis=1).argmax()
    assert loudest == pytest.approx(mel_of(2000) / mel_of(22050) * 257 - 1, abs=1)
    np.testing.assert_allclose(spectrogram(np.zeros(4096, dtype="float32")), -100, rtol=1e-6)


def test_a_sound_shorter_than_the_transform() -> None:
    with pytest.raises(ValueError, match=r"`sound` \(2047 samples\) must be at least 2048 samples long"):
        MelSpectrogram(44100)(np.zeros(2047, dtype="float32"))


@pytest.mark.parametrize(
    ("length", "expected"),
    [
        (4, [0, 1, 2, 3]),
        (5, [0, 1, 2, 3]),
        (7, [1, 2, 3, 4]),
        (3, [1, 0, 1, 2]),
        (2, [1, 0, 1, 0]),
        (1, [0, 0, 0, 0]),
    ],
)
def test_fit_takes_the_middle_or_mirrors_the_ends(length: int, expected: list[int]) -> None:
    rows = np.tile(np.arange(length, dtype="float32"), (3, 1))
    assert fit(rows, 4).tolist() == [expected] * 3


def test_a_missing_package_is_named_with_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "librosa", None)
    with pytest.raises(UserError, match=r'package librosa: pip install .* "\.\[media\]"'):
        MelSpectrogram(44100)
