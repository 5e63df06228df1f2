"""Fewer or other moments and pixels: linear in time, averages of what is known in space."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import interpolate


def moments(frames: int, count: int) -> NDArray[np.int64]:
    """Return the positions of `count` evenly spaced frames, from the first to the last; of few frames some repeat."""
    return np.linspace(0, frames - 1, count).round().astype(np.int64)


def at_moments(values: NDArray[Any], count: int) -> NDArray[np.float32]:
    """Return values ``(moments, ...)`` at `count` evenly spaced moments, linearly between the ones that are there."""
    when = np.linspace(0, len(values) - 1, count)
    before = np.floor(when).astype(np.int64)
    share = (when - before).reshape(-1, *[1] * (values.ndim - 1))
    after = np.minimum(before + 1, len(values) - 1)
    return np.asarray((1 - share) * values[before] + share * values[after], dtype=np.float32)


def shrunk(maps: NDArray[Any], size: int) -> Tensor:
    """Return maps ``(n, channels, height, width)`` as float32 squares, averaged where they shrink."""
    values = torch.as_tensor(maps.astype("float32"))
    return interpolate(values, size=(size, size), mode="bilinear", align_corners=False, antialias=True)


def shrunk_depth(depth: NDArray[Any], size: int) -> NDArray[np.float32]:
    """Return depths ``(n, height, width)`` as squares ``(n, size, size)``: the average of what is known.

    Where less than half is known, so is nothing: 0.
    """
    known, values = shrunk(np.stack([depth > 0, depth]), size)
    return torch.where(known >= 0.5, values / known.clamp(min=0.5), 0.0).numpy()


def nearest(length: int, size: int) -> NDArray[np.int64]:
    """Return the positions of the pixels in the middles of `size` equal parts of a line of pixels."""
    return ((np.arange(size) + 0.5) * length / size).astype(np.int64)
