"""How samples are drawn and heard: sizes, colours, joints, sounds."""

import io
import re

import numpy as np
import pytest
from matplotlib.image import imread
from scipy.io import wavfile

from examples.data import DATA_SETS
from examples.pictures import BY_KIND, DRAWN, Overlay, drawing
from examples.pictures.images import Frames, Image
from examples.pictures.joints import KINECT, PENN, Body, Skeleton
from examples.pictures.sound import Sound, digit_sound

random = np.random.default_rng(0)


def pixels(png: bytes) -> np.ndarray:
    return imread(io.BytesIO(png))[..., :3]


def test_a_skeleton_as_a_sequence_is_drawn_as_one_as_a_map():
    maps = random.normal(size=(3, 3, 48, 20)).astype(np.float32)
    sequences = maps.transpose(0, 3, 1, 2).reshape(3, 60, 48)
    figure = drawing("utd-mhad", "skeleton", "sequence")
    assert figure.draw(sequences, sequences) == figure.draw(maps, maps)


def test_every_drawing_is_of_a_data_set_that_there_is():
    assert {name for name, _ in DRAWN} <= set(DATA_SETS)
    assert drawing("av-digits", "image", "image") is BY_KIND["image"]
    assert isinstance(drawing("av-digits", "sound", "image"), Sound)


def test_one_channel_goes_from_dark_to_bright_over_the_range_of_the_inputs():
    values = np.linspace(0, 255, 64, dtype=np.float32).reshape(1, 1, 8, 8)
    (picture,) = Image().draw(values, values)
    image = pixels(picture.png)
    assert image.shape == (8, 8, 3)
    assert (image[0, 0] < 0.02).all()
    assert (image[-1, -1] > 0.98).all()
    (brighter,) = Image().draw(values + 1000, values)
    assert (pixels(brighter.png) == 1).all()


def test_three_channels_are_a_colour():
    values = np.zeros((1, 3, 4, 4), dtype=np.float32)
    values[:, 0] = 1
    (picture,) = Image().draw(values, np.concatenate([values, 1 - values]))
    assert np.allclose(pixels(picture.png), (1, 0, 0), atol=0.01)


def test_frames_stand_side_by_side():
    values = random.normal(size=(2, 16, 8, 6)).astype(np.float32)
    pictures = Frames(count=4).draw(values, values)
    assert [pixels(picture.png).shape for picture in pictures] == [(8, 24, 3)] * 2
    assert pictures[0].aspect == 3


@pytest.mark.parametrize(("shape", "lines"), [((5,), 1), ((3, 20), 3), ((9, 20), 6)])
def test_curves(shape: tuple[int, ...], lines: int):
    values = random.normal(size=(2, *shape)).astype(np.float32)
    pictures = BY_KIND["vector"].draw(values, values)
    assert [picture.lines.count("<polyline") for picture in pictures] == [lines] * 2
    assert len(re.findall(r'points="([^"]*)"', pictures[0].lines)[0].split()) == shape[-1]


@pytest.mark.parametrize("body", [KINECT, PENN])
def test_every_joint_has_a_bone(body: Body):
    joints = {joint for pair in (*body.trunk, *body.left, *body.right) for joint in pair}
    assert joints == set(range(body.joints))
    assert len(body.left) == len(body.right)


@pytest.mark.parametrize(("down", "higher"), [(False, 1), (True, 0)])
def test_skeletons_stand_upright(down: bool, higher: int):
    body = Body(2, ((0, 1),), (), ())
    values = np.zeros((1, 2, 8, 2), dtype=np.float32)
    values[:, 1, :, 1] = 1.0  # y of the second joint
    values[:, 0, :, 1] = 0.5
    (picture,) = Skeleton(body, moments=8, down=down, count=3).draw(values, values)
    bones = re.findall(r"M[\d.]+ ([\d.]+)L[\d.]+ ([\d.]+)", picture.lines)
    assert len(bones) == 3
    heights = [float(height) for height in bones[0]]
    assert heights.index(min(heights)) == higher
    assert max(heights) < picture.box[3]


def test_skeletons_come_back_from_the_size_of_the_network():
    clip = np.zeros((1, 3, 32, 32), dtype=np.float32)
    clip[:, 0] = np.linspace(0, 1, 32)  # x grows with the joint
    clip[:, 1] = np.linspace(0, 1, 32)[:, None]
    (picture,) = Skeleton(KINECT, moments=48).draw(clip, clip)
    assert picture.lines.count('class="head"') == 4
    assert picture.lines.count("M") == 4 * 19


def test_nobody_is_cut_off():
    values = np.full((1, 2, 8, 20), 0.5, dtype=np.float32)
    values[:, 1] = np.linspace(0.0, 0.6, 20)
    values[0, 1, 1, 0] = 1.8  # a head, once, high above all else
    (picture,) = Skeleton(KINECT, moments=8, count=4).draw(values, values)
    heads = [float(height) for height in re.findall(r'cy="(-?[\d.]+)"', picture.lines)]
    assert len(heads) == 4
    assert min(heads) > 4  # the radius of a head


def test_joints_that_were_not_seen_are_left_out():
    values = np.full((1, 2, 8, 13), 0.5, dtype=np.float32)
    values[:, 1] = np.linspace(0.2, 0.9, 13)
    values[:, :, :, [5, 11]] = 0.01  # left wrist and ankle
    (picture,) = Skeleton(PENN, moments=8, down=True, count=2, unseen=0.06).draw(values, values)
    assert picture.lines.count("M") == 2 * (14 - 2)
    assert picture.lines.count("<circle") == 2
    (nothing,) = Skeleton(PENN, moments=8, unseen=0.06).draw(0 * values, 0 * values)
    assert nothing.lines == ""


def test_sound_is_heard_as_long_and_as_high_as_it_was():
    mel = digit_sound()
    tone = np.sin(2 * np.pi * 1000 * np.arange(192 * 31) / 8000).astype(np.float32)
    values = mel(tone)[None, None]
    first, again = (Sound(digit_sound).draw(values, values)[0] for _ in range(2))
    assert first == again
    rate, heard = wavfile.read(io.BytesIO(first.wav))
    assert first.wav[:4] == b"RIFF"
    assert (rate, heard.dtype, heard.shape) == (8000, np.int16, (192 * 31,))
    assert 0.85 * 32767 < np.abs(heard).max() <= 0.9 * 32767 + 1
    spectrum = np.abs(np.fft.rfft(heard / 32767))
    assert abs(np.fft.rfftfreq(len(heard), 1 / 8000)[spectrum.argmax()] - 1000) < 60
    assert pixels(first.png).shape == (32, 32, 3)


def test_silence_is_silent_and_finite():
    values = np.full((1, 1, 32, 32), -80, dtype=np.float32)
    _, heard = wavfile.read(io.BytesIO(Sound(digit_sound).draw(values, values)[0].wav))
    assert np.isfinite(heard).all()


def test_overlay_colours_classes_but_the_first_and_what_is_not_scored():
    classes = np.array([[[0, 1], [2, -100]]])
    below = np.array([[[[0.0, 0.0], [0.0, 1.0]]]], dtype=np.float32)
    overlay = Overlay()
    (picture,) = overlay.draw(classes, below)
    image = pixels(picture.png)
    grey = image.max(axis=-1) == image.min(axis=-1)
    assert grey.tolist() == [[True, False], [False, True]]
    assert overlay.colour(0) is None
    assert overlay.colour(1) != overlay.colour(2)
