"""NYU Depth v2: a few small pictures in a file of MATLAB's format 7.3, and the files that lie beside it."""

import sys
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
import scipy.io
import torch

from examples.data import load
from examples.data.contract import UNSCORED
from examples.data.place import Place
from examples.data.reading.files import UnreadableError
from examples.data.sets.nyuv2 import check_nyuv2, load_nyuv2
from examples.errors import UserError
from tests.examples.data.nyuv2_files import (
    COUNT,
    FORTY,
    HEIGHT,
    THIRTEEN,
    TO_FORTY,
    TO_THIRTEEN,
    pictures,
    write_data,
    write_mappings,
    write_splits,
)


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    write_data(tmp_path / "nyu")
    return tmp_path / "nyu"


@pytest.fixture
def root(bare: Path) -> Path:
    write_splits(bare, list(range(1, 9)), list(range(9, 13)))
    write_mappings(bare, TO_FORTY, TO_THIRTEEN)
    return bare


def test_official_split_and_40_classes(root: Path):
    data = load("nyuv2", Place(root), seed=0, options={"size": 8, "validation": 0.25})
    assert {name: (item.kind, item.shape) for name, item in data.modalities.items()} == {
        "color": ("image", (3, 8, 8)),
        "depth": ("image", (1, 8, 8)),
    }
    assert data.task == "segmentation"
    assert data.classes == FORTY
    assert data.split.test.tolist() == [8, 9, 10, 11]
    assert data.names[8] == "0009"
    assert (len(data.train), len(data.validation)) == (6, 2)
    assert data.validation.labels["scene"].unique().numel() == 1
    assert set(data.validation.labels["scene"].tolist()).isdisjoint(data.train.labels["scene"].tolist())
    assert data.test.labels["scene type"].unique().tolist() == [1]
    assert data.train.target.dtype == torch.int16
    batch = data.test.everything()
    assert batch.target.shape == (4, 8, 8)
    assert batch.target.dtype == torch.int64
    assert set(batch.target.unique().tolist()) <= {UNSCORED, 0, 1, 4, 39}
    assert (batch.target[:, -1, -1] == UNSCORED).all()


def test_axes_and_units(root: Path):
    data = load_nyuv2(Place(root / "nyu_depth_v2_labeled.mat"), size=8, validation=0)
    color, depth = (data.test.inputs[name].column.take(np.array([2]), None)[0] for name in ("color", "depth"))
    red, green, blue = color
    assert (red.diff(dim=0) > 0).all()
    assert (red.diff(dim=1).abs() <= 1).all()
    assert (green.diff(dim=1) > 0).all()
    assert (green.diff(dim=0).abs() <= 1).all()
    assert (blue == 5).all()
    torch.testing.assert_close(depth[0, :, 3].mean(), torch.tensor(3 + (HEIGHT - 1) / 20), atol=1e-4, rtol=0)
    assert data.train.target[0, 3].tolist() == [0, 0, 0, 0, 1, 1, 1, 1]


def test_full_size_is_the_picture_itself(bare: Path):
    square = {name: values[..., :HEIGHT] for name, values in pictures().items()}
    write_data(bare, **square)
    write_splits(bare, list(range(1, 9)), list(range(9, 13)))
    data = load_nyuv2(Place(bare), size=HEIGHT, classes=2, validation=0)
    everything = np.arange(COUNT)
    color = data.train.inputs["color"].column.take(everything, None)
    depth = data.train.inputs["depth"].column.take(everything, None)
    assert torch.equal(color, torch.as_tensor(square["images"]).float())
    torch.testing.assert_close(depth[:, 0], torch.as_tensor(square["depths"]))
    labels = square["labels"][8:].astype(int)
    assert data.classes == ("wall", "floor")
    assert np.array_equal(
        data.test.target.numpy(), np.where((labels < 1) | (labels > 2), UNSCORED, labels - 1)
    )


def test_missing_depth_stays_zero(bare: Path):
    depths = pictures()["depths"]
    depths[:, :, :16] = 0
    depths[:, :, 17] = 0
    write_data(bare, depths=depths)
    data = load_nyuv2(Place(bare), size=8, classes=2)
    depth = data.train.inputs["depth"].column.take(np.arange(COUNT), None)[:, 0]
    assert (depth[:, :, :4] == 0).all()
    assert (depth[:, :, 4:] >= 1).all()
    assert depth[0].max() < 1 + HEIGHT / 10


def test_13_classes_are_made_of_the_40(root: Path):
    forty, thirteen = (load_nyuv2(Place(root), size=8, classes=count, validation=0) for count in (40, 13))
    assert thirteen.classes == THIRTEEN
    expected = forty.train.target.clone()
    scored = expected != UNSCORED
    expected[scored] = torch.tensor(TO_THIRTEEN, dtype=torch.int16)[expected[scored].long()] - 1
    assert torch.equal(thirteen.train.target, expected)


