"""Free Spoken Digit Dataset: 3,000 clips of ten digits by six speakers, as spectrograms. Bring the files yourself."""

import re
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from examples.data.place import Finding, Place, counted, looked_in
from examples.data.reading.arrays import read_arrays
from examples.data.reading.cache import Decoding, Item, decode_once
from examples.data.reading.check import first_bytes, sampled
from examples.data.reading.files import UnreadableError, entry, files_in, locate
from examples.data.reading.media import read_sound
from examples.data.reading.records import Layout
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


def read_fsdd(place: Place) -> tuple[Clips, dict[str, str]]:
    """Return all clips, and why others could not be read, by name; decoded once where they are wav files.

    Args:
        place: Folder of ``fsdd.npz`` or of ``recordings``; the first is taken where both are there.

    Raises:
        UserError: Neither is there, files could not be read and `place` says that this stops the run, or ``fsdd.npz`` is
            damaged or holds something else.
    """
    place = _locate(place)
    path = entry(place.folder(), FILE)
    if path.is_file():
        return _from_npz(path), {}
    decoded = decode_once(_decoding(place.folder()), place)
    words = [name.split("_") for name in decoded.names]
    clips = Clips(
        decoded.arrays["sound"][:],
        np.asarray([digit for digit, _, _ in words], dtype=np.int64),
        np.asarray([speaker for _, speaker, _ in words], dtype=np.str_),
        np.asarray([take for _, _, take in words], dtype=np.int64),
    )
    return clips, dict(decoded.problems)


def check_fsdd(place: Place) -> list[Finding]:
    """Count clips and speakers; look at every wav file and read some, or read all of ``fsdd.npz``."""
    place = _locate(place)
    path = entry(place.folder(), FILE)
    findings = []
    if path.is_file():
        speakers: list[str] = _from_npz(path).speakers.tolist()
    else:
        decoding = _decoding(place.folder())
        matches = [_NAME.fullmatch(item.name) for item in decoding.items]
        speakers = [match["speaker"] for match in matches if match]
        findings = [first_bytes("FSDD", [item.files[0] for item in decoding.items]), sampled(decoding)]
    return [
        looked_in(place, "FSDD"),
        counted("FSDD", "clips", len(speakers), _CLIPS),
        counted("FSDD", "speakers", len(set(speakers)), _SPEAKERS),
        *findings,
    ]


def _locate(place: Place) -> Place:
    return locate(
        place,
        lambda folder: entry(folder, FILE).is_file() or bool(files_in(entry(folder, FOLDER), ".wav")),
        sign=f"'{FILE}' and no folder '{FOLDER}' with wav files",
        source=SOURCE,
    )


def _from_npz(path: Path) -> Clips:
    each = dict.fromkeys(("length", "digit", "speaker", "take"), Layout("int64", ()))
    labels = read_arrays(path, each, source=SOURCE)
    wave = read_arrays(path, {"wave": Layout("int16", ())}, source=SOURCE)["wave"]
    names = read_arrays(path, {"speaker_names": Layout("U24", ())}, source=SOURCE)["speaker_names"]
    length, speaker, digit = labels["length"], labels["speaker"], labels["digit"]
    if (
        length.min() < 1
        or length.sum() != len(wave)
        or not np.isin(speaker, range(len(names))).all()
        or not np.isin(digit, range(10)).all()
    ):
        raise UnreadableError(
            f"'{path}': the lengths must be above 0 and add up to the {len(wave)} int16 samples of `wave`, `speaker` "
            f"must hold positions in `speaker_names`, `digit` 0 to 9. {SOURCE}"
        )
    spectrogram = Spectrogram()
    sounds = [
        spectrogram(sound.astype(np.float32) / np.float32(32768))
        for sound in np.split(wave, np.cumsum(length)[:-1])
    ]
    return Clips(np.stack(sounds), digit, names[speaker], labels["take"])


def _decoding(folder: Path) -> Decoding:
    spectrogram = Spectrogram()

    def decode(item: Item) -> dict[str, NDArray[np.float32]]:
        if not _NAME.fullmatch(item.name):
            raise UnreadableError(
                f"'{item.files[0]}' must have a name like 7_theo_42.wav: digit, speaker, take"
            )
        return {"sound": spectrogram(read_sound(item.files[0], RATE))}

    return Decoding(
        "fsdd",
        {"rate": RATE, "length": _LENGTH, "fft": _FFT, "window": _WINDOW, "hop": _HOP, "bands": BANDS},
        [Item(path.stem, (path,)) for path in files_in(entry(folder, FOLDER), ".wav")],
        {"sound": Layout("float32", (1, BANDS, FRAMES))},
        decode,
    )
