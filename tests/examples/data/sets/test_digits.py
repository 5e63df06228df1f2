"""MNIST with SVHN on small files of both formats."""

from pathlib import Path

import numpy as np
import pytest
import scipy.io
import torch

from examples.data import load
from examples.data.contract import Modality, MultimodalData
from examples.data.place import Place
from examples.data.reading.files import UnreadableError
from examples.data.sets.digits import check_digits, load_digits, read_svhn
from examples.errors import UserError
from tests.examples.data.digit_files import mnist_arrays, write_mnist_npz, write_svhn

FEW = {"pairs": 100, "validation_pairs": 20, "test_pairs": 40}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_mnist_npz(tmp_path, mnist_arrays())
    write_svhn(tmp_path)
    return tmp_path


@pytest.fixture
def data(root: Path) -> MultimodalData:
    return load("digits", Place(root), seed=0, options=FEW)


def test_shapes_and_counts(data: MultimodalData):
    assert data.modalities == {
        "mnist": Modality("image", (1, 32, 32)),
        "svhn": Modality("image", (3, 32, 32)),
    }
    assert data.classes == tuple("0123456789")
    parts = [part for part in (data.train, data.validation, data.test) if part is not None]
    assert [len(part) for part in parts] == [100, 20, 40]
    assert [part.target.bincount().tolist() for part in parts] == [[10] * 10, [2] * 10, [4] * 10]


def test_both_images_show_the_target(data: MultimodalData):
    """The bar of the made MNIST lies the lower, the red of the made SVHN is the higher, the larger the digit."""
    inputs, target = data.test.everything()
    assert (inputs["mnist"][:, 0].sum(dim=2).argmax(dim=1) == 2 * target + 2).all()
    red = inputs["svhn"][:, 0].mean(dim=(1, 2))
    assert torch.corrcoef(torch.stack([red, target.float()]))[0, 1] == pytest.approx(1)


def test_svhn_is_upright_and_ten_is_zero(root: Path):
    svhn = read_svhn(Place(root))
    assert svhn.labels[:12].tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1]
    red, green, blue = svhn.values[13]
    assert set(red.ravel().tolist()) == {30}
    assert green[:, 7].tolist() == list(range(32))
    assert blue[7].tolist() == list(range(32))
    assert svhn.values.dtype == np.uint8


def test_parts_do_not_share_images(data: MultimodalData):
    """SVHN's training images 270 to 299 are for validation, the test images follow."""
    images = [
        {int(name.split()[-1]) for name in np.array(data.names)[part]} for part in vars(data.split).values()
    ]
    train, validation, test = images
    assert train <= set(range(270))
    assert validation <= set(range(270, 300))
    assert test <= set(range(300, 350))


def test_seed_draws_the_training_pairs_only(root: Path, data: MultimodalData):
    other = load_digits(Place(root), seed=1, **FEW)
    assert [set(data.names[:100]) == set(other.names[:100]), data.names[100:] == other.names[100:]] == [
        False,
        True,
    ]


def test_standardised_by_the_training_part(data: MultimodalData):
    inputs, _ = data.train.everything()
    for values in inputs.values():
        assert values.mean(dim=(0, 2, 3)).abs().max() < 1e-4
        assert values.dtype == torch.float32


def test_too_many_pairs(root: Path):
    with pytest.raises(UserError, match="Part `train`: 20000 pairs take 2000 of class 0, and there are 972"):
        load_digits(Place(root))


def test_missing_svhn(root: Path):
    (root / "test_32x32.mat").unlink()
    with pytest.raises(UserError, match=r"No file at '.*test_32x32.mat'. SVHN, .*housenumbers"):
        load_digits(Place(root), **FEW)


def test_damaged_svhn(root: Path):
    path = root / "train_32x32.mat"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(UnreadableError, match=r"train_32x32.mat' is damaged"):
        load_digits(Place(root), **FEW)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"y": np.zeros((9, 1), dtype="uint8")}, r"it holds X \(32, 32, 3, 9\) and y \(9, 1\)"),
        ({"y": np.ones((8, 1), dtype="uint8")}, r"it holds X \(32, 32, 3, 9\) and y \(8, 1\)"),
        (
            {"X": np.zeros((28, 28, 3, 9), dtype="uint8")},
            r"X must have shape \(32, 32, 3, 'any'\); it has \(28, 28",
        ),
        ({"X": np.full((32, 32, 3, 9), 0.5)}, r"X must hold whole numbers from 0 to 255; it holds 0\.5"),
        ({"y": np.full((9, 1), 1.5)}, r"y must hold whole numbers from -\d+ to \d+; it holds 1\.5"),
    ],
)
def test_something_else(root: Path, change: dict[str, np.ndarray], words: str):
    good = {"X": np.zeros((32, 32, 3, 9), dtype="uint8"), "y": np.ones((9, 1), dtype="uint8")}
    scipy.io.savemat(root / "test_32x32.mat", good | change)
    with pytest.raises(UnreadableError, match=words):
        load_digits(Place(root), **FEW)


def test_check_counts(root: Path):
    assert [(finding.what, finding.found, finding.good) for finding in check_digits(Place(root))] == [
        ("folder", str(root), True),
        ("MNIST, training", "400", False),
        ("MNIST, test", "60", False),
        ("folder", str(root), True),
        ("SVHN, training", "300", False),
        ("SVHN, test", "50", False),
    ]
