"""RML from small files of its formats and layout."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from examples.data import load
from examples.data.contract import UNSCORED
from examples.data.place import Place
from examples.data.reading.files import UnreadableError
from examples.data.sets.crema_d import CLASSES
from examples.data.sets.rml import check_rml, load_rml
from examples.errors import UserError
from tests.examples.data.clip_files import tone, write_clip

CODES = ("an", "di", "fe", "ha", "sa", "su")


def write(path: Path, **options: object) -> Path:
    sound = tone(3.0, 22050)[None]
    return write_clip(
        path, video="mjpeg", pixels="yuvj420p", sound=sound, audio="pcm_s16le", rate=22050, **options
    )


def folder_of(speaker: int) -> str:
    """Speaker 4 speaks two languages, and one speaker's files are in capitals."""
    half = "rml-1" if speaker <= 5 else "rml-2"
    return f"{half}/s{speaker}/english" if speaker == 4 else f"{half}/s{speaker}"


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("RML Emotion Database")
    for speaker in range(1, 9):
        for code in CODES:
            name = f"{code}1.avi" if speaker != 8 else f"{code.upper()}1.AVI"
            write(root / folder_of(speaker) / name, frames=50)
    return root


def test_classes_are_those_of_crema_d(whole: Path) -> None:
    data = load("rml", Place(whole), seed=0, options={"standardise": False})
    assert data.classes == CLASSES
    assert len(data.names) == 48
    assert {"s1/an1", "s4/english/su1", "s8/AN1"} < set(data.names)
    codes = {"an": "anger", "di": "disgust", "fe": "fear", "ha": "happy", "sa": "sad"}
    batch = data.train.everything()
    assert batch.inputs["color"].shape == (38, 3, 128, 128)
    assert batch.inputs["audio"].shape == (38, 1, 256, 256)
    for position, target in zip(data.split.train.tolist(), batch.target.tolist(), strict=True):
        code = data.names[position].split("/")[-1][:2].lower()
        assert target == (CLASSES.index(codes[code]) if code in codes else UNSCORED)


def test_surprise_as_a_class(whole: Path) -> None:
    data = load_rml(Place(whole), surprise=True)
    assert data.classes == (*CLASSES, "surprise")
    targets = data.train.target.tolist() + data.test.target.tolist()
    assert min(targets) == 0
    assert max(targets) == 6


def test_no_speaker_is_in_two_parts(whole: Path) -> None:
    data = load_rml(Place(whole), split="speakers", seed=2)
    assert data.validation is not None
    parts = [set(part.labels["speaker"].tolist()) for part in (data.train, data.validation, data.test)]
    assert [len(part) for part in parts] == [6, 1, 1]
    assert set().union(*parts) == set(range(1, 9))


def test_the_middle_frame_is_scored_and_any_near_it_learned_from(whole: Path) -> None:
    data = load_rml(Place(whole), standardise=False)

    def numbers(color: np.ndarray) -> set[int]:
        return {round((float(frame.mean()) * 255 - 40) / 4) for frame in color}

    assert numbers(data.test.everything().inputs["color"].numpy()) == {25}
    loader = data.train.loader(38, seed=0)
    seen: set[int] = set()
    for epoch in range(8):
        loader.sampler.set_epoch(epoch)
        seen |= numbers(next(iter(loader)).inputs["color"].numpy())
    assert min(seen) in (3, 4)
    assert max(seen) in (46, 47)


def test_sound_is_the_central_part_and_mirrored(whole: Path) -> None:
    audio = load_rml(Place(whole), standardise=False).test.everything().inputs["audio"][0, 0]
    loud = audio.mean(dim=1).argmax()
    assert float(audio[loud].std()) < 0.5  # the tone fills all frames
    left = 256 - (1 + 80_000 // 353)
    left -= left // 2
    np.testing.assert_array_equal(audio[:, :left], audio[:, left + 1 : 2 * left + 1].flip(1))


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        (
            "rml-1/s1/zz1.avi",
            r"s1/zz1: '.*zz1\.avi' does not say the emotion; its name must begin with one of \['an'",
        ),
        ("rml-1/s1/sample.avi", "s1/sample: .* does not say the emotion"),
        (
            "rml-1/an9.avi",
            "rml-1/an9: .* does not name the speaker; name the folder that holds s1 to s8 with --root",
        ),
        ("rml-1/s1/an9.avi", r"s1/an9: '.*an9\.avi' is empty"),
    ],
)
def test_bad_files_are_named(tmp_path: Path, name: str, reason: str) -> None:
    for code in CODES:
        write(tmp_path / "s1" / f"{code}1.avi", frames=5)
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    if name.endswith("s1/an9.avi"):
        (tmp_path / name).touch()
    else:
        write(tmp_path / name, frames=5)
    with pytest.raises(UnreadableError, match=reason):
        load_rml(Place(tmp_path))
    data = load_rml(Place(tmp_path, on_error="skip"))
    assert len(data.names) == 6
    assert len(data.left_out) == 1
    assert sum(len(part) for part in vars(data.split).values()) == 6


def test_no_files(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"No \.avi files in .*Data: RML"):
        load_rml(Place(tmp_path))


def test_check_of_a_good_folder(tmp_path: Path) -> None:
    clip = tmp_path / "clip"
    write(tmp_path / "made.avi", frames=5).rename(clip)
    for speaker in range(1, 9):
        folder = tmp_path / folder_of(speaker)
        folder.mkdir(parents=True)
        for code in CODES:
            for number in range(1, 16):
                shutil.copy(clip, folder / f"{code}{number}.avi")
    assert all(finding.good for finding in check_rml(Place(tmp_path)))


def test_check_says_what_is_missing(whole: Path, tmp_path: Path) -> None:
    findings = {finding.what: finding for finding in check_rml(Place(whole))}
    assert not findings["clips"].good
    assert findings["clips"].expected == "720 avi files"
    assert findings["folders s1 to s8"].good
    assert findings["an*.avi"].found == "8"
    (tmp_path / "lost.avi").touch()
    assert {finding.found for finding in check_rml(Place(tmp_path)) if not finding.good} >= {"lost", "0", "1"}


def test_speakers_that_are_linked_litter_and_capitals(tmp_path: Path) -> None:
    elsewhere = tmp_path / "disk"
    for code in CODES:
        write(elsewhere / f"{code}1.avi", frames=5)
        (elsewhere / f"._{code}1.avi").write_bytes(b"what a Mac leaves behind")
    (elsewhere / "Thumbs.db").write_bytes(b"what Windows leaves behind")
    root = tmp_path / "RML"
    root.mkdir()
    (root / "S1").symlink_to(elsewhere, target_is_directory=True)
    (elsewhere / "loop").symlink_to(elsewhere, target_is_directory=True)
    assert load_rml(Place(root)).names == tuple(f"S1/{code}1" for code in CODES)


def test_two_clips_of_one_name(tmp_path: Path) -> None:
    for part in ("rml-1", "copy"):
        write(tmp_path / part / "s1" / "an1.avi", frames=5)
    with pytest.raises(
        UserError, match=r"Two samples are called 's1/an1': '.*copy.*' and '.*rml-1.*'\. Remove or rename"
    ):
        load_rml(Place(tmp_path))
