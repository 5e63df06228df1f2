"""GRID on small files of its format, damaged ones too, and on the real files."""

from pathlib import Path

import numpy as np
import pytest
import torch

from examples.data import load
from examples.data.contract import Modality, MultimodalData
from examples.data.place import Place
from examples.data.sets.grid import check_grid, load_grid
from examples.data.sets.grid_sound import Voice, cut, in_babble
from examples.errors import UserError
from tests.examples.data.grid_files import RATE, encoded, grid_arrays, packed, sentence, write_grid
from tests.support.real_data import real_data

pytest.importorskip("soundfile")
FEW = {"validation": 3, "test": 4}
Arrays = tuple[dict[str, np.ndarray], dict[str, np.ndarray]]


@pytest.fixture
def arrays() -> Arrays:
    return grid_arrays()


@pytest.fixture
def root(tmp_path: Path, arrays: Arrays) -> Path:
    write_grid(tmp_path / "grid", *arrays)
    return tmp_path / "grid"


def sounds(data: MultimodalData) -> torch.Tensor:
    """Return all sounds in decibels, in the order of the file."""
    parts = (data.train, data.validation, data.test)
    order = np.concatenate([data.split.train, data.split.validation, data.split.test])
    joined = torch.cat([part.everything().inputs["sound"] for part in parts])
    return data.in_units("sound", joined)[np.argsort(order)]


def test_protocol(root: Path):
    data = load("grid", Place(root), seed=0, options=FEW)
    assert data.modalities == {
        "video": Modality("image", (8, 24, 48)),
        "sound": Modality("sequence", (40, 51)),
    }
    assert (len(data.train), len(data.validation), len(data.test)) == (5, 3, 4)
    assert (len(data.classes), data.classes[12], data.classes[-1]) == (25, "m", "z")
    again, other = (load_grid(Place(root), seed=seed, **FEW) for seed in (0, 1))
    assert data.split.test.tolist() == again.split.test.tolist() != other.split.test.tolist()
    assert {data.names[place] for place in data.split.test} <= {f"s{number}" for number in range(12)}


@pytest.mark.parametrize(("word", "which"), [("letter", 0), ("digit", 1)])
def test_pictures_and_classes_are_those_of_the_word(root: Path, arrays: Arrays, word: str, which: int):
    data = load_grid(Place(root), word=word, **FEW)
    place = data.split.test
    batch = data.test.everything()
    assert batch.target.tolist() == arrays[0]["label"][place, which].tolist()
    pictures = data.in_units("video", batch.inputs["video"])
    torch.testing.assert_close(
        pictures, torch.as_tensor(arrays[0]["video"][place, which]).float(), atol=1e-3, rtol=0
    )


def test_the_sound_is_of_the_word(tmp_path: Path, arrays: Arrays):
    """A click in the middle of the letter of each sentence is in the middle of its spectrogram; none of the digit is heard."""
    video, audio = arrays
    wave = np.zeros(2 * RATE)
    first, last = video["bounds"][0, 3]
    middle = int((first + last + 1) / 2 * RATE / 25)
    wave[middle - 80 : middle + 80] = 0.5
    write_grid(tmp_path, video, packed([encoded(wave)] * 12, audio["ids"]))
    loudest = sounds(load_grid(Place(tmp_path), **FEW)).mean(dim=1).argmax(dim=1)
    assert loudest.tolist() == [25] * 12


