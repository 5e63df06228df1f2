"""UTD-MHAD on small files of its format, damaged ones too, and on the real file."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from examples.data.contract import Modality
from examples.data.place import Place
from examples.data.sets.utd_mhad import check_utd_mhad, load_utd_mhad
from tests.support.real_data import real_data


def test_utd_protocol(utd_root: Path):
    data = load_utd_mhad(Place(utd_root))
    assert (len(data.train), len(data.test), len(data.classes)) == (27, 27, 27)
    assert data.modalities == {
        "depth": Modality("image", (16, 32, 32)),
        "skeleton": Modality("image", (3, 32, 32)),
    }


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
        ValueError, match=rf"`validation` \(={validation}\) must be at least 0 and below 4 subjects"
    ):
        load_utd_mhad(Place(utd_root), validation=validation)


def test_utd_root_may_be_the_file(utd_root: Path):
    assert len(load_utd_mhad(Place(utd_root / "utd_mhad.npz")).train) == 27


def test_utd_missing_file(tmp_path: Path):
    with pytest.raises(FileNotFoundError) as error:
        load_utd_mhad(Place(tmp_path))
    text = str(error.value)
    for part in (
        f"No file at '{tmp_path / 'utd_mhad.npz'}'",
        "depth (n, 16, 56, 56), skeleton (n, 48, 20, 3), action (n,), subject (n,)",
        "https://personal.utdallas.edu/~kehtar/UTD-MHAD.html",
        "--root",
    ):
        assert part in text


def test_utd_missing_array(utd_root: Path, utd_arrays: dict[str, np.ndarray]):
    del utd_arrays["skeleton"], utd_arrays["action"]
    np.savez(utd_root / "utd_mhad.npz", **utd_arrays)
    with pytest.raises(ValueError, match=r"lacks the arrays \['skeleton', 'action'\].*ICIP 2015"):
        load_utd_mhad(Place(utd_root))


def test_utd_wrong_shape(utd_root: Path, utd_arrays: dict[str, np.ndarray]):
    utd_arrays["depth"] = utd_arrays["depth"][:, :8]
    np.savez(utd_root / "utd_mhad.npz", **utd_arrays)
    with pytest.raises(ValueError, match=r"array `depth` has shape \(54, 8, 56, 56\), not \(n, 16, 56, 56\)"):
        load_utd_mhad(Place(utd_root))


def test_utd_unequal_counts(utd_root: Path, utd_arrays: dict[str, np.ndarray]):
    utd_arrays["action"] = utd_arrays["action"][:50]
    np.savez(utd_root / "utd_mhad.npz", **utd_arrays)
    with pytest.raises(ValueError, match=r"disagree on the number of samples.*'action': 50"):
        load_utd_mhad(Place(utd_root))


@pytest.mark.parametrize(
    ("name", "rule"), [("action", "must hold 0 to 26"), ("subject", "odd and even numbers")]
)
def test_utd_wrong_numbers(utd_root: Path, utd_arrays: dict[str, np.ndarray], name: str, rule: str):
    utd_arrays[name] = np.full_like(utd_arrays[name], 27)
    np.savez(utd_root / "utd_mhad.npz", **utd_arrays)
    with pytest.raises(ValueError, match=rf"array `{name}` must hold|array `{name}`.*{rule}"):
        load_utd_mhad(Place(utd_root))


@pytest.mark.parametrize("keep", [0, 10, 3000, -40])
def test_damaged_file(utd_root: Path, keep: int):
    path = utd_root / "utd_mhad.npz"
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ValueError, match=r"is damaged or cut short .*Expected a NumPy .npz file"):
        load_utd_mhad(Place(utd_root))


def test_damaged_inside(utd_root: Path):
    path = utd_root / "utd_mhad.npz"
    content = bytearray(path.read_bytes())
    content[2000:2100] = bytes(100)
    path.write_bytes(content)
    with pytest.raises(ValueError, match="is damaged or cut short"):
        load_utd_mhad(Place(utd_root))


def test_not_an_archive(utd_root: Path):
    np.save(utd_root / "plain.npy", np.zeros(3))
    shutil.copy(utd_root / "plain.npy", utd_root / "utd_mhad.npz")
    with pytest.raises(ValueError, match="is damaged or cut short"):
        load_utd_mhad(Place(utd_root))


def test_no_pickles(utd_root: Path, utd_arrays: dict[str, np.ndarray]):
    utd_arrays["action"] = utd_arrays["action"].astype(object)
    np.savez(utd_root / "utd_mhad.npz", **utd_arrays)
    with pytest.raises(ValueError, match=r"is damaged or cut short .*allow_pickle"):
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
        ValueError, match=r"`modalities` \(=\['sound'\]\) must be some of \['depth', 'skeleton',"
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
    with pytest.raises(ValueError, match=r"`validation` \(=\[4\]\) must be odd subjects"):
        load_utd_mhad(Place(utd_root), validation=[4])


def test_utd_is_checked(utd_root: Path):
    found = check_utd_mhad(Place(utd_root))
    assert [finding.good for finding in found] == [False, True, False]
    assert (found[0].expected, found[0].found) == ("861 clips", "54")
