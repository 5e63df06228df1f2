"""Penn Action: small clips in the layout of its archive, the same clips as a copy, and the real annotations."""

from pathlib import Path

import numpy as np
import pytest
import torch

from examples.data import load
from examples.data.batches import Draw
from examples.data.place import Place
from examples.data.reading.resampling import moments
from examples.data.sets.penn_action import check_penn_action, load_penn_action
from examples.data.sets.penn_annotations import read_copy
from examples.errors import UserError
from tests.examples.data.penn_files import (
    ACTIONS,
    ANNOTATED,
    annotation,
    write_archive,
    write_copy,
    write_labels,
)
from tests.support.real_data import real_data

COPY = "penn_action_pose/penn_action_pose.npz"


@pytest.fixture
def clips() -> list[dict[str, object]]:
    return [annotation(number) for number in range(12)]


@pytest.fixture
def root(tmp_path: Path, clips: list[dict[str, object]]) -> Path:
    return write_archive(tmp_path / "Penn_Action", clips)


@pytest.fixture
def filmed(tmp_path: Path, clips: list[dict[str, object]]) -> Path:
    return write_archive(tmp_path / "Penn_Action", clips, filmed=True)


def test_official_layout(root: Path):
    data = load(
        "penn-action", Place(root), seed=0, options={"modalities": list(ANNOTATED), "validation": 0.25}
    )
    assert {name: (item.kind, item.shape) for name, item in data.modalities.items()} == {
        "pose": ("image", (2, 32, 13)),
        "box": ("sequence", (4, 32)),
        "visibility": ("sequence", (13, 32)),
    }
    assert data.classes == ACTIONS
    assert data.task == "classification"
    assert data.names == tuple(f"{number:04d}" for number in range(1, 13))
    assert data.split.test.tolist() == [4, 5, 10, 11]
    assert [len(part) for part in (data.train, data.validation, data.test)] == [6, 2, 4]
    assert data.validation.target.sort().values.tolist() == [0, 1]
    assert data.test.target.tolist() == [0, 1, 0, 1]
    assert data.test.labels["viewpoint"].tolist() == [1, 2, 1, 2]


def test_both_sources_give_the_same(root: Path, tmp_path: Path, clips: list[dict[str, object]]):
    write_copy(tmp_path / "copy", clips)
    first, second = (
        load_penn_action(Place(folder), seed=3, modalities=ANNOTATED) for folder in (root, tmp_path / "copy")
    )
    assert first.names == second.names
    assert first.classes == second.classes
    for part in ("train", "validation", "test"):
        assert np.array_equal(getattr(first.split, part), getattr(second.split, part))
        one, two = getattr(first, part).everything(), getattr(second, part).everything()
        assert torch.equal(one.target, two.target)
        for name in ANNOTATED:
            torch.testing.assert_close(one.inputs[name], two.inputs[name], atol=5e-3, rtol=5e-3)
        assert torch.equal(
            getattr(first, part).labels["viewpoint"], getattr(second, part).labels["viewpoint"]
        )


def test_copy_with_unknown_action(tmp_path: Path, clips: list[dict[str, object]]):
    path = write_copy(tmp_path, clips)
    with np.load(path) as file:
        arrays = dict(file)
    np.savez(path, **{**arrays, "action": arrays["action"] + 1})
    with pytest.raises(UserError, match=r"array `action` must hold 0 to 1"):
        load_penn_action(Place(tmp_path))


def test_copy_may_be_named_itself(tmp_path: Path, clips: list[dict[str, object]]):
    path = write_copy(tmp_path / "copy", clips)
    assert len(load_penn_action(Place(path), modalities=["box"], validation=0).train) == 8


def test_moments_go_from_first_to_last_frame():
    assert moments(1, 32).tolist() == [0] * 32
    assert moments(32, 32).tolist() == list(range(32))
    assert moments(63, 32).tolist() == list(range(0, 63, 2))
    assert set(moments(18, 32).tolist()) == set(range(18))


def test_axes_of_the_pose(tmp_path: Path):
    for number in range(4):
        values = annotation(number) | {"train": 1 if number < 3 else -1, "action": "bowl"}
        values["x"] = np.tile(np.arange(1, 14) * 3.0, (values["nframes"], 1)) + number
        values["y"] = np.tile(np.linspace(2, 30, values["nframes"])[:, None], 13)
        write_labels(tmp_path, f"{number + 1:04d}", values)
    x, y = (
        load_penn_action(Place(tmp_path), modalities=["pose"], validation=0)
        .test.everything()
        .inputs["pose"][0]
    )
    assert (x.diff(dim=0).abs() < 1e-5).all()
    assert (x.diff(dim=1) > 0).all()
    assert (y.diff(dim=1).abs() < 1e-5).all()
    assert (y.diff(dim=0) > 0).all()


