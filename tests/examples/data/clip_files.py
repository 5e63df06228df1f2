"""Make small files of the formats that the loaders read."""

import wave
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np

Draw = Callable[[int], np.ndarray]


def grey(number: int) -> np.ndarray:
    """Return a frame, ``(90, 120, 3)``, whose grey says its number."""
    return np.full((90, 120, 3), 40 + 4 * number, dtype=np.uint8)


def tone(seconds: float, rate: int, pitch: float = 440.0) -> np.ndarray:
    """Return a sine of half the full scale, ``(samples,)``."""
    return 0.5 * np.sin(2 * np.pi * pitch * np.arange(round(seconds * rate)) / rate)


def write_clip(
    path: Path,
    *,
    frames: int = 40,
    draw: Draw = grey,
    video: str | None = "flv",
    pixels: str = "yuv420p",
    sound: np.ndarray | None = None,
    audio: str = "libmp3lame",
    rate: int = 44100,
) -> Path:
    """Write frames at 30 a second, a sound track ``(channels, samples)`` beside them, or one of both."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(path, "w") as container:
        pictures = container.add_stream(video, rate=30) if video else None
        track = None
        if sound is not None:
            layout = "mono" if len(sound) == 1 else "stereo"
            track = container.add_stream(audio, rate=rate, layout=layout)
            track.format = {"libmp3lame": "s16p", "aac": "fltp"}.get(audio, "s16")
        if pictures is not None:
            pictures.pix_fmt = pixels
            pictures.height, pictures.width = draw(0).shape[:2]
            for number in range(frames):
                container.mux(pictures.encode(av.VideoFrame.from_ndarray(draw(number), format="rgb24")))
            container.mux(pictures.encode())
        if track is not None:
            block = av.AudioFrame.from_ndarray(sound.astype("float32"), format="fltp", layout=layout)
            block.sample_rate, block.pts = rate, 0
            resampler = av.AudioResampler(track.format, layout, rate, frame_size=track.frame_size or 1024)
            for part in [*resampler.resample(block), *resampler.resample(None)]:
                container.mux(track.encode(part))
            container.mux(track.encode())
    return path


def write_wav(path: Path, sound: np.ndarray, rate: int) -> Path:
    """Write one channel of 16 bits."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes((sound * 32767).astype("<i2").tobytes())
    return path


def cut(path: Path, share: float = 0.5) -> Path:
    """Keep the first part of a file."""
    content = path.read_bytes()
    path.write_bytes(content[: round(share * len(content))])
    return path


def damage(path: Path) -> Path:
    """Overwrite the second third of a file with noise."""
    content = bytearray(path.read_bytes())
    third = len(content) // 3
    content[third : 2 * third] = np.random.default_rng(0).bytes(third)
    path.write_bytes(content)
    return path
