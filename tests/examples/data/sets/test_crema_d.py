"""CREMA-D from small files of its formats and layout."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from examples.data import load
from examples.data.place import Place
from examples.data.reading import clips
from examples.data.reading.cache import UnreadableError
from examples.data.reading.spectrogram import MelSpectrogram, fit
from examples.data.sets.crema_d import CATEGORIES, CLASSES, FAULTY, check_crema_d, load_crema_d, parse
from tests.examples.data.clip_files import cut, damage, tone, write_clip, write_wav

EMOTIONS = ("ANG", "DIS", "FEA", "HAP", "NEU", "SAD")
NAMES = [f"{actor}_DFA_{emotion}_XX" for actor in range(1001, 1006) for emotion in EMOTIONS]
PEOPLE = """"ActorID","Age","Sex","Race","Ethnicity"
1001,51,"Male","Caucasian","Not Hispanic"
1002,21,"Female","Asian","Hispanic"
1003,21,"Female","African American","Not Hispanic"
1004,42,"Female","Unknown",
"""


def write_lists(root: Path, names: Sequence[str]) -> None:
    rows = [f'{number},"{name}"' for number, name in enumerate(names, start=1)]
    (root / "SentenceFilenames.csv").write_text("\n".join(['"Stimulus_Number","Filename"', *rows]))
    (root / "VideoDemographics.csv").write_text(PEOPLE)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Thirty clips by five actors, in the layout of the repository."""
    root = tmp_path_factory.mktemp("whole")
    write_lists(root, NAMES)
    for number, name in enumerate(NAMES):
        sound = tone(1.5, 44100, 300 + 50 * number)[None]
        write_clip(root / "VideoFlash" / f"{name}.flv", sound=sound)
    return root


@pytest.fixture
def few(tmp_path: Path) -> Path:
    """Twelve clips by two actors, for tests that break them."""
    write_lists(tmp_path, NAMES[:12])
    for name in NAMES[:12]:
        write_clip(tmp_path / "VideoFlash" / f"{name}.flv", sound=tone(1.5, 44100)[None])
    return tmp_path


def clip(root: Path, name: str) -> Path:
    return root / "VideoFlash" / f"{name}.flv"


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
    published = clips.split_clips("random", [], [], np.arange(7442), seed=0)
    assert [len(part) for part in (published.train, published.validation, published.test)] == [5954, 744, 744]


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
    with pytest.raises(ValueError, match=r"`split` \(='speaker'\) must be 'random', 'speakers' or the path"):
        load_crema_d(Place(whole), split="speaker")


def test_a_mute_clip_gets_the_sound_of_its_wav(few: Path) -> None:
    for name in NAMES[:12]:
        write_clip(clip(few, name))
        write_wav(few / "AudioWAV" / f"{name}.wav", tone(1.5, 16000, 1000), 16000)
    data = load_crema_d(Place(few), standardise=False)
    expected = fit(MelSpectrogram(44100)(tone(1.5, 44100, 1000).astype("float32")), 256)
    found = data.train.everything().inputs["audio"][0, 0].numpy()
    assert found.mean(axis=1).argmax() == expected.mean(axis=1).argmax()


def break_files(root: Path) -> dict[str, str]:
    """Return why each clip that was broken cannot be read."""
    names = NAMES[:12]
    damage(clip(root, names[0]))
    clip(root, names[1]).write_bytes(b"")
    cut(clip(root, names[2]), 0.3)
    clip(root, names[3]).unlink()
    write_clip(clip(root, names[4]))
    clip(root, names[5]).rename(clip(root, "1001_DFA_SAID_XX"))
    write_clip(clip(root, names[6]), sound=tone(0.02, 44100)[None], audio="pcm_s16le")
    return {
        names[0]: "is cut or damaged: there are no pictures in",
        names[1]: "is empty",
        names[2]: "is cut or damaged: there are no pictures in",
        names[3]: "cannot be opened (No such file or directory)",
        names[4]: "has no sound track",
        names[5]: "cannot be opened (No such file or directory)",
        "1001_DFA_SAID_XX": "the name does not say actor, sentence, emotion and level, as 1001_DFA_ANG_XX does",
        names[6]: "has only 0.0",
    }


def test_files_that_cannot_be_read_are_named(few: Path) -> None:
    reasons = break_files(few)
    with pytest.raises(UnreadableError, match="8 of 13 samples cannot be read") as error:
        load_crema_d(Place(few))
    lines = str(error.value).splitlines()[1:]
    assert len(lines) == 8
    for line in lines:
        name, _, why = line.strip().partition(": ")
        assert reasons[name] in why


