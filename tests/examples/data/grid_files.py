"""Small files of the format of one speaker of GRID."""

from io import BytesIO
from pathlib import Path

import numpy as np

RATE = 16_000


def encoded(wave: np.ndarray, rate: int = RATE) -> bytes:
    """A sound in Ogg Opus."""
    import soundfile

    file = BytesIO()
    soundfile.write(file, wave, rate, format="OGG", subtype="OPUS")
    return file.getvalue()


def sentence(number: int) -> np.ndarray:
    """Two seconds, a tone of its own."""
    return 0.3 * np.sin(2 * np.pi * (300 + 40 * number) * np.arange(2 * RATE) / RATE)


def grid_arrays(sentences: int = 12) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """What the two files hold; each picture tells its sentence."""
    random = np.random.default_rng(0)
    number = np.arange(sentences)
    starts = 6 * np.arange(6, dtype="int16")
    ids = np.array([f"s{place}" for place in number])
    video = {
        "video": (
            random.integers(0, 50, (sentences, 2, 8, 24, 48)) + 10 * number[:, None, None, None, None]
        ).astype("uint8"),
        "label": np.stack([number % 25, number % 10], axis=1).astype("int8"),
        "bounds": np.broadcast_to(np.stack([starts, starts + 5], axis=1), (sentences, 6, 2)).copy(),
        "ids": ids,
        "tracking": np.ones(sentences, dtype="float32"),
    }
    return video, packed([encoded(sentence(place)) for place in number], ids)


def packed(sounds: list[bytes], ids: np.ndarray) -> dict[str, np.ndarray]:
    """Sounds end to end, and where each begins."""
    offset = np.cumsum([0, *map(len, sounds)])
    return {"opus": np.frombuffer(b"".join(sounds), dtype="uint8"), "offset": offset, "ids": ids}


def write_grid(root: Path, video: dict[str, np.ndarray], audio: dict[str, np.ndarray]) -> None:
    """Write both files."""
    root.mkdir(parents=True, exist_ok=True)
    np.savez(root / "grid_s1_video.npz", **video)
    np.savez(root / "grid_s1_audio.npz", **audio)