def test_babble_has_the_power_that_it_should(root: Path, arrays: Arrays):
    voice = Voice(root / "grid_s1_audio.npz", arrays[0]["ids"], source="")
    word = cut(voice[5], RATE, RATE // 2)
    for snr in (-10.0, 0.0, 7.0):
        noise = in_babble(word, 5, voice, snr=snr).astype(np.float64) - word
        assert 10 * np.log10(np.square(word).mean() / np.square(noise).mean()) == pytest.approx(snr, abs=1e-3)
    spectrum = np.abs(np.fft.rfft(noise * np.hanning(len(noise))))
    heard = spectrum[[(300 + 40 * number) // 2 for number in range(12)]] > 0.1 * spectrum.max()
    assert heard.sum() == 8
    assert not heard[5], "its own sentence is no noise"
    assert np.array_equal(in_babble(word, 5, voice, snr=7.0), in_babble(word, 5, voice, snr=7.0))
    other = in_babble(word, 6, voice, snr=7.0) - word
    assert np.abs(other - noise).max() > 0.05


def test_with_fewer_sentences_voices_come_twice():
    waves = [sentence(number).astype(np.float32) for number in range(3)]
    word = cut(waves[0], RATE, RATE // 2)
    assert np.isfinite(in_babble(word, 0, waves, snr=0.0)).all()
    silent = [np.zeros(RATE, dtype=np.float32)] * 3
    assert np.array_equal(in_babble(word, 0, silent, snr=0.0), word)


def test_cut_is_silent_where_there_is_no_sound():
    wave = np.arange(1, 11, dtype=np.float32)
    assert cut(wave, 5, 4).tolist() == [4, 5, 6, 7]
    assert cut(wave, 0, 4).tolist() == [0, 0, 1, 2]
    assert cut(wave, 10, 6).tolist() == [8, 9, 10, 0, 0, 0]
    assert cut(wave, 99, 4).tolist() == [0, 0, 0, 0]


def test_babble_reaches_the_spectrogram_and_not_the_split(root: Path):
    clean, noisy = load_grid(Place(root), **FEW), load_grid(Place(root), snr=-10, **FEW)
    assert clean.split.train.tolist() == noisy.split.train.tolist()
    assert (sounds(noisy) - sounds(clean)).mean() > 3
    other = load_grid(Place(root), seed=3, snr=-10, **FEW)
    torch.testing.assert_close(sounds(other), sounds(noisy), atol=1e-3, rtol=1e-4)


def test_impossible_options(root: Path):
    with pytest.raises(UserError, match=r"`word` \(='colour'\) must be one of \['letter', 'digit'\]"):
        load_grid(Place(root), word="colour")
    with pytest.raises(
        UserError, match=r"`snr` \(=nan\) must be finite, decibels; without it there is no babble"
    ):
        load_grid(Place(root), snr=float("nan"))
    with pytest.raises(
        UserError, match=r"`validation` \(=100\) and `test` \(=300\) must leave some of 12 samples"
    ):
        load_grid(Place(root))


def test_nothing_there(tmp_path: Path):
    with pytest.raises(UserError, match=r"No 'grid_s1_video.npz' in .*zenodo.*--root"):
        load_grid(Place(tmp_path))


@pytest.mark.parametrize("name", ["video", "audio"])
def test_one_file_is_missing(root: Path, name: str):
    (root / f"grid_s1_{name}.npz").unlink()
    with pytest.raises(UserError, match=rf"No file at '.*grid_s1_{name}.npz'. Expected .*zenodo"):
        load_grid(Place(root), **FEW)


@pytest.mark.parametrize(
    ("array", "value", "words"),
    [
        ("label", np.full((12, 2), 10), "column 1 of array `label`, the digit, must hold 0 to 9"),
        ("label", np.full((12, 2), -1), "column 0 of array `label`, the letter, must hold 0 to 24"),
        ("bounds", np.zeros((12, 5, 2)), r"array `bounds` has shape \(12, 5, 2\), not \(n, 6, 2\)"),
    ],
)
def test_wrong_video(tmp_path: Path, arrays: Arrays, array: str, value: np.ndarray, words: str):
    write_grid(tmp_path, {**arrays[0], array: value}, arrays[1])
    with pytest.raises(UserError, match=words):
        load_grid(Place(tmp_path), **FEW)


@pytest.mark.parametrize(
    ("array", "change", "words"),
    [
        ("ids", lambda ids: ids[::-1], "array `ids` must name the sentences of the video, in the same order"),
        ("offset", lambda offset: offset[:-1], "array `offset` must hold 13 growing numbers, from 0 to the "),
        ("offset", lambda offset: offset[::-1], "array `offset` must hold 13 growing numbers"),
        ("opus", lambda opus: opus[:-5], "array `offset` must hold 13 growing numbers"),
    ],
)
def test_wrong_audio(tmp_path: Path, arrays: Arrays, array: str, change, words: str):
    write_grid(tmp_path, arrays[0], {**arrays[1], array: change(arrays[1][array])})
    with pytest.raises(UserError, match=words):
        load_grid(Place(tmp_path), **FEW)


def test_damaged_sounds_are_named_or_left_out(tmp_path: Path, arrays: Arrays):
    video, audio = arrays
    good = [encoded(sentence(number)) for number in range(12)]
    good[3] = b"\0" * 100
    good[7] = encoded(sentence(7)[::2], 8000)
    write_grid(tmp_path, video, packed(good, audio["ids"]))
    with pytest.raises(UserError) as error:
        load_grid(Place(tmp_path), **FEW)
    text = str(error.value)
    assert "2 of 12 samples cannot be read" in text
    assert "sound 3 is damaged (" in text
    assert "sound 7 has 16000 samples, 8000 a second; it must have some, 16000 a second" in text
    data = load_grid(Place(tmp_path, on_error="skip"), **FEW)
    assert list(data.left_out) == ["s3", "s7"]
    batch = data.test.everything()
    kept = [number for number in range(12) if number not in (3, 7)]
    assert batch.target.tolist() == [kept[place] for place in data.split.test]


def test_check(root: Path):
    findings = check_grid(Place(root))
    assert {finding.what: (finding.found, finding.good) for finding in findings[1:]} == {
        "grid_s1_video.npz": ("10", True),
        "content of some samples": ("8 good", True),
    }
    assert [finding.found for finding in findings[1:4]] == ["12", "12", "10"]


def test_real_files():
    place = Place(real_data("grid_s1"))
    assert all(finding.good for finding in check_grid(place))


@pytest.mark.slow
def test_real_sound_at_minus_ten_decibels(tmp_path: Path):
    data = load_grid(Place(real_data("grid_s1"), tmp_path), snr=-10)
    assert (len(data.train), len(data.validation), len(data.test)) == (600, 100, 300)
    assert data.train.target.bincount().min() > 10
    batch = data.train.everything()
    assert {name: tuple(values.shape[1:]) for name, values in batch.inputs.items()} == {
        "video": (8, 24, 48),
        "sound": (40, 51),
    }
