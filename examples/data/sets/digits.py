"""MNIST with SVHN: a written digit and a house number's, paired by the digit. Bring the files yourself."""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from examples.data.columns import Whole
from examples.data.contract import MultimodalData, split_and_standardise
from examples.data.pairs import Collection, Picked, last_tenth, pair_up
from examples.data.place import Finding, Place, counted, looked_in
from examples.data.reading.exact import exact
from examples.data.reading.files import UnreadableError, entry, locate
from examples.data.reading.matlab import numbers, read_mat
from examples.data.sets.mnist import CLASSES, as_maps, check_mnist, read_mnist
from examples.data.sets.mnist import SOURCE as MNIST

SVHN = (
    "SVHN, Y. Netzer et al., NIPS workshop 2011, http://ufldl.stanford.edu/housenumbers (non-commercial use): "
    "train_32x32.mat and test_32x32.mat of its format 2."
)
SOURCE = f"One folder with both. {MNIST} {SVHN}"
_FILES = {"training": "train_32x32.mat", "test": "test_32x32.mat"}
_TRAINING, _TEST = 73_257, 26_032
_SIDE = 32


def load_digits(
    place: Place,
    *,
    seed: int = 0,
    pairs: int = 20_000,
    validation_pairs: int = 5_000,
    test_pairs: int = 10_000,
) -> MultimodalData:
    """Return `mnist` ``(1, 32, 32)``, a digit with a border of two zeros, and `svhn` ``(3, 32, 32)``, the same digit.

    Every part is paired within itself, all ten digits equally often. The last tenth of each official training part
    is for validation. Validation and test pairs are the same for every seed.

    Args:
        place: Folder of both data sets.
        seed: Draws the training pairs.
        pairs: Number of training pairs. By default as many as leave most images with one partner; work on generating one from
            the other pairs each image with 20 or 30, more than a million pairs.
        validation_pairs: Number of validation pairs.
        test_pairs: Number of test pairs.

    Raises:
        UserError: A file is not there (says which, and where to get it), damaged or holds something else, or there are
            fewer pairs than that.
    """
    mnist, svhn = read_mnist(place), read_svhn(place)
    chosen, split = pair_up(mnist, svhn, (pairs, validation_pairs, test_pairs), seed=seed)
    return split_and_standardise(
        "digits",
        {
            "mnist": Whole(Picked(as_maps(mnist.values), chosen[:, 0])),
            "svhn": Whole(Picked(svhn.values, chosen[:, 1])),
        },
        torch.as_tensor(mnist.labels[chosen[:, 0]]),
        kinds={"mnist": "image", "svhn": "image"},
        classes=CLASSES,
        split=split,
        names=[f"mnist {left}, svhn {right}" for left, right in chosen.tolist()],
    )


def check_digits(place: Place) -> list[Finding]:
    """Read the files and count the images."""
    split = read_svhn(place).split
    return [
        *check_mnist(place),
        looked_in(_locate(place), "SVHN"),
        counted("SVHN, training", "images", len(split.train) + len(split.validation), _TRAINING),
        counted("SVHN, test", "images", len(split.test), _TEST),
    ]


def read_svhn(place: Place) -> Collection:
    """Return uint8 images in red, green and blue, ``(images, 3, 32, 32)``, the official test part last.

    The last tenth of the official training part is for validation.

    Raises:
        UserError: A file is not there, damaged or holds something else.
    """
    folder = _locate(place).folder()
    (images, labels), (test_images, test_labels) = (
        _read_part(entry(folder, name)) for name in _FILES.values()
    )
    return Collection(
        np.concatenate([images, test_images]),
        np.concatenate([labels, test_labels]),
        last_tenth(len(labels), len(test_labels)),
    )


def _locate(place: Place) -> Place:
    return locate(
        place,
        lambda folder: any(entry(folder, name).is_file() for name in _FILES.values()),
        sign=f"'{_FILES['training']}' and no '{_FILES['test']}'",
        source=SVHN,
    )


def _read_part(path: Path) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Read ``X``, uint8 ``(32, 32, 3, images)``, and ``y``, ``(images, 1)``, 1 to 10, where 10 is the digit 0."""
    if not path.is_file():
        raise UnreadableError(f"No file at '{path.absolute()}'. {SVHN}")
    found = read_mat(path, ["X", "y"])
    images = numbers(path, found, "X", (_SIDE, _SIDE, 3, None), np.uint8)
    labels = exact(found["y"].ravel(), np.int64, f"'{path}': y")
    if len(labels) != images.shape[-1] or not np.isin(labels, range(1, 11)).all():
        raise UnreadableError(
            f"'{path}' must hold as many labels y as images, 1 to 10; it holds X {images.shape} and y "
            f"{found['y'].shape}, {labels.min()} to {labels.max()}. {SVHN}"
        )
    return np.ascontiguousarray(images.transpose(3, 2, 0, 1)), labels % 10
