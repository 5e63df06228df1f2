"""CREMA-D from small files of its formats and layout, and from six real clips."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from examples.data import load
from examples.data.place import Finding, Place
from examples.data.reading import clips
from examples.data.reading.files import UnreadableError
from examples.data.reading.media import read_sound
from examples.data.reading.spectrogram import MelSpectrogram, fit
from examples.data.sets.crema_d import CATEGORIES, CLASSES, FAULTY, check_crema_d, load_crema_d, parse
from examples.errors import UserError
from tests.examples.data.clip_files import tone, write_clip
from tests.examples.data.crema_d_files import EMOTIONS, NAMES, write_lists
from tests.support.real_data import real_data


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Thirty clips by five actors, in the layout of the repository."""
    root = tmp_path_factory.mktemp("whole")
    write_lists(root, NAMES)
    for number, name in enumerate(NAMES):
        sound = tone(1.5, 44100, 300 + 50 * number)[None]
        write_clip(root / "VideoFlash" / f"{name}.flv", sound=sound)
    return root


def test_a_batch(whole: Path) -> None:
    data = load("crema-d", Place(whole), seed=0, options={})
    assert {name: modality.shape for name, modality in data.modalities.items()} == {
        "color": (3, 128, 128),
        "audio": (1, 256, 256),
    }
    assert data.classes == CLASSES == ("anger", "disgust", "fear", "happy", "neutral", "sad")
    assert data.names == tuple(NAMES)
    batch = next(iter(data.train.loader(8, seed=1)))
    assert batch.inputs["color"].shape == (8, 3, 128, 128)
    assert batch.inputs["audio"].shape == (8, 1, 256, 256)
    assert {values.dtype for values in batch.inputs.values()} == {torch.float32}
    everything = data.train.everything()
    for values in everything.inputs.values():
        assert values.mean(dim=(0, 2, 3)).abs().max() < 1e-3
    expected = [CLASSES[EMOTIONS.index(NAMES[position][9:12])] for position in data.split.train]
    assert [CLASSES[number] for number in everything.target.tolist()] == expected


def test_the_published_scale(whole: Path) -> None:
    data = load_crema_d(Place(whole), standardise=False)
    test = data.test.everything()
    np.testing.assert_allclose(test.inputs["color"], (40 + 4 * 20) / 255, atol=0.01)
    for row, position in enumerate(data.split.test.tolist()):
        decibels = fit(MelSpectrogram(44100)(tone(1.5, 44100, 300 + 50 * position).astype("float32")), 256)
        loudest = decibels.mean(axis=1).argmax()
        found = test.inputs["audio"][row, 0].numpy()
        assert found.mean(axis=1).argmax() == loudest
        assert found[loudest, 100:150].mean() == pytest.approx(decibels[loudest, 100:150].mean(), abs=1)


def test_the_middle_frame_is_scored_and_any_near_it_learned_from(whole: Path) -> None:
    data = load_crema_d(Place(whole), standardise=False)

    def numbers(color: torch.Tensor) -> set[int]:
        return {round((float(frame.mean()) * 255 - 40) / 4) for frame in color}

    assert numbers(data.test.everything().inputs["color"]) == {20}
    assert data.validation is not None
    assert numbers(data.validation.everything().inputs["color"]) == {20}
    loader = data.train.loader(24, seed=3)
    epochs = []
    for epoch in range(6):
        loader.sampler.set_epoch(epoch)
        epochs.append(torch.cat([batch.inputs["color"] for batch in loader]))
    seen = set().union(*(numbers(epoch) for epoch in epochs))
    assert min(seen) == 5
    assert max(seen) == 35
    loader.sampler.set_epoch(2)
    assert torch.equal(torch.cat([batch.inputs["color"] for batch in loader]), epochs[2])


def test_side_labels(whole: Path) -> None:
    data = load_crema_d(Place(whole))
    labels = data.train.labels
    assert sorted(labels) == ["actor", "age", "ethnicity", "level", "race", "sentence", "sex"]
    assert {values.dtype for values in labels.values()} == {torch.int64}
    for row, position in enumerate(data.split.train.tolist()):
        actor = int(NAMES[position][:4])
        said = {name: int(values[row]) for name, values in labels.items()}
        assert (said["actor"], CATEGORIES["sentence"][said["sentence"]]) == (actor, "DFA")
        assert CATEGORIES["level"][said["level"]] == "XX"
        if actor == 1002:
            assert said["age"] == 21
            assert [CATEGORIES[name][said[name]] for name in ("sex", "race", "ethnicity")] == [
                "Female",
                "Asian",
                "Hispanic",
            ]
        elif actor == 1004:
            assert said["ethnicity"] == -1  # not said
        elif actor == 1005:
            assert [said[name] for name in ("age", "sex", "race", "ethnicity")] == [-1] * 4  # not listed