def test_frequent_classes_need_no_mapping(bare: Path):
    write_splits(bare, list(range(1, 9)), list(range(9, 13)))
    data = load_nyuv2(Place(bare), size=8, classes=2, validation=0)
    assert data.classes == ("floor", "wall")
    assert set(data.train.target.unique().tolist()) == {UNSCORED, 0, 1}
    with pytest.raises(
        UserError, match=r"`classes` \(=894\) must be at most [3-6], that is how many the training"
    ):
        load_nyuv2(Place(bare), size=8, classes=894)


def test_without_official_split_scenes_stay_whole(bare: Path, capsys: pytest.CaptureFixture[str]):
    first, again, other = (
        load_nyuv2(Place(bare), size=4, classes=2, validation=0.3, seed=seed) for seed in (1, 1, 2)
    )
    assert "No official split in '" in capsys.readouterr().err
    parts = [set(part.labels["scene"].tolist()) for part in (first.train, first.validation, first.test)]
    assert sum(map(len, parts)) == len(set.union(*parts)) == 5
    assert first.split.test.tolist() == again.split.test.tolist()
    assert first.split.test.tolist() != other.split.test.tolist()


@pytest.mark.parametrize(("classes", "missing"), [(40, "classMapping40.mat"), (13, "class13Mapping.mat")])
def test_mapping_that_is_not_there(bare: Path, classes: int, missing: str):
    with pytest.raises(UserError, match=rf"(?s)`classes` \(={classes}\) needs .*{missing}.*nyuv2-meta-data"):
        load_nyuv2(Place(bare), size=4, classes=classes)
    assert not (bare / "maskfusion-cache").exists(), "it is said before anything is decoded"


@pytest.mark.parametrize(
    ("forty", "thirteen", "message"),
    [
        (TO_FORTY[:-1], TO_THIRTEEN, r"classMapping40\.mat' must map 6 classes to 0 to 40, it maps 5"),
        ([*TO_FORTY[:-1], 41], TO_THIRTEEN, r"it maps 6 to 0 to 41"),
        (TO_FORTY, TO_THIRTEEN[:-1], r"class13Mapping\.mat' must map 40 classes to 0 to 13, it maps 39"),
    ],
)
def test_mapping_of_other_classes(root: Path, forty: list[int], thirteen: list[int], message: str):
    write_mappings(root, forty, thirteen)
    with pytest.raises(UnreadableError, match=message):
        load_nyuv2(Place(root), size=4, classes=13)


def test_mapping_without_names(root: Path):
    struct = {"labels13": np.array([TO_THIRTEEN], dtype="uint8")}
    scipy.io.savemat(root / "class13Mapping.mat", {"classMapping13": struct})
    with pytest.raises(UnreadableError, match=r"classMapping13 must hold numbers and names"):
        load_nyuv2(Place(root), size=4, classes=13)
    (root / "classMapping40.mat").write_bytes(b"no file of MATLAB" * 20)
    with pytest.raises(UnreadableError, match=r"classMapping40\.mat' does not begin as a mat file does"):
        load_nyuv2(Place(root), size=4)


@pytest.mark.parametrize("test", [[0], [13], []])
def test_split_of_other_pictures(root: Path, test: list[int]):
    write_splits(root, list(range(1, 9)), test)
    with pytest.raises(
        UserError, match=r"must name each of the pictures 1 to 12 once; it names 8|testNdxs must have shape"
    ):
        load_nyuv2(Place(root), size=4)


