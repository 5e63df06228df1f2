"""Penn Action as people have it on disk: labels and frames that are bad, missing, or in another folder."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from examples.data.place import Place
from examples.data.reading.files import UnreadableError
from examples.data.sets.penn_action import check_penn_action, load_penn_action
from examples.errors import UserError
from tests.examples.data.penn_files import (
    ANNOTATED,
    annotation,
    write_archive,
    write_labels,
)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_archive(tmp_path / "Penn_Action", [annotation(number) for number in range(12)])


@pytest.fixture
def filmed(tmp_path: Path) -> Path:
    return write_archive(tmp_path / "Penn_Action", [annotation(number) for number in range(12)], filmed=True)


def test_frames_that_are_missing_or_cut(filmed: Path):
    (filmed / "frames" / "0002" / "000008.jpg").unlink()
    cut = filmed / "frames" / "0005" / "000021.jpg"
    cut.write_bytes(cut.read_bytes()[:400])
    place = Place(filmed)
    with pytest.raises(
        UnreadableError, match=r"(?s)1 of 12 samples.*nothing was decoded.*0002: .*000008\.jpg"
    ):
        load_penn_action(place, frames=1, size=8, validation=0)
    data = load_penn_action(replace(place, on_error="skip"), frames=1, size=8, validation=0)
    assert data.names == tuple(f"{number:04d}" for number in (1, 3, 4, 6, 7, 8, 9, 10, 11, 12))
    assert {
        name: "cannot be opened" in why or "is damaged" in why for name, why in data.left_out.items()
    } == {
        "0002": True,
        "0005": True,
    }
    assert [data.names[position] for position in data.split.test] == ["0006", "0011", "0012"]
    assert len(load_penn_action(place, modalities=["pose"], validation=0).train) == 8


def broken() -> dict[str, tuple[dict[str, object], str]]:
    good = annotation(1)
    return {
        "visibility": (
            good | {"visibility": good["visibility"][:-1]},
            r"visibility must have shape \(14, 13\); it has \(13, 13\)",
        ),
        "joints": (good | {"x": good["x"][:, :12]}, r"x must have shape \('any', 13\); it has \(14, 12\)"),
        "empty": (good | {"x": np.zeros((0, 13))}, r"x must have shape \('any', 13\); it has \(0, "),
        "not numbers": (
            good | {"y": good["y"] * np.nan},
            r"y must be finite; it is nan at \(0, 0\), counted from 0",
        ),
        "box": (good | {"bbox": "left"}, r"bbox must have shape \('any', 4\); it has \(1,\)"),
        "train": (good | {"train": 2}, r"train \(=2\) must be 1 or -1"),
        "dimensions": (good | {"dimensions": np.zeros((1, 3))}, r"dimensions \(=0 x 0\) above 0"),
        "action": (good | {"action": ""}, r"action \(=''\) must be one of \['baseball_pitch'"),
        "viewpoint": (good | {"pose": 3.0 * np.ones((2, 2))}, r"pose \(=''\) must be one of \['back'"),
        "boxes": (
            good | {"bbox": good["bbox"][:-2]},
            "bbox has 12 boxes for 14 frames; there must be as many",
        ),
        "another action": (good | {"action": "knitting"}, r"action \(='knitting'\) must be one of"),
        "missing": ({key: value for key, value in good.items() if key != "y"}, r"lacks \['y'\]"),
    }


@pytest.mark.parametrize("fault", broken())
def test_labels_that_do_not_hold_what_they_should(root: Path, fault: str):
    values, reason = broken()[fault]
    write_labels(root, "0002", values)
    with pytest.raises(UnreadableError, match=rf"(?s)1 of 12 samples.*0002: .*0002\.mat.*{reason}"):
        load_penn_action(Place(root), modalities=ANNOTATED)
    data = load_penn_action(Place(root, on_error="skip"), modalities=ANNOTATED, validation=0)
    assert len(data.train) + len(data.test) == 11
    assert "0002" not in data.names


@pytest.mark.parametrize("packed", [True, False])
def test_labels_cut_anywhere(root: Path, packed: bool):
    whole = write_labels(root, "0002", annotation(1), packed=packed).read_bytes()
    last = 80  # bytes of `nframes`, which is not needed
    for length in np.linspace(0, len(whole) - last, 24).astype(int).tolist():
        (root / "labels" / "0002.mat").write_bytes(whole[:length])
        with pytest.raises(UnreadableError, match=r"0002\.mat'"):
            load_penn_action(Place(root), modalities=["box"])


def test_frames_of_another_size_than_the_labels_say(filmed: Path):
    write_labels(filmed, "0003", annotation(2) | {"dimensions": np.array([[64, 48, 23]])})
    with pytest.raises(
        UnreadableError, match=r"0003: '.*jpg' has 32 x 48 pixels, and its labels say 64 x 48"
    ):
        load_penn_action(Place(filmed), frames=1, size=8)


@pytest.mark.parametrize("named", [".", "..", "labels"])
def test_found_from_a_folder_too_high_or_too_deep(root: Path, named: str):
    place = Place((root / named).resolve())
    data = load_penn_action(place, modalities=["box"])
    assert len(data.names) == 12
    assert check_penn_action(place)[0].found == str(root)
    assert (root / "maskfusion-cache").is_dir()


def test_clip_without_labels(filmed: Path):
    (filmed / "labels" / "0003.mat").unlink()
    with pytest.raises(UnreadableError, match=r"(?s)0003: '.*0003\.mat' cannot be opened"):
        load_penn_action(Place(filmed), modalities=["pose"])


def test_nothing_there(tmp_path: Path):
    with pytest.raises(
        UserError,
        match=r"No folder 'labels' with .mat files and no 'penn_action_pose\.npz' in .*There: nothing\. .*dreamdragon",
    ):
        load_penn_action(Place(tmp_path))
    (tmp_path / "labels").mkdir()
    with pytest.raises(UserError, match=r"There: labels\. Data: Penn"):
        load_penn_action(Place(tmp_path))


def test_check_counts_files(filmed: Path):
    (filmed / "frames" / "0004" / "000002.jpg").unlink()
    (filmed / "labels" / "0007.mat").unlink()
    (filmed / "frames" / "0004" / "._000001.jpg").write_bytes(b"what a Mac leaves behind")
    (filmed / "labels" / "0008.mat").write_bytes(b"")
    labels, empty = filmed / "labels", f"'{filmed / 'labels' / '0008.mat'}' is empty"
    assert [finding[1:] for finding in check_penn_action(Place(filmed))] == [
        ("the data set", str(filmed), True),
        ("2,326 files", "11", False),
        ("none", "0007", False),
        ("11 looked at, all good", f"1 of 11 are bad: {empty}", False),
        ("8 decoded, all good", f"1 of 8 are bad: 0008: {empty}", False),
        ("2,326 folders", "12", False),
        ("none", "none", True),
        ("none", "0004", False),
        ("653 looked at, all good", "653 good", True),
        (
            "8 decoded, all good",
            f"2 of 8 are bad: 0007: '{labels}/0007.mat' cannot be opened (No such file or directory); 0008: {empty}",
            False,
        ),
    ]
    assert not (filmed / "maskfusion-cache").exists()
    shutil.rmtree(filmed / "frames" / "0003")
    named = {finding.what: finding[2:] for finding in check_penn_action(Place(filmed))}
    assert named["labels: clips without frames"] == ("0003", False)
