"""UCI Multiple Features: 2,000 handwritten digits, each seen in six ways. The file ships (CC BY 4.0)."""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from examples.data.contract import Kind, MultimodalData, split_and_standardise
from examples.data.place import Finding, Place, counted
from examples.data.reading.arrays import read_arrays
from examples.data.reading.files import UnreadableError
from examples.data.reading.records import Layout
from examples.data.splits import Split
from examples.errors import UserError

FILE = Path(__file__).with_name("mfeat.npz")
SOURCE = (
    "It is part of the repository; `python -m examples.data.sets.make_mfeat` makes it anew. Data: UCI Multiple "
    "Features, R. Duin, https://archive.ics.uci.edu/dataset/72/multiple+features."
)

FEATURES = {
    "pix": 240,  # pixel averages, an image of 16 x 15
    "fou": 76,  # Fourier coefficients of the shape
    "fac": 216,  # profile correlations
    "kar": 64,  # Karhunen-Loeve coefficients
    "zer": 47,  # Zernike moments
    "mor": 6,  # morphological features
}
_IMAGE = (1, 16, 15)
_DIGITS = 10
_SAMPLES = 2000


def load_mfeat(place: Place, *, seed: int = 0, labels: int = 300, validation: int = 0) -> MultimodalData:
    """Return the six views, with few labels to learn from and all other digits to be scored on.

    Args:
        place: Folder of ``mfeat.npz``, or the file; the one that ships by default.
        seed: Chooses the training digits, as many of each class, and those that choose the epoch.
        labels: Number of training digits, a multiple of ten.
        validation: Number of other digits that choose the epoch, a multiple of ten.
    """
    arrays = _read(place)
    inputs = {view: torch.as_tensor(arrays[view]) for view in FEATURES}
    inputs["pix"] = inputs["pix"].view(-1, *_IMAGE)
    kinds: dict[str, Kind] = {view: "image" if view == "pix" else "vector" for view in FEATURES}
    digit = torch.as_tensor(arrays["digit"])

    fewest = int(digit.bincount(minlength=_DIGITS).min())
    if labels % _DIGITS or not 0 < labels < fewest * _DIGITS:
        raise UserError(
            f"`labels` (={labels}) must be a multiple of {_DIGITS}, above 0 and below {fewest * _DIGITS}."
        )
    left = fewest * _DIGITS - labels
    if validation % _DIGITS or not 0 <= validation < left:
        raise UserError(
            f"`validation` (={validation}) must be a multiple of {_DIGITS}, from 0 and below {left}, what `labels` leaves."
        )

    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(digit), generator=generator)
    by_class = [order[digit[order] == value] for value in range(_DIGITS)]
    first, second = labels // _DIGITS, (labels + validation) // _DIGITS
    return split_and_standardise(
        "mfeat",
        inputs,
        digit,
        kinds=kinds,
        classes=tuple(str(value) for value in range(_DIGITS)),
        split=Split(
            train=torch.cat([positions[:first] for positions in by_class]).numpy(),
            validation=torch.cat([positions[first:second] for positions in by_class]).numpy(),
            test=torch.cat([positions[second:] for positions in by_class]).numpy(),
        ),
    )


def check_mfeat(place: Place) -> list[Finding]:
    """Read the file and count what is in it."""
    return [counted(FILE.name, "digits", len(_read(place)["digit"]), _SAMPLES)]


def _read(place: Place) -> dict[str, NDArray[np.generic]]:
    path = FILE if place.root is None else place.file(FILE.name)
    views = {view: Layout("float32", (features,)) for view, features in FEATURES.items()}
    arrays = read_arrays(path, {**views, "digit": Layout("int64", ())}, source=SOURCE)
    if not np.isin(arrays["digit"], range(_DIGITS)).all():
        raise UnreadableError(f"'{path}': array `digit` must hold 0 to {_DIGITS - 1}. {SOURCE}")
    return arrays
