"""Images, frames and sound from files that are good, and reasons from files that are not."""

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from examples.data.reading.files import UnreadableError
from examples.data.reading.media import (
    NoSoundError,
    decode_image,
    decode_numbers,
    read_frames,
    read_image,
    read_numbers,
    read_sound,
    resize,
)
from examples.errors import UserError
from tests.examples.data.clip_files import cut, damage, grey, tone, write_clip, write_wav

POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:10dc\nsize 265922\n"


def quarters(number: int) -> np.ndarray:
    """Return 360 rows and 480 columns; red from row 70 to 140 and column 170 to 240, green grows with the number."""
    frame = np.zeros((360, 480, 3), dtype=np.uint8)
    frame[..., 1] = 10 * number
    frame[70:140, 170:240] = 255, 0, 0
    return frame


@pytest.fixture(scope="module")
def lossless(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("lossless") / "clip.avi"
    return write_clip(path, frames=9, draw=quarters, video="ffv1", pixels="bgr0")


def greys(frames: np.ndarray) -> list[int]:
    return [round((float(frame.mean()) - 40) / 4) for frame in frames]


@pytest.mark.parametrize(("frames", "expected"), [(40, [18, 19, 20, 21, 22]), (41, [18, 19, 20, 21, 22])])
def test_frames_around_the_middle(tmp_path: Path, frames: int, expected: list[int]) -> None:
    path = write_clip(tmp_path / "clip.flv", frames=frames)
    read = read_frames(path, around=2, crop=1.0, size=16)
    assert read.shape == (5, 3, 16, 16)
    assert read.dtype == np.uint8
    assert greys(read) == expected


@pytest.mark.parametrize(("frames", "expected"), [(1, [0]), (2, [1]), (4, [1, 2, 3]), (5, [0, 1, 2, 3, 4])])
def test_a_short_clip_keeps_its_middle_in_the_middle(
    tmp_path: Path, frames: int, expected: list[int]
) -> None:
    path = write_clip(tmp_path / "clip.avi", frames=frames, video="mjpeg", pixels="yuvj420p")
    assert greys(read_frames(path, around=15, crop=1.0, size=8)) == expected


@pytest.mark.parametrize(
    ("name", "video", "pixels"),
    [("a.flv", "flv", "yuv420p"), ("a.avi", "mjpeg", "yuvj420p"), ("a.mp4", "libx264", "yuv420p")],
)
def test_every_container(tmp_path: Path, name: str, video: str, pixels: str) -> None:
    path = write_clip(tmp_path / name, video=video, pixels=pixels, sound=tone(1.3, 44100)[None], audio="aac")
    assert greys(read_frames(path, around=1, crop=1.0, size=8)) == [19, 20, 21]
    assert len(read_sound(path, 16000)) == pytest.approx(1.3 * 16000, rel=0.06)


@pytest.mark.parametrize(("from_top", "rows"), [(True, (32, 64)), (False, (14, 46))])
def test_crop_and_resize_put_a_square_where_it_belongs(
    lossless: Path, from_top: bool, rows: tuple[int, int]
) -> None:
    frame = read_frames(lossless, around=0, crop=280 / 360, size=128, from_top=from_top)[0].astype(int)
    red = np.argwhere(frame[0] > 127)
    assert red.min(axis=0).tolist() == [rows[0], 32]  # column 170 of 480 is 70 of 280, a quarter of 128
    assert red.max(axis=0).tolist() == [rows[1] - 1, 63]
    assert frame[:, rows[0] + 8, 40].tolist() == [255, 0, 0]
    assert frame[:, 100, 100].tolist() == [0, 40, 0]  # the middle one of 9 frames is number 4


def test_a_crop_is_no_larger_than_the_frame(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "clip.flv", frames=3, draw=lambda number: grey(number)[:, :60])
    assert read_frames(path, around=0, crop=1.0, size=8).shape == (1, 3, 8, 8)


def test_sound_keeps_pitch_level_and_length(tmp_path: Path) -> None:
    path = write_wav(tmp_path / "tone.wav", tone(2.0, 16000), 16000)
    sound = read_sound(path, 44100)
    assert sound.dtype == np.float32
    assert len(sound) == pytest.approx(2 * 44100, abs=100)
    assert np.abs(sound[1000:-1000]).max() == pytest.approx(0.5, abs=0.01)
    spectrum = np.abs(np.fft.rfft(sound))
    assert spectrum.argmax() * 44100 / len(sound) == pytest.approx(440, abs=1)


def test_one_channel_is_the_mean_of_all(tmp_path: Path) -> None:
    both = np.stack([tone(1.0, 22050), np.zeros(22050)])
    path = write_clip(tmp_path / "clip.avi", video=None, sound=both, audio="pcm_s16le", rate=22050)
    assert np.abs(read_sound(path, 22050)).max() == pytest.approx(0.25, abs=0.001)


def test_the_central_part_of_a_sound(tmp_path: Path) -> None:
    ramp = np.linspace(0, 0.9, 8000)
    path = write_wav(tmp_path / "ramp.wav", ramp, 8000)
    np.testing.assert_allclose(read_sound(path, 8000, seconds=0.5), ramp[2000:6000], atol=1e-4)
    assert len(read_sound(path, 8000, seconds=5.0)) == 8000


def test_no_sound(tmp_path: Path) -> None:
    with pytest.raises(NoSoundError, match=r"mute\.flv' has no sound track"):
        read_sound(write_clip(tmp_path / "mute.flv", frames=5), 44100)


def test_no_pictures(tmp_path: Path) -> None:
    path = write_wav(tmp_path / "tone.wav", tone(1.0, 8000), 8000)
    with pytest.raises(UnreadableError, match=r"tone\.wav' has no pictures"):
        read_frames(path, around=1, crop=1.0, size=8)


@pytest.mark.parametrize(
    "read",
    [
        lambda path: read_frames(path, around=1, crop=1.0, size=8),
        lambda path: read_sound(path, 8000),
        read_image,
    ],
    ids=["frames", "sound", "image"],
)
@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, r"cannot be opened \(No such file or directory\)"),
        (b"", "is empty"),
        (b"nothing to see here" * 20, "is damaged or no"),
        (POINTER.encode(), "is a pointer of Git LFS; `git lfs pull` in the clone brings the file itself"),
        (b"RIFF\x00\x10\x00\x00WAVEfmt ", "is cut: it says that it has 4,104 bytes and has 16"),
    ],
)
def test_hollow_files_are_named_with_the_reason(
    tmp_path: Path, read: Callable[[Path], np.ndarray], content: bytes | None, reason: str
) -> None:
    path = tmp_path / "hollow.bin"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UnreadableError, match=rf"hollow\.bin' {reason}"):
        read(path)


