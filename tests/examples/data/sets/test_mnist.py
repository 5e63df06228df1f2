"""MNIST from idx files and from an npz file, whole and damaged, and the real one."""

import gzip
from pathlib import Path

import numpy as np
import pytest

from examples.data.place import Place
from examples.data.reading.files import UnreadableError
from examples.data.sets.mnist import as_maps, check_mnist, read_mnist
from examples.errors import UserError
from tests.examples.data.digit_files import idx, mnist_arrays, write_mnist_idx, write_mnist_npz
from tests.support.real_data import real_data

ARRAYS = mnist_arrays()
IMAGES, LABELS = "train-images-idx3-ubyte", "train-labels-idx1-ubyte"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_mnist_idx(tmp_path, ARRAYS, packed=False)
    return tmp_path


def test_all_sources_agree(tmp_path: Path):
    write_mnist_npz(tmp_path / "npz", ARRAYS)
    write_mnist_idx(tmp_path / "idx", ARRAYS, packed=False)
    write_mnist_idx(tmp_path / "gz", ARRAYS, packed=True)
    for source in ("npz", "idx", "gz"):
        digits = read_mnist(Place(tmp_path / source))
        assert digits.values.dtype == np.uint8
        assert np.array_equal(digits.values, np.concatenate([ARRAYS["x_train"], ARRAYS["x_test"]]))
        assert digits.labels.tolist() == [*ARRAYS["y_train"], *ARRAYS["y_test"]]


def test_last_tenth_of_training_is_validation(root: Path):
    split = read_mnist(Place(root)).split
    assert split.train.tolist() == list(range(360))
    assert split.validation.tolist() == list(range(360, 400))
    assert split.test.tolist() == list(range(400, 460))


def test_a_file_may_be_packed_on_its_own(root: Path):
    write_mnist_idx(root, ARRAYS, packed=True)
    for path in root.glob("train-*-ubyte"):
        path.unlink()
    assert len(read_mnist(Place(root)).labels) == 460


def test_maps_have_a_border():
    maps = as_maps(ARRAYS["x_train"][:3])
    assert maps.shape == (3, 1, 32, 32)
    assert np.array_equal(maps[:, 0, 2:-2, 2:-2], ARRAYS["x_train"][:3])
    assert maps.sum() == ARRAYS["x_train"][:3].sum()


def test_what_was_looked_for(tmp_path: Path):
    with pytest.raises(UserError) as error:
        read_mnist(Place(tmp_path))
    for word in (str(tmp_path), "'mnist.npz'", f"'{IMAGES}', plain or as .gz", "yann.lecun.com"):
        assert word in str(error.value)


def test_a_part_that_is_missing(root: Path):
    (root / "t10k-labels-idx1-ubyte").unlink()
    with pytest.raises(UserError, match=r"lacks .t10k-labels-idx1-ubyte., plain or as"):
        read_mnist(Place(root))


def test_cut_short(root: Path):
    path = root / IMAGES
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(UnreadableError, match=r"shape \(400, 28, 28\) and holds 313,599 bytes.* and 313,600"):
        read_mnist(Place(root))


def test_images_where_labels_should_be(root: Path):
    (root / LABELS).write_bytes((root / IMAGES).read_bytes())
    with pytest.raises(UnreadableError, match=f"{LABELS}' is no idx file of bytes with 1 axes"):
        read_mnist(Place(root))


def test_images_of_another_size(root: Path):
    (root / IMAGES).write_bytes(idx(np.zeros((400, 32, 32), dtype="uint8")))
    with pytest.raises(UnreadableError, match=r"shape \(400, 32, 32\).* expected are \(28, 28\)"):
        read_mnist(Place(root))


@pytest.mark.parametrize("labels", [ARRAYS["y_train"][:-1], ARRAYS["y_train"] + 1])
def test_labels_that_do_not_fit(root: Path, labels: np.ndarray):
    (root / LABELS).write_bytes(idx(labels))
    with pytest.raises(
        UnreadableError, match=f"{LABELS}' must have a label from 0 to 9 for each of 400 images"
    ):
        read_mnist(Place(root))


def test_damaged_archive(tmp_path: Path):
    write_mnist_idx(tmp_path, ARRAYS, packed=True)
    path = tmp_path / f"{IMAGES}.gz"
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(UnreadableError, match=f"{IMAGES}.gz' is damaged or cut short"):
        read_mnist(Place(tmp_path))


def test_damaged_npz(tmp_path: Path):
    (tmp_path / "mnist.npz").write_bytes(b"no archive")
    with pytest.raises(UserError, match=r"mnist.npz' does not begin as a npz file does; get it again"):
        read_mnist(Place(tmp_path))


def test_check_counts(root: Path):
    assert check_mnist(Place(root)) == [
        ("folder", "MNIST", str(root), True),
        ("MNIST, training", "60,000 digits", "400", False),
        ("MNIST, test", "10,000 digits", "60", False),
    ]


@pytest.mark.parametrize("folder", ["", "raw", "MNIST/raw"])
@pytest.mark.parametrize("name", ["{}", "{}.gz"])
def test_other_names_and_folders(root: Path, folder: str, name: str):
    """As other copies call them, and where torchvision puts them."""
    (root / folder).mkdir(parents=True, exist_ok=True)
    for path in root.glob("*-ubyte"):
        content = path.read_bytes()
        path.unlink()
        other = root / folder / name.format(path.name.replace("-idx", ".idx"))
        other.write_bytes(gzip.compress(content) if name.endswith("gz") else content)
        other.with_name("._" + other.name).write_bytes(b"what a Mac leaves behind")
    assert read_mnist(Place(root)).labels.tolist() == [*ARRAYS["y_train"], *ARRAYS["y_test"]]
    assert check_mnist(Place(root))[0].found == str((root / folder).resolve())


def test_images_in_shares_are_no_bytes(tmp_path: Path):
    write_mnist_npz(tmp_path, {**ARRAYS, "x_test": (ARRAYS["x_test"] / 255).astype("float32")})
    with pytest.raises(
        UnreadableError, match=r"array `x_test` must hold whole numbers from 0 to 255; it holds 0\."
    ):
        read_mnist(Place(tmp_path))


def test_real_file():
    folder = real_data("digits/mnist.npz").parent
    assert all(finding.good for finding in check_mnist(Place(folder)))
    digits = read_mnist(Place(folder))
    assert digits.labels[:5].tolist() == [5, 0, 4, 1, 9]
    assert np.bincount(digits.labels[digits.split.test]).tolist() == [
        980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009,
    ]  # fmt: skip