def test_boxes_that_are_one_short(root: Path):
    values = annotation(11)
    write_labels(root, "0012", values | {"bbox": values["bbox"][:-1]})
    box = load_penn_action(Place(root), modalities=["box"]).test.everything().inputs["box"][-1]
    assert torch.isfinite(box).all()


def test_color_is_one_frame(filmed: Path, clips: list[dict[str, object]]):
    data = load_penn_action(Place(filmed), modalities=["color", "pose"], frames=4, size=16, validation=0)
    assert data.modalities["color"].shape == (3, 16, 16)
    grey = data.train.inputs["color"].column
    middle = [int((2 + 0.5) * clip["nframes"] / 4) for clip in clips]
    shown = grey.take(np.arange(12), None)
    torch.testing.assert_close(
        shown.mean(dim=(1, 2, 3)), torch.tensor([2.0 * frame + 10 for frame in middle]), atol=1.5, rtol=0
    )
    drawn = {data.train[Draw([7], seed)].inputs["color"].mean().item() for seed in range(30)}
    assert len(drawn) == 4
    assert (filmed / "maskfusion-cache").is_dir()


def test_color_needs_the_frames(root: Path):
    with pytest.raises(UserError, match=r"frames'; the modality color needs the frames\. Data: Penn Action"):
        load_penn_action(Place(root))


def test_color_beside_the_copy(filmed: Path, tmp_path: Path, clips: list[dict[str, object]]):
    path = write_copy(tmp_path / "copy", clips)
    (filmed / "frames").rename(path.parent / "frames")
    data = load_penn_action(Place(path), frames=2, size=8, validation=0)
    assert len(data.train) == 8
    assert (path.parent / "maskfusion-cache").is_dir()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"modalities": ["sound"]}, r"`modalities` \(=\['sound'\]\) must be some of"),
        ({"modalities": []}, r"`modalities` \(=\[\]\)"),
        ({"validation": 1.0}, r"`validation` \(=1\.0\) must be a share"),
        ({"frames": 0}, r"`frames` \(=0\)"),
        ({"clip": 3}, r"`data_options` has unknown keys \['clip'\]"),
    ],
)
def test_options_are_checked(options: dict[str, object], message: str):
    with pytest.raises(UserError, match=message):
        load("penn-action", Place(), seed=0, options=options)


def test_real_annotations():
    place = Place(real_data(COPY).parent)
    data = load_penn_action(place, seed=0, modalities=ANNOTATED)
    assert len(data.train) + len(data.validation) == 1258
    assert len(data.test) == 1068
    assert len(data.classes) == 15
    assert data.classes[0] == "baseball_pitch"
    counts = torch.cat([data.train.target, data.validation.target, data.test.target]).bincount()
    assert counts.tolist() == [167, 173, 140, 220, 88, 166, 82, 112, 199, 211, 100, 231, 94, 157, 186]
    shares = data.validation.target.bincount() / (
        data.train.target.bincount() + data.validation.target.bincount()
    )
    assert shares.min() > 0.1
    assert shares.max() < 0.2
    assert [len(part.labels["viewpoint"].unique()) for part in (data.train, data.test)] == [4, 4]
    assert all(finding.good for finding in check_penn_action(place))


def test_real_values():
    clips = read_copy(real_data(COPY), source="")
    joints, boxes, seen = (clips.arrays[name].astype("float32") for name in ("joints", "bbox", "visibility"))
    assert (joints.min(), boxes.min(), seen.min()) == (0, 0, 0)
    assert boxes.max() <= 1
    assert seen.max() == 1
    beyond = (joints > 1).any(axis=(1, 2, 3))
    assert beyond.sum() == 5
    assert joints.max() < 1.45
    left, top, right, bottom = np.moveaxis(boxes, 2, 0)
    assert ((left <= right) & (top <= bottom)).mean() > 0.9999
    x, y = joints[..., 0], joints[..., 1]
    inside = (x >= left[..., None] - 0.02) & (x <= right[..., None] + 0.02) & (y >= top[..., None] - 0.02)
    assert inside[seen > 0].mean() > 0.9


def test_real_clips_repeat_frames_where_we_would():
    with np.load(real_data(COPY)) as file:
        frames, joints, boxes = file["n_frames"], file["joints"], file["bbox"]
    short = np.flatnonzero(frames < 32)
    assert len(short) == 157
    for clip in short:
        repeated = np.flatnonzero(np.diff(moments(int(frames[clip]), 32)) == 0)
        assert (joints[clip, repeated] == joints[clip, repeated + 1]).all()
        assert (boxes[clip, repeated] == boxes[clip, repeated + 1]).all()
