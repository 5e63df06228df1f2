"""Read images, sound and frames of clips; what is wrong with a file becomes an `UnreadableError` with a reason."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from examples.data.reading.cache import UnreadableError
from examples.data.reading.extras import needs

if TYPE_CHECKING:
    from av import AudioFrame, Packet, VideoFrame
    from av.container import InputContainer

Frame = TypeVar("Frame", "AudioFrame", "VideoFrame")

_POINTER = b"version https://git-lfs"  # how a file begins that Git LFS has not fetched
_KEPT = 0.8  # of the bytes that a file says it has; with fewer it was cut
_GAP = 0.25  # of a clip may lack pictures
_DAMAGED = 0.1  # players skip what is damaged, and so do we, up to this share


class NoSoundError(UnreadableError):
    """A file without a sound track, or with an empty one."""


def read_image(path: Path, size: tuple[int, int] | None = None, mode: str = "RGB") -> NDArray[np.uint8]:
    """Read an image of any format that Pillow knows.

    Args:
        path: Of the file.
        size: Height and width in pixels that the whole image is resized to; its own by default.
        mode: "RGB", or "L" for grey.

    Returns:
        ``(channels, height, width)``, uint8.

    Raises:
        UnreadableError: The file is missing, empty, damaged or cut.
    """
    with needs("media"):
        from PIL import Image

    _refuse_hollow(path)
    try:
        with Image.open(path) as image:
            pixels = image.convert(mode)
            if size is not None:
                pixels = pixels.resize((size[1], size[0]), Image.Resampling.BILINEAR)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise UnreadableError(f"'{path}' is damaged or no image ({error})") from error
    values = np.asarray(pixels)
    return values[None] if values.ndim == 2 else values.transpose(2, 0, 1)


def read_frames(
    path: Path, *, around: int, crop: float, size: int, from_top: bool = False
) -> NDArray[np.uint8]:
    """Read the frames around the middle of a clip, cut to a square and resized.

    The middle frame is number ``frames // 2``, counted from 0. As many frames are read before it as after it.

    Args:
        path: Of a file that FFmpeg knows, such as flv, avi or mp4.
        around: How many frames on either side of the middle; fewer where the clip is short.
        crop: Side of the square as a share of the frame's height.
        size: Height and width of what is returned, pixels.
        from_top: Whether the square begins at the top row; it lies in the middle otherwise.

    Returns:
        ``(frames, 3, size, size)``, uint8; red, green, blue. The clip's middle frame lies in the middle.

    Raises:
        UnreadableError: The file is missing, empty, damaged or cut, or holds no frames.
    """
    with _opened(path) as container:
        count = _count_frames(path, container)
    middle = count // 2
    around = min(around, middle, count - 1 - middle)
    frames: list[NDArray[np.uint8]] = []
    with _opened(path) as container:
        stream = container.streams.video[0]
        for number, frame in enumerate(_frames(path, container.demux(stream), stream.decode, count)):
            if number >= middle - around:
                frames.append(
                    _square(
                        np.asarray(frame.to_ndarray(format="rgb24"), dtype=np.uint8),
                        crop,
                        size,
                        from_top=from_top,
                    )
                )
            if number == middle + around:
                return np.stack(frames)
    raise UnreadableError(f"'{path}' is damaged: too few of its {count} frames can be decoded")


def read_sound(path: Path, rate: int, *, seconds: float | None = None) -> NDArray[np.float32]:
    """Read sound as one channel, the mean of all that there are.

    Args:
        path: Of a file that FFmpeg knows, such as wav, or a clip with a sound track.
        rate: Samples a second; the sound is resampled to it.
        seconds: Length of the central part that is returned; all by default, and of a shorter sound.

    Returns:
        ``(samples,)``, float32; 1 is full scale.

    Raises:
        NoSoundError: The file can be read and has no sound.
        UnreadableError: The file is missing, empty, damaged or cut.
    """
    with needs("media"):
        from av import AudioResampler

    with _opened(path) as container:
        packets = (
            sum(packet.size > 0 for packet in container.demux(audio=0)) if container.streams.audio else 0
        )
    if not packets:
        raise NoSoundError(f"'{path}' has no sound track")
    with _opened(path) as container:
        stream = container.streams.audio[0]
        frames = _frames(path, container.demux(stream), stream.decode, packets)
        resampler = AudioResampler(format="fltp", rate=rate)
        parts = [part.to_ndarray() for frame in chain(frames, [None]) for part in resampler.resample(frame)]
    if not parts:
        raise NoSoundError(f"'{path}' has an empty sound track")
    sound: NDArray[np.float32] = np.concatenate(parts, axis=1).mean(axis=0, dtype=np.float32)
    wanted = len(sound) if seconds is None else min(round(seconds * rate), len(sound))
    start = (len(sound) - wanted) // 2
    return sound[start : start + wanted]


@contextmanager
def _opened(path: Path) -> Iterator["InputContainer"]:
    """Open a file of FFmpeg's formats; its errors, also while it is read, become ours."""
    with needs("media"):
        import av

    _refuse_hollow(path)
    try:
        with av.open(path) as container:
            yield container
    except UnreadableError:
        raise
    except (av.FFmpegError, ValueError, OSError) as error:
        raise UnreadableError(f"'{path}' is damaged or no such file as FFmpeg reads ({error})") from error


