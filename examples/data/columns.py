"""Where the values of one modality come from: memory, a file that is read as needed, or the frames of a clip."""

from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

_BLOCK = 256  # samples that are read at once for the statistics
_CONSTANT = 1e-9  # a deviation of less than this share of the mean is rounding


class Rows(Protocol):
    """An array, or a file that is read like one: ``(samples, ...)``, any numeric dtype."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the whole array."""

    def __len__(self) -> int:
        """Return the number of samples."""

    def __getitem__(self, index: Any, /) -> Any:
        """Return what NumPy's indexing returns."""


class Column(Protocol):
    """One modality of many samples.

    Attributes:
        shape: Shape of one sample.
    """

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one sample."""

    def __len__(self) -> int:
        """Return the number of samples."""

    def take(self, index: NDArray[np.int64], generator: torch.Generator | None) -> Tensor:
        """Return the samples of `index` as float32, ``(len(index), *shape)``.

        Args:
            index: Positions.
            generator: Decides what is drawn anew in every epoch; None outside training.
        """


class Whole:
    """Every sample as it is.

    Args:
        values: ``(samples, *shape)``, any numeric dtype; a file is read as needed.
    """

    def __init__(self, values: Tensor | Rows) -> None:
        self.values = values

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one sample."""
        return tuple(self.values.shape[1:])

    def __len__(self) -> int:
        """Return the number of samples."""
        return len(self.values)

    def take(self, index: NDArray[np.int64], generator: torch.Generator | None) -> Tensor:
        """Return the samples of `index`; nothing is drawn."""
        del generator
        return torch.as_tensor(self.values[index]).float()


class OneFrame:
    """One frame of every clip: any one in training, the middle one otherwise.

    Args:
        clips: ``(clips, frames, *shape)``, any numeric dtype; a file is read as needed.
        frames: Number of frames of each clip that hold anything, ``(clips,)``; all of them by default.
    """

    def __init__(self, clips: Rows, frames: NDArray[np.integer[Any]] | None = None) -> None:
        longest = clips.shape[1]
        self.frames = np.full(len(clips), longest) if frames is None else frames.astype(np.int64)
        if len(self.frames) != len(clips) or ((self.frames < 1) | (self.frames > longest)).any():
            raise ValueError(
                f"`frames` must hold {len(clips)} numbers from 1 to {longest}, one for each clip."
            )
        self.clips = clips

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one frame."""
        return tuple(self.clips.shape[2:])

    def __len__(self) -> int:
        """Return the number of clips."""
        return len(self.clips)

    def take(self, index: NDArray[np.int64], generator: torch.Generator | None) -> Tensor:
        """Return one frame of each clip of `index`."""
        counts = self.frames[index]
        if generator is None:
            moment = counts // 2
        else:
            share = torch.rand(len(index), generator=generator, dtype=torch.float64).numpy()
            moment = (share * counts).astype(np.int64)
        return torch.as_tensor(self.clips[index, moment]).float()


class Some:
    """Some samples of another column.

    Args:
        column: All samples.
        positions: Positions to take, in order.
    """

    def __init__(self, column: Column, positions: NDArray[np.int64]) -> None:
        self.column, self.positions = column, positions

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one sample."""
        return self.column.shape

    def __len__(self) -> int:
        """Return the number of samples."""
        return len(self.positions)

    def take(self, index: NDArray[np.int64], generator: torch.Generator | None) -> Tensor:
        """Return the samples of `index`."""
        return self.column.take(self.positions[index], generator)


class Standardised(Some):
    """Some samples of another column, each channel shifted and scaled. A missing value, NaN, is the mean, 0.

    Args:
        column: All samples.
        positions: Positions to take, in order.
        mean: Broadcasts to a batch.
        std: Broadcasts to a batch.
    """

    def __init__(self, column: Column, positions: NDArray[np.int64], mean: Tensor, std: Tensor) -> None:
        super().__init__(column, positions)
        self.mean, self.std = mean, std

    def take(self, index: NDArray[np.int64], generator: torch.Generator | None) -> Tensor:
        """Return the samples of `index`, standardised."""
        values = (super().take(index, generator) - self.mean) / self.std
        return values.masked_fill_(values.isnan(), 0.0)


def statistics(column: Column, positions: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
    """Return mean and standard deviation of some samples, read in blocks.

    By channel for images and sequences, by feature for vectors; a channel that never changes has 1 as its
    standard deviation. Missing values, NaN, do not count; a channel without any other has NaN as its mean.

    Args:
        column: All samples.
        positions: Positions that count, at least one.

    Returns:
        Both float32, ``(1, channels, 1, ...)``.
    """
    blocks = [positions[start : start + _BLOCK] for start in range(0, len(positions), _BLOCK)]
    shift = _by_channel(column, blocks[0]).nanmean(dim=0)  # keeps the squares small, so that nothing cancels
    shift = torch.where(shift.isnan(), 0.0, shift)
    count, total, square = torch.zeros_like(shift), torch.zeros_like(shift), torch.zeros_like(shift)
    for block in blocks:
        values = _by_channel(column, block) - shift
        there = ~values.isnan()
        values = torch.where(there, values, 0.0)
        count += there.sum(dim=0)
        total += values.sum(dim=0)
        square += values.square().sum(dim=0)
    mean = total / count
    std = ((square - count * mean.square()).clamp(min=0) / (count - 1).clamp(min=1)).sqrt()
    mean += shift
    view = (1, len(shift), *[1] * (len(column.shape) - 1))
    changes = std > (_CONSTANT * mean.abs()).clamp(min=torch.finfo(torch.float32).tiny)
    return mean.float().view(view), torch.where(changes, std, 1.0).float().view(view)


def _by_channel(column: Column, positions: NDArray[np.int64]) -> Tensor:
    """Return ``(values, channels)``, float64."""
    return column.take(positions, None).double().movedim(1, -1).flatten(0, -2)