@pytest.mark.parametrize(
    ("name", "video", "audio", "break_it", "reason"),
    [
        ("a.flv", "flv", "libmp3lame", cut, "there are no pictures in"),
        ("a.flv", "flv", "libmp3lame", damage, "is cut or damaged|is damaged"),
        ("a.avi", "mpeg4", "pcm_s16le", cut, "is cut: it says that it has"),
        ("a.avi", "mpeg4", "pcm_s16le", damage, "there are no pictures in"),
        ("a.mp4", "libx264", "aac", cut, "is damaged or no such file as FFmpeg reads"),
        ("a.mp4", "libx264", "aac", damage, "is damaged"),
    ],
)
def test_broken_clips_are_named_with_the_reason(tmp_path, name, video, audio, break_it, reason) -> None:
    random = np.random.default_rng(0)
    noise = [random.integers(0, 255, (90, 120, 3), dtype=np.uint8) for _ in range(40)]
    sound = tone(1.3, 44100)[None]
    path = write_clip(
        tmp_path / name, draw=lambda number: noise[number], video=video, sound=sound, audio=audio
    )
    read_frames(path, around=2, crop=1.0, size=8)
    break_it(path)
    with pytest.raises(UnreadableError, match=rf"{name}'.*({reason})"):
        read_frames(path, around=2, crop=1.0, size=8)


def test_damaged_sound(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.mp4", video=None, sound=tone(2.0, 44100)[None], audio="aac")
    read_sound(path, 8000)
    with pytest.raises(UnreadableError, match=r"a\.mp4' is damaged"):
        read_sound(damage(path), 8000)


def test_a_cut_wav(tmp_path: Path) -> None:
    path = cut(write_wav(tmp_path / "a.wav", tone(1.0, 8000), 8000))
    with pytest.raises(
        UnreadableError, match=r"a\.wav' is cut: it says that it has 16,044 bytes and has 8,022"
    ):
        read_sound(path, 8000)


def test_an_image_and_its_sizes(tmp_path: Path) -> None:
    path = tmp_path / "image.png"
    Image.fromarray(quarters(2)).save(path)
    image = read_image(path)
    assert image.shape == (3, 360, 480)
    assert image[:, 100, 200].tolist() == [255, 0, 0]
    small = resize(image, 36, 24)
    assert small.shape == (3, 36, 24)
    assert small[:, 10, 10].tolist() == [255, 0, 0]
    np.testing.assert_array_equal(decode_image(path, path.read_bytes()), image)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "bool"])
def test_an_image_of_numbers(tmp_path: Path, dtype: str) -> None:
    values = (np.arange(12).reshape(3, 4) * 5000 % 65536).astype(dtype)
    path = tmp_path / "depth.png"
    Image.fromarray(values).save(path)
    assert read_numbers(path).tolist() == values.tolist()
    assert decode_numbers(path, path.read_bytes()).tolist() == values.tolist()


def test_classes_by_palette_are_numbers(tmp_path: Path) -> None:
    image = Image.fromarray(np.array([[0, 7], [39, 255]], dtype="uint8"), mode="L").convert("P")
    image.putpalette(list(range(255, -1, -1)) * 3)
    image.save(tmp_path / "labels.png")
    assert read_numbers(tmp_path / "labels.png").tolist() == [[0, 7], [39, 255]]


def test_an_image_of_colours_is_no_numbers(tmp_path: Path) -> None:
    Image.fromarray(quarters(2)).save(tmp_path / "a.png")
    with pytest.raises(
        UnreadableError, match=r"a\.png' must have one number for each pixel; it has 3 channels"
    ):
        read_numbers(tmp_path / "a.png")


@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_broken_images_are_named_with_the_reason(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"image.{suffix}"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (50, 50, 3), dtype=np.uint8)).save(path)
    with pytest.raises(UnreadableError, match=rf"image\.{suffix}' is damaged or no image"):
        read_image(cut(path))


@pytest.mark.parametrize(
    ("package", "read"), [("av", lambda path: read_sound(path, 8000)), ("PIL", read_image)]
)
def test_a_missing_package_is_named_with_the_extra(monkeypatch, tmp_path, package, read) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    write_wav(tmp_path / "a.wav", tone(0.1, 8000), 8000)
    with pytest.raises(UserError, match=rf'package {package}: pip install .* "\.\[media\]"'):
        read(tmp_path / "a.wav")