def test_pictures_that_are_damaged(root: Path):
    depths, labels = pictures()["depths"], pictures()["labels"]
    depths[1, 0, 0], depths[2, 0, 0], labels[9, 0, 0] = np.nan, -1, 7
    path = write_data(root, depths=depths, labels=labels)
    with h5py.File(path) as file:
        chunk = file["images"].id.get_chunk_info(4)
    with path.open("r+b") as stream:
        stream.seek(chunk.byte_offset)
        stream.write(b"\x00" * (chunk.size // 2))
    reasons = (
        "0002: its depth",
        "0003: its depth",
        "0005: this part of",
        "0010: its labels must be 0 to 6, one is 7",
    )
    with pytest.raises(UnreadableError, match=r"(?s)4 of 12 samples.*" + ".*".join(reasons)):
        load_nyuv2(Place(root), size=4)
    data = load_nyuv2(Place(root, on_error="skip"), size=4, validation=0)
    assert [data.names[n] for n in data.split.train] == ["0001", "0004", "0006", "0007", "0008"]
    assert [data.names[n] for n in data.split.test] == ["0009", "0011", "0012"]
    assert sorted(data.left_out) == ["0002", "0003", "0005", "0010"]
    assert data.test.labels["scene"].tolist() == [4, 4, 4]
    assert torch.isfinite(data.train.everything().inputs["depth"]).all()


@pytest.mark.parametrize("share", [0.0, 0.01, 0.3, 0.9, 0.999])
def test_file_that_is_cut(root: Path, share: float):
    path = root / "nyu_depth_v2_labeled.mat"
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    for action in (load_nyuv2, check_nyuv2):
        with pytest.raises(
            UnreadableError, match=r"labeled\.mat' is (damaged, cut short or not of MATLAB's format|empty)"
        ):
            action(Place(root, on_error="skip"))


def test_file_with_other_contents(root: Path):
    write_data(root, depths=pictures()["depths"][:-1])
    with pytest.raises(UnreadableError, match=r"images are \(n, 3, width, height\), the others \(n, width"):
        load_nyuv2(Place(root))
    write_data(root, **{name: values.swapaxes(-1, -2) for name, values in pictures().items()})
    with pytest.raises(UnreadableError, match=r"\(12, 3, 24, 32\).* and pictures are wider than high"):
        load_nyuv2(Place(root))
    write_data(root, **{name: values[:-1] for name, values in pictures().items()})
    with pytest.raises(UnreadableError, match=r"scenes and sceneTypes must be one for each image"):
        load_nyuv2(Place(root))
    with h5py.File(write_data(root), "r+") as file:
        del file["scenes"]
        file["scenes"] = np.zeros((1, COUNT))
    with pytest.raises(UnreadableError, match=r"/scenes is no cell array of texts"):
        load_nyuv2(Place(root))
    with h5py.File(write_data(root), "r+") as file:
        del file["scenes"], file["labels"]
    with pytest.raises(UnreadableError, match=r"lacks \['labels', 'scenes'\]"):
        load_nyuv2(Place(root))


def test_nothing_there(tmp_path: Path):
    for action in (load_nyuv2, check_nyuv2):
        with pytest.raises(
            UserError, match=r"No 'nyu_depth_v2_labeled\.mat', no 'nyuv2_240.* in .*cs\.nyu\.edu"
        ):
            action(Place(tmp_path))


def test_h5py_is_named_where_it_is_missing(root: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(UserError, match=r"needs the package h5py: pip install .*\[media\]"):
        load_nyuv2(Place(root))


def test_decoded_once(root: Path, tmp_path: Path):
    place = Place(root, cache=tmp_path / "cache")
    first = load_nyuv2(place, size=4)
    before = sorted((tmp_path / "cache").rglob("*.record"))
    assert len(before) == 12
    second = load_nyuv2(replace(place, root=root / "nyu_depth_v2_labeled.mat"), size=4, classes=13)
    assert sorted((tmp_path / "cache").rglob("*.record")) == before
    assert torch.equal(first.test.everything().inputs["color"], second.test.everything().inputs["color"])
    assert not (root / "maskfusion-cache").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"modalities": ["normals"]}, r"`modalities` \(=\['normals'\]\) must be some of"),
        ({"validation": -0.1}, r"`validation` \(=-0\.1\) must be a share"),
        ({"size": 0}, r"`size` \(=0\)"),
        ({"classes": 0}, r"`classes` \(=0\)"),
    ],
)
def test_options_are_checked(options: dict[str, object], message: str):
    with pytest.raises(UserError, match=message):
        load("nyuv2", Place(), seed=0, options=options)


def test_check_says_what_is_there(root: Path):
    found = {(finding.what, finding.found): finding.good for finding in check_nyuv2(Place(root))}
    assert found == {
        ("folder", str(root)): True,
        ("files: size and first bytes", "1 good"): True,
        ("content of some samples", "8 good"): True,
        ("nyu_depth_v2_labeled.mat", "12"): False,
        ("nyu_depth_v2_labeled.mat", "32 x 24"): False,
        ("nyu_depth_v2_labeled.mat", "6"): False,
        ("splits.mat", "8"): False,
        ("splits.mat", "4"): False,
        ("classMapping40.mat", "there"): True,
        ("class13Mapping.mat", "there"): True,
    }
    assert not (root / "maskfusion-cache").exists()


def test_check_says_what_is_missing(bare: Path):
    found = {finding.what: finding.found for finding in check_nyuv2(Place(bare)) if not finding.good}
    assert found["splits.mat"] == "none: a test of whole scenes is drawn by the seed"
    assert found["classMapping40.mat"] == "none: 40 classes cannot be had"