def test_files_that_cannot_be_read_are_left_out(few: Path, capsys: pytest.CaptureFixture[str]) -> None:
    reasons = break_files(few)
    data = load_crema_d(Place(few, on_error="skip"))
    used = {data.names[position] for part in vars(data.split).values() for position in part.tolist()}
    assert used == set(NAMES[:12]) - set(reasons)
    said = capsys.readouterr().err
    assert all(name in said for name in reasons)
    assert data.train.everything().target.min() >= 0


def test_a_file_that_was_mended_is_the_only_one_decoded(few: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    good = clip(few, NAMES[7]).read_bytes()
    clip(few, NAMES[7]).write_bytes(b"")
    load_crema_d(Place(few, on_error="skip"))
    clip(few, NAMES[7]).write_bytes(good)
    read: list[str] = []

    def watched(path: Path, **options: float) -> np.ndarray:
        read.append(path.stem)
        return real(path, **options)

    real = clips.read_frames
    monkeypatch.setattr(clips, "read_frames", watched)
    load_crema_d(Place(few))
    assert read == [NAMES[7]]


def test_a_split_file_and_clips_left_out(few: Path, tmp_path: Path) -> None:
    clip(few, NAMES[0]).write_bytes(b"")
    path = tmp_path / "split.json"
    path.write_text(json.dumps({"train": NAMES[:8], "validation": [], "test": NAMES[8:12]}))
    split = load_crema_d(Place(few, on_error="skip"), split=str(path)).split
    assert split.train.tolist() == list(range(1, 8))


def test_without_lists_all_clips_count(few: Path) -> None:
    (few / "SentenceFilenames.csv").unlink()
    (few / "VideoDemographics.csv").unlink()
    (few / "VideoFlash" / "._1001_DFA_ANG_XX.flv").write_bytes(b"what a Mac leaves behind")
    data = load_crema_d(Place(few))
    assert data.names == tuple(sorted(NAMES[:12]))
    assert set(data.train.labels["age"].tolist()) == {-1}


def test_no_files(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"No \.flv files in '.*VideoFlash'\. Data: CREMA-D.* --root"):
        load_crema_d(Place(tmp_path))


def test_names() -> None:
    assert parse("1091_WSI_SAD_XX") == (1091, 11, 5, 3)
    assert parse("1001_IEO_ANG_LO") == (1001, 0, 0, 0)
    assert all(parse(name) for name in FAULTY)
    for name in ("1001_DFA_ANG", "DFA_ANG_XX_1001", "1001_DFA_ANG_XX_2", "1001_DFA_ANG_X", "", "clip"):
        with pytest.raises(UnreadableError, match="the name does not say actor, sentence, emotion and level"):
            parse(name)


def test_check_of_a_good_folder(tmp_path: Path) -> None:
    sentences, levels = CATEGORIES["sentence"], CATEGORIES["level"]
    everyone = [
        f"{actor}_{sentence}_{emotion}_{level}"
        for level in levels
        for sentence in sentences
        for emotion in EMOTIONS
        for actor in range(1001, 1092)
    ][:7442]
    (tmp_path / "VideoFlash").mkdir()
    for name in everyone:
        clip(tmp_path, name).write_bytes(b"0" * 300)
    write_lists(tmp_path, everyone)
    people = [f"{actor},30,Male,Asian,Hispanic" for actor in range(1001, 1092)]
    (tmp_path / "VideoDemographics.csv").write_text("\n".join(["ActorID,Age,Sex,Race,Ethnicity", *people]))
    assert all(finding.good for finding in check_crema_d(Place(tmp_path)))


def test_check_says_what_is_missing(few: Path) -> None:
    write_lists(few, [*NAMES[:12], "1003_DFA_ANG_XX"])
    clip(few, NAMES[0]).write_text("version https://git-lfs.github.com/spec/v1\n")
    clip(few, "clip").write_bytes(b"0" * 300)
    bad = {finding.what: finding.found for finding in check_crema_d(Place(few)) if not finding.good}
    assert bad == {
        "VideoFlash": "2",
        "VideoFlash: pointers of Git LFS": NAMES[0],
        "VideoFlash: names that say no emotion": "clip",
        "SentenceFilenames.csv": "13",
        "SentenceFilenames.csv: clips without a file": "1003_DFA_ANG_XX",
        "VideoDemographics.csv": "4",
    }


def test_check_of_an_empty_folder(tmp_path: Path) -> None:
    findings = check_crema_d(Place(tmp_path))
    assert [finding.found for finding in findings if not finding.good] == ["0"] * 4
