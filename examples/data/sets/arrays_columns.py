"""Arrays as modalities: which kind the shape tells, and their values as the network reads them."""

import math
import re
from typing import Literal, NamedTuple, TypeAlias, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from examples.data.contract import Kind
from examples.data.reading.bundles import Stored, Values
from examples.errors import UserError

Read: TypeAlias = Literal["vector", "sequence", "image", "channels-last"]
_KINDS: tuple[Read, ...] = get_args(Read)
_SMALLEST = 4  # that encoders of images and sequences can halve twice
_COLOURS = 4  # channels that an image has at most, for its last axis to be taken for them
_BLOCK = 1 << 22  # values that are looked at together
_LARGEST = float(np.finfo(np.float32).max)


class Form(NamedTuple):
    """How the values of one sample are read.

    Attributes:
        kind: Kind of the modality.
        shape: Shape of one sample, channels first.
        last: Whether the file has the channels in the last axis.
    """

    kind: Kind
    shape: tuple[int, ...]
    last: bool = False

    def __str__(self) -> str:
        """Return it in words."""
        channels, *sizes = self.shape
        where = ", channels in the last axis" if self.last else ""
        words = f"{channels} channel{'' if channels == 1 else 's'}"
        match self.kind:
            case "vector":
                return f"vector of {channels}"
            case "sequence":
                return f"sequence of {sizes[0]}, {words}{where}"
            case _:
                return f"image, {sizes[0]} x {sizes[1]}, {words}{where}"


def form_of(name: str, shape: tuple[int, ...], read: str | None) -> Form:
    """Return how an array is read.

    Args:
        name: Name of the array.
        shape: Shape of one sample in the file.
        read: One of vector, sequence, image and channels-last; None where the shape tells.

    Raises:
        UserError: There is no such kind, or the shape does not fit it, or tells none.
    """
    wrong = f"`kinds` of '{name}' (='{read}')"
    forms: dict[tuple[str | None, int], Form] = {("vector", len(shape)): Form("vector", (math.prod(shape),))}
    match shape:
        case (length,):
            forms["sequence", 1] = Form("sequence", (1, length))
        case (first, last):
            forms["sequence", 2] = Form("sequence", shape)
            forms["image", 2] = Form("image", (1, *shape))
            forms["channels-last", 2] = Form("sequence", (last, first), last=True)
        case (first, second, last):
            forms["image", 3] = Form("image", shape)
            forms["channels-last", 3] = Form("image", (last, first, second), last=True)
    if read is None:
        told = forms.get((_told(shape), len(shape)))
        if told is None:
            raise UserError(
                f"'{name}' has {len(shape) + 1} axes; a modality has at most 4. --data_options.kinds '{{{name}: vector}}' "
                "makes a vector of each sample, or reshape it."
            )
        return told
    if read not in _KINDS:
        raise UserError(f"{wrong} must be one of {list(_KINDS)}.")
    form = forms.get((read, len(shape)))
    if form is None:
        raise UserError(f"{wrong} does not fit its shape (n{''.join(f', {size}' for size in shape)}).")
    if form.kind != "vector" and min(form.shape[1:]) < _SMALLEST:
        raise UserError(
            f"{wrong} needs sizes of at least {_SMALLEST}; it has {form.shape[1:]}, in shape {shape}."
        )
    return form


def _told(shape: tuple[int, ...]) -> Read:
    """Return the kind that a shape tells; what is too small for a map is a vector."""
    axes = len(shape)
    if axes not in (2, 3):
        return "vector" if axes < 2 else "image"  # which no shape of more axes is
    *sizes, last = shape
    few = last < _SMALLEST if axes == 2 else last <= _COLOURS < sizes[0]
    if few and min(sizes) >= _SMALLEST:
        return "channels-last"
    if min(shape[1:]) < _SMALLEST:
        return "vector"
    return "sequence" if axes == 2 and sizes[0] != last else "image"


class Given:
    """The values of an array as a column: float32, channels first, NaN where a value is missing.

    Args:
        name: Name of the array.
        values: The array, ``(samples, ...)``; one that is mapped into memory is read as needed.
        form: How it is read.

    Attributes:
        absent: Number of samples whose values are all missing.
        missing: Share of the values of the other samples that are missing.

    Raises:
        UserError: A value is infinite, or too large for float32, or all are missing.
    """

    def __init__(self, name: str, values: Values, form: Form) -> None:
        self.values, self.form = values, form
        self.absent, self.missing = self._look(name)

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one sample."""
        return self.form.shape

    def __len__(self) -> int:
        """Return the number of samples."""
        return len(self.values)

    def take(self, index: NDArray[np.int64], generator: torch.Generator | None) -> Tensor:
        """Return the samples of `index`; nothing is drawn."""
        del generator
        values = torch.as_tensor(_as_float(self.values[index]))
        values = values.movedim(-1, 1) if self.form.last else values
        return values.reshape(len(index), *self.form.shape)

    def _look(self, name: str) -> tuple[int, float]:
        size = math.prod(self.form.shape)
        step = max(1, _BLOCK // size)
        absent, missing = 0, 0
        for start in range(0, len(self), step):
            block = _as_float(self.values[start : start + step]).reshape(-1, size)
            gone = np.isnan(block)
            if np.isinf(block).any():
                row = start + int(np.isinf(block).any(axis=1).argmax())
                raise UserError(
                    f"'{name}' holds a value that is infinite or above {_LARGEST:.3g}, in row {row}, counted from 0. Mend it, "
                    "or make it NaN, a missing value."
                )
            wholly = gone.all(axis=1)
            absent += int(wholly.sum())
            missing += int(gone[~wholly].sum())
        if absent == len(self):
            raise UserError(f"'{name}' holds NaN only, so every sample lacks it; leave it out.")
        return absent, missing / ((len(self) - absent) * size)


def _as_float(values: Values) -> NDArray[np.float32]:
    """Return values of any numeric type and byte order as float32."""
    if isinstance(values, Tensor):
        values = values.float().numpy()
    with np.errstate(over="ignore"):  # becomes infinite, which is refused
        return np.ascontiguousarray(values, dtype=np.float32)


def expect_name(name: str) -> None:
    """Refuse what cannot be the name of a modality: it becomes a folder, a row and a part of the network.

    Raises:
        UserError: It has other signs than letters, digits, _, - and blanks, or networks have an attribute of that name.
    """
    if not re.fullmatch(r"\w([\w -]*\w)?", name):
        raise UserError(
            f"'{name}' cannot be the name of a modality, which is made of letters, digits, _, - and blanks; rename the array."
        )
    if hasattr(nn.ModuleDict(), name):
        raise UserError(
            f"'{name}' cannot be the name of a modality, as PyTorch's modules have an attribute of that name; rename the array."
        )


def expect_numbers(name: str, stored: Stored) -> None:
    """Refuse what holds no numbers.

    Raises:
        UserError: Says what it holds.
    """
    if stored.kind not in "biuf":
        raise UserError(
            f"'{name}', of type {stored.type}, holds {stored.holds}; a modality must hold numbers. Convert it to numbers and save it "
            "again, or list the arrays to use: --data_options.modalities '[...]'."
        )
    if 0 in stored.shape:
        raise UserError(f"'{name}' is empty, its shape is {stored.shape}; leave it out.")
