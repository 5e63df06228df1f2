"""CREMA-D as people have it on disk: files that are bad, missing, elsewhere or written by other programs."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from examples.data.place import Place
from examples.data.reading import clips
from examples.data.reading.files import UnreadableError
from examples.data.reading.spectrogram import MelSpectrogram, fit
from examples.data.sets.crema_d import CATEGORIES, check_crema_d, load_crema_d
from examples.errors import UserError
from tests.examples.data.clip_files import cut, damage, tone, write_clip, write_wav
from tests.examples.data.crema_d_files import EMOTIONS, NAMES, PEOPLE, clip, write_lists


@pytest.fixture
def few(tmp_path: Path) -> Path:
    """Twelve clips by two actors, for tests that break them."""
    write_lists(tmp_path, NAMES[:12])
    for name in NAMES[:12]:
        write_clip(tmp_path / "VideoFlash" / f"{name}.flv", sound=tone(1.5, 44100)[None])
    return tmp_path


def test_a_mute_clip_gets_the_sound_of_its_wav(few: Path) -> None:
    for name in NAMES[:12]:
        write_clip(clip(few, name))
        write_wav(few / "AudioWAV" / f"{name}.wav", tone(1.5, 16000, 1000), 16000)
    data = load_crema_d(Place(few), standardise=False)
    expected = fit(MelSpectrogram(44100)(tone(1.5, 44100, 1000).astype("float32")), 256)
    found = data.train.everything().inputs["audio"][0, 0].numpy()
    assert found.mean(axis=1).argmax() == expected.mean(axis=1).argmax()


def break_files(root: Path) -> tuple[dict[str, str], dict[str, str]]:
    """Return why each clip that was broken cannot be read: what a first look shows, and what decoding does."""
    names = NAMES[:12]
    damage(clip(root, names[0]))
    clip(root, names[1]).write_bytes(b"")
    cut(clip(root, names[2]), 0.3)
    clip(root, names[3]).unlink()
    write_clip(clip(root, names[4]))
    clip(root, names[5]).rename(clip(root, "1001_DFA_SAID_XX"))
    write_clip(clip(root, names[6]), sound=tone(0.02, 44100)[None], audio="pcm_s16le")
    write_clip(clip(root, names[8]), sound=np.zeros((1, 66150)))
    clip(root, names[7]).write_text("<!DOCTYPE html><html><body>404</body></html>")
    return {
        names[1]: "is empty",
        names[3]: "cannot be opened (No such file or directory)",
        names[5]: "cannot be opened (No such file or directory)",
        names[7]: "is a web page, not the file itself",
    }, {
        names[0]: "is cut or damaged: there are no pictures in",
        names[2]: "is cut or damaged: there are no pictures in",
        names[4]: "has no sound track",
        "1001_DFA_SAID_XX": "does not say actor, sentence, emotion and level, as 1001_DFA_ANG_XX does",
        names[6]: "has only 0.0",
        names[8]: "is silent",
    }


def expect_reasons(error: pytest.ExceptionInfo[UnreadableError], reasons: dict[str, str]) -> None:
    lines = str(error.value).splitlines()[1:]
    assert len(lines) == len(reasons)
    for line in lines:
        name, _, why = line.strip().partition(": ")
        assert reasons[name] in why


def test_files_that_cannot_be_read_are_named(few: Path) -> None:
    seen, decoded = break_files(few)
    with pytest.raises(
        UnreadableError, match=r"4 of 13 samples cannot be read .*nothing was decoded"
    ) as error:
        load_crema_d(Place(few))
    expect_reasons(error, seen)
    assert not (few / "maskfusion-cache").exists()
    write_lists(few, [name for name in NAMES[:12] if name not in seen])
    clip(few, NAMES[1]).unlink()
    clip(few, NAMES[7]).unlink()
    with pytest.raises(UnreadableError, match=r"6 of 9 samples cannot be read .*stays decoded") as error:
        load_crema_d(Place(few))
    expect_reasons(error, decoded)


def test_files_that_cannot_be_read_are_left_out(few: Path, capsys: pytest.CaptureFixture[str]) -> None:
    seen, decoded = break_files(few)
    for _ in range(2):  # and every time it is said
        data = load_crema_d(Place(few, on_error="skip"))
        assert set(data.names) == set(NAMES[:12]) - set(seen) - set(decoded)
        assert set(data.left_out) == set(seen) | set(decoded)
        said = capsys.readouterr().err
        assert all(name in said for name in data.left_out)
        assert data.train.everything().target.min() >= 0


def test_a_clone_without_lfs_is_told_at_once(few: Path) -> None:
    for name in NAMES[:12]:
        clip(few, name).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 72862\n")
    for on_error in ("raise", "skip"):
        with pytest.raises(UnreadableError) as error:
            load_crema_d(Place(few, on_error=on_error))
        assert str(error.value).startswith(
            "12 of 12 samples cannot be read (their size or first bytes are wrong, "
        )
        assert "is a pointer of Git LFS; `git lfs pull` in the clone brings the file itself" in str(
            error.value
        )
    assert not (few / "maskfusion-cache").exists()


def test_clips_that_are_known_to_be_faulty(few: Path, tmp_path: Path) -> None:
    faulty = "1076_MTI_SAD_XX"
    write_clip(clip(few, faulty), sound=tone(1.5, 44100)[None])
    write_lists(few, [*NAMES[:12], faulty])
    data = load_crema_d(Place(few))
    assert faulty not in data.names
    assert data.left_out == {faulty: "shows no face and has no sound"}
    path = tmp_path / "split.json"
    path.write_text(json.dumps({"train": [*NAMES[:8], faulty], "validation": [], "test": NAMES[8:12]}))
    assert len(load_crema_d(Place(few), split=str(path)).split.train) == 8
    kept = load_crema_d(Place(few), split=str(path), faulty=True)
    assert faulty in kept.names
    assert not kept.left_out
    assert len(kept.split.train) == 9
    assert check_crema_d(Place(few))[-1].found == faulty


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
    data = load_crema_d(Place(few, on_error="skip"), split=str(path))
    assert [data.names[number] for number in data.split.train] == NAMES[1:8]


def test_without_lists_all_clips_count(few: Path) -> None:
    (few / "SentenceFilenames.csv").unlink()
    (few / "VideoDemographics.csv").unlink()
    (few / "VideoFlash" / "._1001_DFA_ANG_XX.flv").write_bytes(b"what a Mac leaves behind")
    data = load_crema_d(Place(few))
    assert data.names == tuple(sorted(NAMES[:12]))
    assert set(data.train.labels["age"].tolist()) == {-1}


def test_no_files(tmp_path: Path) -> None:
    for function in (load_crema_d, check_crema_d):
        with pytest.raises(UserError) as error:
            function(Place(tmp_path))
        assert str(error.value).startswith(
            f"No folder 'VideoFlash' with .flv files in '{tmp_path}', in the folder it is in, or up to two folders below "
            "it. There: nothing. Data: CREMA-D"
        )
    (tmp_path / "CREMA-D-master.zip").write_bytes(b"PK")
    with pytest.raises(
        UserError, match=r"There: CREMA-D-master\.zip\. Unpack CREMA-D-master\.zip first\. Data"
    ):
        load_crema_d(Place(tmp_path))


@pytest.mark.parametrize("named", ["", "data", "data/CREMA-D/VideoFlash"])
def test_found_from_a_folder_too_high_or_too_deep(few: Path, named: str) -> None:
    own = few / "data" / "CREMA-D"
    own.mkdir(parents=True)
    (few / "VideoFlash").rename(own / "VideoFlash")
    data = load_crema_d(Place(few / named))
    assert data.names == tuple(sorted(NAMES[:12]))
    assert check_crema_d(Place(few / named))[0].found == str(own)


def test_two_clones_are_too_many(few: Path) -> None:
    for name in ("one", "two"):
        shutil.copytree(few / "VideoFlash", few / "deep" / "both" / name / "VideoFlash")
    with pytest.raises(
        UserError, match=r"must hold one copy of the data set; there are .*one, .*two\. Name one\."
    ):
        load_crema_d(Place(few / "deep" / "both"))


def test_capitals_and_litter(few: Path) -> None:
    (few / "VideoFlash").rename(few / "VIDEOFLASH")
    for path in (few / "VIDEOFLASH").iterdir():
        path.with_name("._" + path.name).write_bytes(b"what a Mac leaves behind")
        path.rename(path.with_suffix(".FLV"))
    (few / "VIDEOFLASH" / "Thumbs.db").write_bytes(b"what Windows leaves behind")
    assert load_crema_d(Place(few)).names == tuple(sorted(NAMES[:12]))


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_tables_of_other_programs(few: Path, delimiter: str, encoding: str) -> None:
    for name in ("SentenceFilenames.csv", "VideoDemographics.csv"):
        text = (few / name).read_text().replace(",", delimiter)
        (few / name).write_text(text, encoding=encoding)
    labels = load_crema_d(Place(few)).train.labels
    assert set(labels["age"].tolist()) <= {51, 21}
    assert -1 not in labels["race"].tolist()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"ActorID,Age,Gender,Race,Ethnicity\n", r"must have the columns .*'Sex', .* it has .*'Gender'"),
        (
            PEOPLE.replace("Asian", "Martian").encode(),
            r"line 3: Race \(='Martian'\) must be one of \['African",
        ),
        (
            PEOPLE.replace("51", "old").encode(),
            r"line 2: ActorID \(='1001'\) and Age \(='old'\) must be numbers",
        ),
        (
            PEOPLE.replace("Asian", "Asi\xe1n").encode("latin-1"),
            r"must be in UTF-8, and line 3 is not \(byte 0xe1\)",
        ),
    ],
)
def test_tables_that_are_wrong(few: Path, content: bytes, words: str) -> None:
    (few / "VideoDemographics.csv").write_bytes(content)
    for function in (load_crema_d, check_crema_d):
        with pytest.raises(UnreadableError, match=rf"VideoDemographics\.csv'.*{words}"):
            function(Place(few))


def test_check_of_a_good_folder(tmp_path: Path) -> None:
    sentences, levels = CATEGORIES["sentence"], CATEGORIES["level"]
    everyone = [
        f"{actor}_{sentence}_{emotion}_{level}"
        for level in levels
        for sentence in sentences
        for emotion in EMOTIONS
        for actor in range(1001, 1092)
    ][:7442]
    first = clip(tmp_path, everyone[0])
    write_clip(first, frames=20, sound=tone(0.7, 44100)[None])
    for name in everyone[1:]:
        clip(tmp_path, name).hardlink_to(first)
    write_lists(tmp_path, everyone)
    people = [f"{actor},30,Male,Asian,Hispanic" for actor in range(1001, 1092)]
    (tmp_path / "VideoDemographics.csv").write_text("\n".join(["ActorID,Age,Sex,Race,Ethnicity", *people]))
    assert all(finding.good for finding in check_crema_d(Place(tmp_path)))
    clip(tmp_path, everyone[5000]).unlink()
    clip(tmp_path, everyone[5000]).write_bytes(b"")
    bad = [finding.found for finding in check_crema_d(Place(tmp_path)) if not finding.good]
    assert bad == [f"1 of 7,442 are bad: '{clip(tmp_path, everyone[5000])}' is empty"]


def test_check_says_what_is_missing(few: Path) -> None:
    write_lists(few, [*NAMES[:12], "1003_DFA_ANG_XX"])
    clip(few, NAMES[0]).write_text("version https://git-lfs.github.com/spec/v1\n")
    clip(few, "clip").write_bytes(b"FLV")
    bad = {finding.what: finding.found for finding in check_crema_d(Place(few)) if not finding.good}
    content = bad.pop("content of some samples")
    assert content.startswith("2 of 8 are bad: ")
    assert all(name in content for name in (NAMES[0], "1003_DFA_ANG_XX"))
    pointer = "is a pointer of Git LFS; `git lfs pull` in the clone brings the file itself"
    assert bad == {
        "VideoFlash": "2",
        "VideoFlash: names that say no emotion": "clip",
        "VideoFlash: size and first bytes": f"1 of 13 are bad: '{clip(few, NAMES[0])}' {pointer}",
        "SentenceFilenames.csv": "13",
        "SentenceFilenames.csv: clips without a file": "1003_DFA_ANG_XX",
        "VideoDemographics.csv": "4",
    }
