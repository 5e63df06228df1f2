"""Small files of the formats of MNIST, SVHN and the Free Spoken Digit Dataset."""

import gzip
import struct
import wave
from pathlib import Path

import numpy as np
import scipy.io

RATE = 8000
SPEAKERS = ("ada", "bob", "cleo", "dan")


def mnist_arrays(train: int = 400, test: int = 60) -> dict[str, np.ndarray]:
    """Digits that are bars: digit d is a bar in rows 2 d to 2 d + 4, brighter or darker."""
    random = np.random.default_rng(0)
    arrays = {}
    for part, count in (("train", train), ("test", test)):
        labels = (np.arange(count) % 10).astype("uint8")
        images = np.zeros((count, 28, 28), dtype="uint8")
        for image, label in zip(images, labels, strict=True):
            image[2 * label : 2 * label + 4, 4:24] = random.integers(100, 255)
        arrays |= {f"x_{part}": images, f"y_{part}": labels}
    return arrays


def write_mnist_npz(folder: Path, arrays: dict[str, np.ndarray]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(folder / "mnist.npz", **arrays)


def idx(values: np.ndarray) -> bytes:
    return bytes((0, 0, 8, values.ndim)) + struct.pack(f">{values.ndim}i", *values.shape) + values.tobytes()


def write_mnist_idx(folder: Path, arrays: dict[str, np.ndarray], *, packed: bool) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for part, name in (("train", "train"), ("test", "t10k")):
        for key, ending in (("x", "images-idx3-ubyte"), ("y", "labels-idx1-ubyte")):
            content = idx(arrays[f"{key}_{part}"])
            path = folder / f"{name}-{ending}{'.gz' if packed else ''}"
            path.write_bytes(gzip.compress(content) if packed else content)


def write_svhn(folder: Path, train: int = 300, test: int = 50) -> None:
    """Images whose red is 10 times the digit, whose green is the row, and whose blue is the column."""
    folder.mkdir(parents=True, exist_ok=True)
    for part, count in (("train", train), ("test", test)):
        digits = np.arange(count) % 10
        images = np.zeros((32, 32, 3, count), dtype="uint8")
        images[:, :, 0] = 10 * digits
        images[:, :, 1] = np.arange(32)[:, None, None]
        images[:, :, 2] = np.arange(32)[None, :, None]
        labels = np.where(digits == 0, 10, digits).astype("uint8")[:, None]
        scipy.io.savemat(folder / f"{part}_32x32.mat", {"X": images, "y": labels}, do_compression=True)


def sound(digit: int, speaker: int, take: int) -> np.ndarray:
    """A tone of 300 Hz and more by digit, int16; some clips are longer than a spectrogram."""
    random = np.random.default_rng([digit, speaker, take])
    time = np.arange(1500 + 600 * ((digit + take) % 10)) / RATE
    tone = (0.2 + 0.1 * speaker) * np.sin(2 * np.pi * (300 + 300 * digit) * time)
    return (32767 * (tone + 0.01 * random.normal(size=len(time)))).astype("int16")


def clips(takes: int = 12) -> list[tuple[int, int, int]]:
    return [
        (digit, speaker, take)
        for digit in range(10)
        for speaker in range(len(SPEAKERS))
        for take in range(takes)
    ]


def write_fsdd_npz(folder: Path, takes: int = 12) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    waves = [sound(*clip) for clip in clips(takes)]
    digit, speaker, take = np.array(clips(takes)).T
    np.savez_compressed(
        folder / "fsdd.npz",
        wave=np.concatenate(waves),
        length=np.array([len(values) for values in waves], dtype="int32"),
        digit=digit.astype("uint8"),
        speaker=speaker.astype("uint8"),
        take=take.astype("uint8"),
        speaker_names=np.array(SPEAKERS),
        sample_rate=RATE,
    )


def write_wav(path: Path, values: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(values.astype("<i2").tobytes())


def write_fsdd_wav(folder: Path, takes: int = 12) -> None:
    for digit, speaker, take in clips(takes):
        write_wav(
            folder / "recordings" / f"{digit}_{SPEAKERS[speaker]}_{take}.wav", sound(digit, speaker, take)
        )
