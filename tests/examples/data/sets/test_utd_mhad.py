"""UTD-MHAD on small files of its format, damaged ones too, and on the real file."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import scipy.io

from examples.data.contract import Modality
from examples.data.place import Place
from examples.data.sets.utd_clips import read_clips
from examples.data.sets.utd_mhad import check_utd_mhad, load_utd_mhad
from examples.errors import UserError
from tests.support.real_data import real_data


def test_utd_protocol(utd_root: Path):
    data = load_utd_mhad(Place(utd_root))
    assert (len(data.train), len(data.test), len(data.classes)) == (27, 27, 27)
    assert data.modalities == {
        "depth": Modality("image", (16, 32, 32)),
        "skeleton": Modality("image", (3, 32, 32)),
    }


def test_skeleton_as_a_sequence(utd_root: Path, utd_arrays: dict[str, np.ndarray]):
    data = load_utd_mhad(Place(utd_root), modalities=["skeleton"], skeleton="sequence")
    assert data.modalities == {"skeleton": Modality("sequence", (60, 48))}
    values = data.in_units("skeleton", data.train.everything().inputs["skeleton"]).numpy()
    clips = utd_arrays["skeleton"][:27].astype("float32")
    assert np.allclose(values[:, 3 * 5 + 1, 7], clips[:, 7, 5, 1] - clips[:, 0, 2, 1], atol=1e-4)
    assert np.allclose(values[:, 6:9, 0], 0, atol=1e-5), "the spine at first"
    _, deviation = data.scales["skeleton"]
    moved = (clips - clips[:, :1, 2:3]).reshape(-1, 60)
    assert deviation.unique().tolist() == pytest.approx([np.sqrt(moved.var(axis=0).mean())], rel=1e-3)
    with pytest.raises(UserError, match=r"`skeleton` \(='curves'\) must be 'map' or 'sequence'"):
        load_utd_mhad(Place(utd_root), skeleton="curves")


@pytest.mark.parametrize(("seed", "held"), [(0, [1]), (1, [3]), (3, [7]), (4, [1])])
def test_validation_subjects_take_turns(
    utd_root: Path, utd_arrays: dict[str, np.ndarray], seed: int, held: list[int]
):
    utd_arrays["subject"] = np.arange(54, dtype="uint8") % 8 + 1
    np.savez(utd_root / "utd_mhad.npz", **utd_arrays)
    data = load_utd_mhad(Place(utd_root), seed=seed, validation=1)
    assert sorted(set(data.validation.labels["subject"].tolist())) == held
    assert sorted(set(data.train.labels["subject"].tolist())) == sorted({1, 3, 5, 7} - set(held))
    assert sorted(set(data.test.labels["subject"].tolist())) == [2, 4, 6, 8]
    two = load_utd_mhad(Place(utd_root), seed=3, validation=2)
    assert sorted(set(two.validation.labels["subject"].tolist())) == [1, 7]


@pytest.mark.parametrize("validation", [-1, 4])
def test_too_many_validation_subjects(utd_root: Path, validation: int):
    with pytest.raises(
        UserError, match=rf"`validation` \(={validation}\) must be at least 0 and below 4 subjects"
    ):
        load_utd_mhad(Place(utd_root), validation=validation)


def test_utd_root_may_be_the_file(utd_root: Path):
    assert len(load_utd_mhad(Place(utd_root / "utd_mhad.npz")).train) == 27


def test_utd_missing_file(tmp_path: Path):
    with pytest.raises(UserError) as error:
        load_utd_mhad(Place(tmp_path))
    text = str(error.value)
    for part in (
        f"No 'utd_mhad.npz' and no official files like a1_s1_t1_depth.mat in '{tmp_path}'",
        "https://personal.utdallas.edu/~kehtar/UTD-MHAD.html",
        "--root",
    ):
        assert part in text


def test_utd_missing_array(utd_root: Path, utd_arrays: dict[str, np.ndarray]):
    del utd_arrays["skeleton"], utd_arrays["action"]
    np.savez(utd_root / "utd_mhad.npz", **utd_arrays)
    with pytest.raises(UserError, match=r"lacks the arrays \['skeleton', 'action'\].*ICIP 2015"):
        load_utd_mhad(Place(utd_root))


def test_utd_wrong_shape(utd_root: Path, utd_arrays: dict[str, np.ndarray]):
    utd_arrays["depth"] = utd_arrays["depth"][:, :8]
    np.savez(utd_root / "utd_mhad.npz", **utd_arrays)
    with pytest.raises(UserError, match=r"array `depth` has shape \(54, 8, 56, 56\), not \(n, 16, 56, 56\)"):
        load_utd_mhad(Place(utd_root))


def test_utd_unequal_counts(utd_root: Path, utd_arrays: dict[str, np.ndarray]):
    utd_arrays["action"] = utd_arrays["action"][:50]
    np.savez(utd_root / "utd_mhad.npz", **utd_arrays)
    with pytest.raises(UserError, match=r"must have as many samples each.*'action': 50"):
        load_utd_mhad(Place(utd_root))


@pytest.mark.parametrize(
    ("name", "rule"), [("action", "must hold 0 to 26"), ("subject", "odd and even numbers")]
)
def test_utd_wrong_numbers(utd_root: Path, utd_arrays: dict[str, np.ndarray], name: str, rule: str):
    utd_arrays[name] = np.full_like(utd_arrays[name], 27)
    np.savez(utd_root / "utd_mhad.npz", **utd_arrays)
    with pytest.raises(UserError, match=rf"array `{name}` must hold|array `{name}`.*{rule}"):
        load_utd_mhad(Place(utd_root))


@pytest.mark.parametrize("keep", [0, 10, 3000, -40])
def test_damaged_file(utd_root: Path, keep: int):
    path = utd_root / "utd_mhad.npz"
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(
        UserError, match=r"is damaged or cut short .*Expected a NumPy .npz file|npz' is empty"
    ):
        load_utd_mhad(Place(utd_root))


def test_damaged_inside(utd_root: Path):
    path = utd_root / "utd_mhad.npz"
    content = bytearray(path.read_bytes())
    content[2000:2100] = bytes(100)
    path.write_bytes(content)
    with pytest.raises(UserError, match="is damaged or cut short"):
        load_utd_mhad(Place(utd_root))


def test_not_an_archive(utd_root: Path):
    np.save(utd_root / "plain.npy", np.zeros(3))
    shutil.copy(utd_root / "plain.npy", utd_root / "utd_mhad.npz")
    with pytest.raises(UserError, match="does not begin as a npz file does"):
        load_utd_mhad(Place(utd_root))


def test_no_pickles(utd_root: Path, utd_arrays: dict[str, np.ndarray]):
    utd_arrays["action"] = utd_arrays["action"].astype(object)
    np.savez(utd_root / "utd_mhad.npz", **utd_arrays)
    with pytest.raises(UserError, match=r"is damaged or cut short .*allow_pickle"):
        load_utd_mhad(Place(utd_root))


def test_utd_real_file():
    place = Place(real_data("utd_mhad/utd_mhad.npz").parent)
    data = load_utd_mhad(place)
    assert (len(data.train), len(data.test)) == (431, 430)
    assert data.train.target.unique().tolist() == list(range(27))
    assert all(finding.good for finding in check_utd_mhad(place))


def test_utd_any_modalities_in_order(utd_root: Path):
    data = load_utd_mhad(Place(utd_root), modalities=["inertial", "depth"])
    assert data.modalities == {
        "inertial": Modality("sequence", (6, 128)),
        "depth": Modality("image", (16, 32, 32)),
    }
    with pytest.raises(
        UserError, match=r"`modalities` \(=\['sound'\]\) must be some of \['depth', 'skeleton',"
    ):
        load_utd_mhad(Place(utd_root), modalities=["sound"])


def test_utd_validation_is_whole_subjects_of_the_training_part(
    utd_root: Path, utd_arrays: dict[str, np.ndarray]
):
    utd_arrays["subject"] = np.resize(np.array([1, 2, 3, 4], dtype="uint8"), 54)
    np.savez(utd_root / "utd_mhad.npz", **utd_arrays)
    data = load_utd_mhad(Place(utd_root), validation=[3])
    assert data.validation is not None
    assert [part.labels["subject"].unique().tolist() for part in (data.train, data.validation, data.test)] == [
        [1], [3], [2, 4]
    ]  # fmt: skip
    with pytest.raises(UserError, match=r"`validation` \(=\[4\]\) must be odd subjects"):
        load_utd_mhad(Place(utd_root), validation=[4])


def test_utd_is_checked(utd_root: Path):
    found = check_utd_mhad(Place(utd_root))
    assert [finding.good for finding in found] == [True, False, True, False]
    assert (found[1].expected, found[1].found) == ("861 clips", "54")


def write_official(root: Path, clips: int = 8) -> Path:
    """Write the official files: depth, joints and sensor of which each says its moment."""
    for number in range(clips):
        name, frames = f"a{number % 2 + 1}_s{number + 1}_t1", 31
        depth = np.zeros((240, 320, frames), dtype="int16")
        depth[60:180, 100:220] = 1600 + 16 * np.arange(frames)
        joints = np.broadcast_to(np.arange(frames) / 10 + number, (20, 3, frames))
        sensor = np.broadcast_to(np.arange(200.0)[:, None], (200, 6))
        for folder, end, values in (
            ("Depth", "depth", {"d_depth": depth}),
            ("Skeleton", "skeleton", {"d_skel": joints}),
            ("Inertial", "inertial", {"d_iner": sensor}),
        ):
            (root / folder).mkdir(parents=True, exist_ok=True)
            scipy.io.savemat(root / folder / f"{name}_{end}.mat", values)
            (root / folder / f"._{name}_{end}.mat").write_bytes(b"what a Mac leaves behind")
    return root


def test_official_files(tmp_path: Path):
    root = write_official(tmp_path / "UTD-MHAD")
    arrays, left_out = read_clips(Place(root), ["depth", "skeleton", "inertial"])
    assert not left_out
    assert arrays["action"].tolist() == [0, 0, 0, 0, 1, 1, 1, 1]
    assert arrays["subject"].tolist() == [1, 3, 5, 7, 2, 4, 6, 8]
    depth = arrays["depth"]
    assert depth.shape == (8, 16, 56, 56)
    assert depth[0, :, 28, 28].tolist() == [
        100 + 2 * moment for moment in range(16)
    ]  # of 31 frames every second
    assert (depth[0, 0, :12] == 0).all()
    assert (depth[0, 0, 16:40, 16:40] == 100).all()
    np.testing.assert_allclose(arrays["skeleton"][1, :, 5, 2], np.linspace(2, 5, 48), rtol=1e-5)
    np.testing.assert_allclose(arrays["inertial"][0, :, 3], np.linspace(0, 199, 128), rtol=1e-5)


@pytest.mark.parametrize("named", [".", "..", "Skeleton"])
def test_official_files_are_found_and_checked(tmp_path: Path, named: str):
    root = write_official(tmp_path / "UTD-MHAD")
    place = Place((root / named).resolve(), tmp_path / "cache")
    data = load_utd_mhad(place, modalities=["skeleton", "inertial"])
    assert (len(data.train), len(data.test)) == (4, 4)
    found = check_utd_mhad(place)
    assert found[0].found == str(root)
    assert [finding.good for finding in found] == [True, False, False, True, *[True] * 6]


def test_official_files_that_are_bad(tmp_path: Path):
    root = write_official(tmp_path / "UTD-MHAD")
    (root / "Depth" / "a1_s1_t1_depth.mat").unlink()
    scipy.io.savemat(root / "Skeleton" / "a1_s3_t1_skeleton.mat", {"d_skel": np.zeros((20, 2, 9))})
    with pytest.raises(UserError, match=r"a1_s1_t1: '.*Depth.a1_s1_t1_depth\.mat' cannot be opened"):
        load_utd_mhad(Place(root))
    data = load_utd_mhad(Place(root, on_error="skip"))
    assert len(data.train) == 2
    assert sorted(data.left_out) == ["a1_s1_t1", "a1_s3_t1"]
    assert "d_skel must have shape (20, 3, 'any'); it has (20, 2, 9)" in data.left_out["a1_s3_t1"]


def test_archives_that_are_not_unpacked(tmp_path: Path):
    for name in ("Depth.zip", "Skeleton.zip"):
        (tmp_path / name).write_bytes(b"PK")
    for place in (Place(tmp_path), Place(tmp_path / "Depth.zip")):
        with pytest.raises(
            UserError, match=r"There: Depth\.zip, Skeleton\.zip\. Unpack Depth\.zip, Skeleton\.zip first\."
        ):
            load_utd_mhad(place)