def _count_frames(path: Path, container: "InputContainer") -> int:
    """Return how many frames a clip holds, without decoding them."""
    if not container.streams.video:
        raise UnreadableError(f"'{path}' has no pictures")
    stream = container.streams.video[0]
    packets = [packet for packet in container.demux(stream) if packet.size]
    times = sorted(float(packet.dts * packet.time_base) for packet in packets if packet.dts is not None)
    if not times:
        raise UnreadableError(f"'{path}' has no pictures")
    seconds = (container.duration or 0) / 1e6
    longest = np.diff([*times, max(times[-1], times[0] + seconds)]).max()
    if longest > max(_GAP * seconds, 0.5):
        raise UnreadableError(
            f"'{path}' is cut or damaged: there are no pictures in {longest:.1f} of its {seconds:.1f} s"
        )
    return len(packets)


def _frames(
    path: Path, packets: Iterable["Packet[Any]"], decode: Callable[["Packet[Any]"], list[Frame]], count: int
) -> Iterator[Frame]:
    """Decode one stream; skip what is damaged, unless that is too much of its `count` packets."""
    import av

    damaged = 0
    for packet in packets:
        try:
            frames = decode(packet)
        except av.FFmpegError:
            frames, damaged = [], damaged + 1
        damaged += sum(frame.is_corrupt for frame in frames)
        if damaged > _DAMAGED * count:
            raise UnreadableError(f"'{path}' is damaged: more than one in ten of its parts cannot be decoded")
        yield from frames


def _square(frame: NDArray[np.uint8], crop: float, size: int, *, from_top: bool) -> NDArray[np.uint8]:
    """Return ``(3, size, size)`` from ``(height, width, 3)``."""
    from PIL import Image

    height, width, _ = frame.shape
    side = min(round(crop * height), height, width)
    top, left = 0 if from_top else (height - side) // 2, (width - side) // 2
    square = Image.fromarray(frame[top : top + side, left : left + side])
    return np.asarray(square.resize((size, size), Image.Resampling.BILINEAR)).transpose(2, 0, 1)


def _refuse_hollow(path: Path) -> None:
    """Refuse what is no file, or only seems to be one."""
    try:
        with path.open("rb") as file:
            start = file.read(32)
        size = path.stat().st_size
    except OSError as error:
        raise UnreadableError(f"'{path}' cannot be opened ({error.strerror})") from error
    if not start:
        raise UnreadableError(f"'{path}' is empty")
    if start.startswith(_POINTER):
        raise UnreadableError(f"'{path}' is a pointer of Git LFS; `git lfs pull` brings the file itself")
    said = int.from_bytes(start[4:8], "little")
    if start.startswith(b"RIFF") and said != 0xFFFFFFFF and size < _KEPT * said:  # wav and avi
        raise UnreadableError(f"'{path}' is cut: it says that it has {said + 8:,} bytes and has {size:,}")