def test_random_splits(whole: Path) -> None:
    first, again, other = (load_crema_d(Place(whole), seed=seed).split for seed in (0, 0, 1))
    assert [len(part) for part in (first.train, first.validation, first.test)] == [24, 3, 3]
    assert first.test.tolist() == again.test.tolist() != other.test.tolist()
    names = [str(number) for number in range(7442)]
    published = clips.split_clips("random", names, [], {}, seed=0)
    assert [len(part) for part in (published.train, published.validation, published.test)] == [5954, 744, 744]
    without = clips.split_clips("random", names[4:], [], {}, seed=0)
    assert [len(part) for part in (without.train, without.validation, without.test)] == [5950, 744, 744]


def test_no_speaker_is_in_two_parts(whole: Path) -> None:
    data = load_crema_d(Place(whole), split="speakers")
    assert data.validation is not None
    parts = [set(part.labels["actor"].tolist()) for part in (data.train, data.validation, data.test)]
    assert [len(part) for part in parts] == [3, 1, 1]
    assert len(set().union(*parts)) == 5


def test_a_split_as_a_file(whole: Path, tmp_path: Path) -> None:
    data = load_crema_d(Place(whole), seed=5)
    path = tmp_path / "split.json"
    data.split.write(path, data.names)
    again = load_crema_d(Place(whole), split=str(path))
    for part in ("train", "validation", "test"):
        assert getattr(again.split, part).tolist() == getattr(data.split, part).tolist()
    assert json.loads(path.read_text())["test"] == [NAMES[position] for position in data.split.test]


def test_an_unknown_split(whole: Path) -> None:
    with pytest.raises(UserError, match=r"`split` \(='speaker'\) must be 'random', 'speakers' or the path"):
        load_crema_d(Place(whole), split="speaker")


def test_real_clips(tmp_path: Path) -> None:
    """Six clips as they are given out: VP6 at 29.97 a second, 480 x 360, with sound in mp3."""
    real = real_data("crema_d/clips")
    for folder, suffix in (("VideoFlash", ".flv"), ("AudioWAV", ".wav")):
        (tmp_path / folder).mkdir()
        for path in real.glob(f"1001*{suffix}"):
            (tmp_path / folder / path.name).symlink_to(path)
    data = load_crema_d(Place(tmp_path), standardise=False)
    assert sorted(name.split("_")[2] for name in data.names) == sorted(EMOTIONS)
    assert not data.left_out
    everything = data.train.everything()
    color, audio = everything.inputs["color"], everything.inputs["audio"]
    wall, face = (
        color[:, :, rows, columns].mean(dim=(0, 2, 3))
        for rows, columns in ((slice(20),) * 2, (slice(50, 80),) * 2)
    )
    assert wall.argmax() == 1, "the wall is green"
    assert face[0] > face[1] > face[2], "the face is not"
    assert color.std(dim=(2, 3)).min() > 0.05
    assert (audio.amax(dim=(1, 2, 3)) - audio.amin(dim=(1, 2, 3)) > 60).all()
    assert sampled_good(check_crema_d(Place(tmp_path)))
    one = data.names[0]
    track, wav = (
        read_sound(tmp_path / f / f"{one}.{e}", 16000)
        for f, e in (("VideoFlash", "flv"), ("AudioWAV", "wav"))
    )
    assert len(track) / 16000 == pytest.approx(len(wav) / 16000, abs=0.2)


def sampled_good(findings: list[Finding]) -> bool:
    looked = [finding for finding in findings if "first bytes" in finding.what or "content" in finding.what]
    return len(looked) == 3 and all(finding.good for finding in looked)


def test_names() -> None:
    assert parse("1091_WSI_SAD_XX") == (1091, 11, 5, 3)
    assert parse("1001_IEO_ANG_LO") == (1001, 0, 0, 0)
    assert all(parse(name) for name in FAULTY)
    for name in ("1001_DFA_ANG", "DFA_ANG_XX_1001", "1001_DFA_ANG_XX_2", "1001_DFA_ANG_X", "", "clip"):
        with pytest.raises(UnreadableError, match="does not say actor, sentence, emotion and level"):
            parse(name)
