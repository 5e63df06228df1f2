"""MNIST with spoken digits: both sources of the sound, both splits, damaged files, the energy of the images."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from examples.data import load
from examples.data.contract import Modality, MultimodalData
from examples.data.place import Place
from examples.data.reading.energy import EnergyReduction
from examples.data.reading.files import UnreadableError
from examples.data.sets.av_digits import check_av_digits, load_av_digits
from examples.data.sets.fsdd import Spectrogram, read_fsdd
from examples.data.sets.mnist import read_mnist
from examples.errors import UserError
from tests.examples.data.digit_files import (
    RATE,
    SPEAKERS,
    mnist_arrays,
    write_fsdd_npz,
    write_fsdd_wav,
    write_mnist_npz,
    write_wav,
)
from tests.support.real_data import real_data

FEW = {"pairs": 100, "validation_pairs": 20, "test_pairs": 40, "energy": 0.5}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("av-digits")
    for name in ("npz", "wav"):
        write_mnist_npz(folder / name, mnist_arrays())
    write_fsdd_npz(folder / "npz")
    write_fsdd_wav(folder / "wav")
    return folder


@pytest.fixture(scope="module")
def data(made: Path) -> MultimodalData:
    return load("av-digits", Place(made / "npz"), seed=0, options=FEW)


def speakers(data: MultimodalData) -> list[set[str]]:
    return [{data.names[position].split("_")[1] for position in part} for part in vars(data.split).values()]


def variance(images: np.ndarray) -> float:
    return float(images.reshape(len(images), -1).var(axis=0, dtype=np.float64).sum())


def test_shapes_and_counts(data: MultimodalData):
    assert data.modalities == {
        "image": Modality("image", (1, 32, 32)),
        "sound": Modality("image", (1, 32, 32)),
    }
    parts = [part for part in (data.train, data.validation, data.test) if part is not None]
    assert [part.target.bincount().tolist() for part in parts] == [[10] * 10, [2] * 10, [4] * 10]


def test_names_and_labels_tell_the_pair(data: MultimodalData):
    mnist, spoken = zip(*(name.split(", ") for name in data.names), strict=True)
    targets = torch.cat([data.train.target, data.validation.target, data.test.target]).tolist()
    assert [int(name.split()[1]) % 10 for name in mnist] == targets
    assert [int(name.removeprefix("fsdd ")[0]) for name in spoken] == targets
    heard = [SPEAKERS[number] for number in data.train.labels["speaker"]]
    assert heard == [spoken[position].split("_")[1] for position in data.split.train]


def test_unseen_speakers_are_drawn(made: Path, data: MultimodalData):
    train, validation, test = speakers(data)
    assert (len(train), len(validation), len(test)) == (2, 1, 1)
    assert train | validation | test == set(SPEAKERS)
    assert {
        tuple(speakers(load_av_digits(Place(made / "npz"), seed=seed, **FEW))[2]) for seed in range(3)
    } > {tuple(test)}


def test_unseen_speakers_are_named(made: Path):
    data = load_av_digits(Place(made / "npz"), validation_speakers=["bob"], test_speakers=["ada"], **FEW)
    assert speakers(data) == [{"cleo", "dan"}, {"bob"}, {"ada"}]


def test_speakers_take_turns(made: Path):
    turns = [
        speakers(load_av_digits(Place(made / "npz"), seed=seed, split="turns", **FEW)) for seed in range(5)
    ]
    assert [parts[2] for parts in turns] == [{"ada"}, {"bob"}, {"cleo"}, {"dan"}, {"ada"}]
    assert [parts[1] for parts in turns] == [{"bob"}, {"cleo"}, {"dan"}, {"ada"}, {"bob"}]
    assert all(set.union(*parts) == set(SPEAKERS) for parts in turns)


def test_some_speakers_only(made: Path):
    options = FEW | {"split": "takes", "validation_pairs": 0, "test_pairs": 10, "pairs": 10}
    some = load_av_digits(Place(made / "npz"), speakers=["dan", "bob"], **options)
    assert set.union(*speakers(some)) == {"bob", "dan"}
    heard = {SPEAKERS[number] for number in some.train.labels["speaker"]}
    assert heard == speakers(some)[0], "numbers are those of all speakers"
    with pytest.raises(
        UserError, match=r"`speakers` \(=\['eve'\]\) must be some of \['ada', 'bob', 'cleo', 'dan'\]"
    ):
        load_av_digits(Place(made / "npz"), speakers=["eve"], **FEW)


def test_no_validation_speaker(made: Path):
    options = FEW | {"validation_pairs": 0, "test_speakers": ["dan"]}
    data = load_av_digits(Place(made / "npz"), **options)
    assert data.validation is None
    assert speakers(data) == [{"ada", "bob", "cleo"}, set(), {"dan"}]


def test_speaker_that_is_not_there(made: Path):
    with pytest.raises(
        UserError, match=r"must be groups that are there .* there are \['ada', 'bob', 'cleo', 'dan'\]"
    ):
        load_av_digits(Place(made / "npz"), validation_speakers=["bob"], test_speakers=["eve"])


def test_official_takes(made: Path):
    data = load_av_digits(Place(made / "npz"), split="takes", **FEW)
    takes = [
        {int(data.names[position].split("_")[2]) for position in part} for part in vars(data.split).values()
    ]
    assert takes == [{10, 11}, {5, 6, 7, 8, 9}, {0, 1, 2, 3, 4}]
    assert speakers(data)[2] == set(SPEAKERS)


@pytest.mark.parametrize(
    "options",
    [{"split": "digits"}, *({"split": name, "test_speakers": ["ada"]} for name in ("takes", "turns"))],
)
def test_impossible_split(made: Path, options: dict[str, object]):
    with pytest.raises(
        UserError, match=r"`split` \(='.*'\) must be 'speakers', 'turns' or 'takes', and only with 'speak"
    ):
        load_av_digits(Place(made / "npz"), **options)


def test_both_sources_make_the_same_sounds(made: Path, tmp_path: Path):
    (arrays, none), (files, _) = (
        read_fsdd(Place(made / "npz")),
        read_fsdd(Place(made / "wav", cache=tmp_path)),
    )
    assert not none
    order = [np.lexsort((clips.takes, clips.speakers, clips.digits)) for clips in (arrays, files)]
    for one, other in zip(arrays, files, strict=True):
        assert one.dtype.kind == other.dtype.kind
        assert np.array_equal(one[order[0]], other[order[1]])
    assert len(list(tmp_path.glob("fsdd-*/*.record"))) == 480


def test_spectrogram_shows_pitch_and_time():
    time = np.arange(RATE // 4) / RATE
    low, high = (np.sin(2 * np.pi * pitch * time).astype("float32") for pitch in (300, 3000))
    spectrogram = Spectrogram()
    maps = spectrogram(np.concatenate([low, high]))
    assert maps.shape == (1, 32, 32)
    assert (maps.max(), maps.min()) == (0, -80)
    loudest = maps[0].argmax(axis=0)
    assert (loudest[6:15] < 8).all()
    assert (loudest[17:26] > 20).all()
    assert (maps[0][:, [0, 1, -2, -1]] == -80).all()
    assert np.allclose(spectrogram(0.1 * np.concatenate([low, high])), maps, atol=1e-3)


def test_spectrogram_of_a_long_sound_is_its_centre():
    sound = np.random.default_rng(0).normal(size=RATE).astype("float32")
    margin = (RATE - 31 * 192) // 2
    assert np.array_equal(Spectrogram()(sound), Spectrogram()(sound[margin : margin + 31 * 192]))


@pytest.fixture
def damaged(made: Path, tmp_path: Path) -> Path:
    root = tmp_path / "wav"
    shutil.copytree(made / "wav", root)
    recordings = root / "recordings"
    (recordings / "3_ada_0.wav").write_bytes(b"no sound")
    write_wav(recordings / "4_ada_0.wav", np.empty(0))
    (recordings / "5_ada_0.wav").rename(recordings / "ada_5.wav")
    return root


def test_bad_files_are_named_with_their_reasons(damaged: Path):
    with pytest.raises(UnreadableError) as error:
        load_av_digits(Place(damaged), **FEW)
    assert "1 of 480 samples cannot be read (their size or first bytes are wrong, nothing was" in str(
        error.value
    )
    assert "3_ada_0.wav' does not begin as a wav file does" in str(error.value)
    assert not (damaged / "maskfusion-cache").exists()
    (damaged / "recordings" / "3_ada_0.wav").unlink()
    with pytest.raises(UnreadableError) as error:
        load_av_digits(Place(damaged), **FEW)
    for words in ("2 of 479", "4_ada_0: ", "ada_5.wav' must have a name like 7_theo_42.wav"):
        assert words in str(error.value)


def test_bad_files_are_left_out(damaged: Path):
    place = Place(damaged, on_error="skip")
    clips, left_out = read_fsdd(place)
    assert sorted(left_out) == ["3_ada_0", "4_ada_0", "ada_5"]
    assert len(clips.digits) == 477
    assert np.bincount(clips.digits).tolist() == [48, 48, 48, 47, 47, 47, 48, 48, 48, 48]
    data = load_av_digits(place, **FEW)
    assert len(data.train) == 100
    assert data.left_out == left_out


def test_missing_sound(made: Path, tmp_path: Path):
    shutil.copy(made / "npz" / "mnist.npz", tmp_path)
    for function in (load_av_digits, check_av_digits):
        with pytest.raises(
            UserError, match=r"No 'fsdd.npz' and no folder 'recordings' with wav files in '.*Jakobovski"
        ):
            function(Place(tmp_path))


def test_npz_that_disagrees_with_itself(made: Path, tmp_path: Path):
    with np.load(made / "npz" / "fsdd.npz") as file:
        arrays = dict(file)
    for change in (
        {"wave": arrays["wave"][:-1]},
        {"digit": arrays["digit"] + 1},
        {"speaker": arrays["speaker"] + 1},
        {"length": arrays["length"] * 0},
    ):
        np.savez(tmp_path / "fsdd.npz", **(arrays | change))
        with pytest.raises(
            UserError, match=r"the lengths must be above 0 and add up to the [0-9]+ int16 samples"
        ):
            read_fsdd(Place(tmp_path))
    np.savez(tmp_path / "fsdd.npz", **(arrays | {"wave": arrays["wave"] / np.float32(32768)}))
    with pytest.raises(
        UserError, match=r"array `wave` must hold whole numbers from -32768 to 32767; it holds"
    ):
        read_fsdd(Place(tmp_path))


@pytest.mark.parametrize("source", ["npz", "wav"])
def test_check_counts(made: Path, source: str):
    found = [(finding.what, finding.found) for finding in check_av_digits(Place(made / source))]
    assert found[:6] == [
        ("folder", str(made / source)),
        ("MNIST, training", "400"),
        ("MNIST, test", "60"),
        ("folder", str(made / source)),
        ("FSDD", "480"),
        ("FSDD", "4"),
    ]
    looked = [("FSDD: size and first bytes", "480 good"), ("content of some samples", "8 good")]
    assert found[6:] == (looked if source == "wav" else [])
    assert not list((made / source).glob("maskfusion-cache"))


@pytest.mark.parametrize("share", [0.1, 0.25, 0.7, 1.0])
def test_energy_left_is_what_was_asked(share: float):
    images = np.random.default_rng(0).integers(0, 255, (300, 6, 5), dtype="uint8")
    reduced = EnergyReduction(images, share)(images)
    assert reduced.dtype == np.float32
    assert variance(reduced) / variance(images) == pytest.approx(share, rel=1e-4)
    assert np.allclose(reduced.mean(axis=0), images.mean(axis=0), atol=1e-3)


def test_energy_that_is_left_is_the_coarsest():
    """Of a direction with much energy and one with little, the first survives."""
    weights = np.random.default_rng(0).normal(size=(500, 2))
    large, small = np.zeros((2, 4, 4))
    large[0], small[3] = 10, 1
    images = weights[:, :1, None] * large + weights[:, 1:, None] * small
    reduced = EnergyReduction(images, 0.9)(images)
    assert reduced[:, 0].var() > 0.85 * images[:, 0].var()
    assert reduced[:, 3].var() < 0.05 * images[:, 3].var()


@pytest.mark.parametrize("share", [0.0, 1.5])
def test_impossible_energy(share: float):
    with pytest.raises(UserError, match=r"`share` \(=.*\) must be above 0 and at most 1"):
        EnergyReduction(np.zeros((2, 3, 3)), share)


def test_energy_is_fitted_on_training_images(made: Path, data: MultimodalData):
    """And with all energy left the images are MNIST itself."""
    mnist = read_mnist(Place(made / "npz"))
    numbers = [int(name.split(",")[0].removeprefix("mnist ")) for name in data.names]
    expected = EnergyReduction(mnist.values[mnist.split.train], 0.5)(mnist.values[numbers])
    whole = load_av_digits(Place(made / "npz"), **FEW | {"energy": 1.0})
    for loaded, images in ((data, expected), (whole, mnist.values[numbers].astype("float32"))):
        train = images[loaded.split.train]
        scaled = (images[loaded.split.test] - train.mean()) / train.std()
        found = loaded.test.everything().inputs["image"][:, 0, 2:-2, 2:-2]
        slope = np.polyfit(scaled.ravel(), found.numpy().ravel(), 1)
        assert np.allclose(np.polyval(slope, scaled), found, atol=1e-4)


def test_real_files():
    place = Place(real_data("digits"))
    assert all(finding.good for finding in check_av_digits(place))
    data = load_av_digits(place, split="takes", pairs=300)
    assert (len(data.train), len(data.test)) == (300, 5000)
    assert data.test.labels["speaker"].unique().tolist() == [0, 1, 2, 3, 4, 5]
