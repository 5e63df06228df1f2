"""Free Spoken Digit Dataset: 3,000 clips of ten digits by six speakers, as spectrograms. Bring the files yourself."""

import re
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from examples.data.place import Finding, Place, counted
from examples.data.reading.arrays import read_arrays
from examples.data.reading.cache import Item, Layout, UnreadableError, decode_once
from examples.data.reading.media import read_sound
from examples.data.reading.spectrogram import MelSpectrogram

FILE, FOLDER = "fsdd.npz", "recordings"
SOURCE = (
    "Free Spoken Digit Dataset, Z. Jackson et al., https://github.com/Jakobovski/free-spoken-digit-dataset "
    f"(CC BY-SA 4.0): the folder `{FOLDER}` with files like 7_theo_42.wav, or {FILE} with the arrays wave (int16, "
    "all clips end to end), length, digit, speaker and take of each clip, and speaker_names."
)
RATE = 8000  # samples a second
BANDS = FRAMES = 32
_FFT, _WINDOW, _HOP = 512, 256, 192  # 64, 32 and 24 ms
_LENGTH = _HOP * (FRAMES - 1)  # 0.744 s; 97 % of the clips are shorter
_NAME = re.compile(r"(?P<digit>[0-9])_(?P<speaker>[a-z]+)_(?P<take>[0-9]+)")
_CLIPS, _SPEAKERS = 3000, 6


class Clips(NamedTuple):
    """The clips that could be read.

    Attributes:
        sounds: See `Spectrogram`, float32, ``(clips, 1, 32, 32)``.
        digits: int64, ``(clips,)``.
        speakers: Names, ``(clips,)``.
        takes: Number of the recording of this digit by this speaker, from 0, int64, ``(clips,)``.
    """

    sounds: NDArray[np.float32]
    digits: NDArray[np.int64]
    speakers: NDArray[np.str_]
    takes: NDArray[np.int64]


class Spectrogram:
    """Mel spectrogram of a spoken digit, in decibels below its loudest moment, -80 to 0, so that level says nothing.

    It has 32 bands from 0 to 4 kHz and 32 frames 24 ms apart: the central 0.744 s, with silence around a shorter clip.
    """

    def __init__(self) -> None:
        self.mel = MelSpectrogram(RATE, bands=BANDS, fft=_FFT, window=_WINDOW, hop=_HOP)

    def __call__(self, sound: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return ``(1, 32, 32)``, lowest band first, from a sound ``(samples,)``, 1 is full scale."""
        missing = max(_LENGTH - len(sound), 0)
        padded = np.pad(sound, (missing // 2, missing - missing // 2))
        start = (len(padded) - _LENGTH) // 2
        decibels = self.mel(padded[start : start + _LENGTH])
        below: NDArray[np.float32] = decibels - decibels.max()
        return below[None]


def read_fsdd(place: Place) -> Clips:
    """Return all clips; decoded once where they are wav files.

    Args:
        place: Folder of ``fsdd.npz`` or of ``recordings``; the first is taken where both are there.

    Raises:
        FileNotFoundError: Neither is there.
        UnreadableError: Files could not be read, and `place` says that this stops the run; names them.
        ValueError: ``fsdd.npz`` is damaged or holds something else.
    """
    if (place.folder() / FILE).is_file():
        return _from_npz(place.folder() / FILE)
    return _from_wav(place)


def check_fsdd(place: Place) -> list[Finding]:
    """Count clips and speakers by the names of the files, or by what ``fsdd.npz`` says of them."""
    path = place.folder() / FILE
    if path.is_file():
        speakers: list[str] = [str(number) for number in _read_labels(path)["speaker"].tolist()]
    else:
        matches = [_NAME.fullmatch(item.name) for item in _recordings(place.folder())]
        speakers = [match["speaker"] for match in matches if match]
    return [
        counted("FSDD", "clips", len(speakers), _CLIPS),
        counted("FSDD", "speakers", len(set(speakers)), _SPEAKERS),
    ]


def _from_npz(path: Path) -> Clips:
    labels = _read_labels(path)
    wave = read_arrays(path, {"wave": (None,)}, source=SOURCE)["wave"]
    names = read_arrays(path, {"speaker_names": (None,)}, source=SOURCE)["speaker_names"].astype(np.str_)
    length, speaker, digit = (labels[name].astype(np.int64) for name in ("length", "speaker", "digit"))
    if (
        wave.dtype != np.int16
        or length.min() < 1
        or length.sum() != len(wave)
        or not np.isin(speaker, range(len(names))).all()
        or not np.isin(digit, range(10)).all()
    ):
        raise ValueError(
            f"'{path}': the lengths must be above 0 and add up to the {len(wave)} int16 samples of `wave`, `speaker` "
            f"must hold positions in `speaker_names`, `digit` 0 to 9. {SOURCE}"
        )
    spectrogram = Spectrogram()
    sounds = [
        spectrogram(sound.astype(np.float32) / 32768) for sound in np.split(wave, np.cumsum(length)[:-1])
    ]
    return Clips(np.stack(sounds), digit, names[speaker], labels["take"].astype(np.int64))


def _read_labels(path: Path) -> dict[str, NDArray[np.generic]]:
    return read_arrays(path, dict.fromkeys(("length", "digit", "speaker", "take"), (None,)), source=SOURCE)


def _from_wav(place: Place) -> Clips:
    spectrogram = Spectrogram()

    def decode(item: Item) -> dict[str, NDArray[np.generic]]:
        if not _NAME.fullmatch(item.name):
            raise UnreadableError("its name is not like 7_theo_42.wav: digit, speaker, take")
        return {"sound": spectrogram(read_sound(item.files[0], RATE))}

    items = _recordings(place.folder())
    settings = {"rate": RATE, "length": _LENGTH, "fft": _FFT, "window": _WINDOW, "hop": _HOP, "bands": BANDS}
    decoded = decode_once(
        place.decoded("fsdd", settings),
        items,
        {"sound": Layout("float32", (1, BANDS, FRAMES))},
        decode,
        on_error=place.on_error,
    )
    words = [items[number].name.split("_") for number in decoded.good]
    return Clips(
        decoded.arrays["sound"][decoded.good].astype(np.float32),
        np.asarray([digit for digit, _, _ in words], dtype=np.int64),
        np.asarray([speaker for _, speaker, _ in words], dtype=np.str_),
        np.asarray([take for _, _, take in words], dtype=np.int64),
    )


def _recordings(folder: Path) -> list[Item]:
    files = sorted((folder / FOLDER).glob("*.wav"))
    if not files:
        raise FileNotFoundError(f"No '{FILE}' and no wav files in '{folder / FOLDER}'. {SOURCE}")
    return [Item(path.stem, (path,)) for path in files]
