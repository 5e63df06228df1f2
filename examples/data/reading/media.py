"""Read images, sound and frames of clips; what is wrong with a file becomes an `UnreadableError` with a reason."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from io import BytesIO
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from examples.data.reading.extras import needs
from examples.data.reading.files import UnreadableError, look

if TYPE_CHECKING:
    from av import AudioFrame, Packet, VideoFrame
    from av.container import InputContainer
    from PIL.Image import Image as Picture

Frame = TypeVar("Frame", "AudioFrame", "VideoFrame")

_GAP = 0.25  # of a clip may lack pictures
_DAMAGED = 0.1  # players skip what is damaged, and so do we, up to this share


class NoSoundError(UnreadableError):
    """A file without a sound track, or with an empty one."""


def read_image(path: Path) -> NDArray[np.uint8]:
    """Read an image of any format that Pillow knows, in red, green and blue.

    Returns:
        ``(3, height, width)``, uint8.

    Raises:
        UnreadableError: The file is missing, empty, damaged or cut.
    """
    return np.asarray(_pixels(path, path, "RGB"), dtype=np.uint8).transpose(2, 0, 1)


def read_numbers(path: Path) -> NDArray[Any]:
    """Read an image whose pixels are numbers, such as depths or classes, as they are stored.

    Returns:
        ``(height, width)``, of the integer type that holds them.

    Raises:
        UnreadableError: The file is missing, empty, damaged or cut, or has several channels.
    """
    return _flat(path, _pixels(path, path, None))


def decode_numbers(path: Path, content: bytes) -> NDArray[Any]:
    """Return the same of an image that is part of a file."""
    return _flat(path, _pixels(path, BytesIO(content), None))


def decode_image(path: Path, content: bytes) -> NDArray[np.uint8]:
    """Return the image that part of a file is, in red, green and blue, ``(3, height, width)``."""
    return np.asarray(_pixels(path, BytesIO(content), "RGB"), dtype=np.uint8).transpose(2, 0, 1)


def resize(image: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """Return an image ``(3, height, width)`` in another size, averaged where it shrinks."""
    from PIL import Image

    pixels = Image.fromarray(np.ascontiguousarray(image.transpose(1, 2, 0)))
    return np.asarray(pixels.resize((width, height), Image.Resampling.BILINEAR)).transpose(2, 0, 1)


def _flat(path: Path, pixels: "Picture") -> NDArray[Any]:
    values = np.asarray(pixels)
    if values.ndim != 2:
        raise UnreadableError(
            f"'{path}' must have one number for each pixel; it has {values.shape[2]} channels"
        )
    return values


def _pixels(path: Path, source: Path | BytesIO, mode: str | None) -> "Picture":
    with needs("media"):
        from PIL import Image

    if source is path:
        look(path)
    try:
        with Image.open(source) as image:
            return image.convert(mode) if mode else image.copy()
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise UnreadableError(f"'{path}' is damaged or no image ({error})") from error


def read_frames(
    path: Path, *, around: int, crop: float, size: int, from_top: bool = False
) -> NDArray[np.uint8]:
    """Read the frames around the middle of a clip, cut to a square and resized.

    The middle frame is number ``frames // 2``, counted from 0. As many frames are read before it as after it.

    Args:
        path: Path of a file that FFmpeg knows, such as flv, avi or mp4.
        around: Number of frames on either side of the middle; fewer where the clip is short.
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
        path: Path of a file that FFmpeg knows, such as wav, or a clip with a sound track.
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

    look(path)
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
