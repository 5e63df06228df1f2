"""What a drawing is: samples in, pictures out, and sounds where there is something to hear."""

import io
import struct
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from matplotlib.image import imsave
from numpy.typing import NDArray

Values = NDArray[np.float32]


@dataclass(frozen=True)
class Picture:
    """One sample of one modality.

    Args:
        png: An image; empty where there is a line drawing instead.
        lines: A line drawing, the inside of an SVG element; its colours are classes of the page that shows it.
        box: Left, top, width and height of what `lines` shows.
        wav: The sound itself; empty where there is none.
    """

    png: bytes = b""
    lines: str = ""
    box: tuple[float, float, float, float] = (0, 0, 1, 1)
    wav: bytes = b""

    @property
    def aspect(self) -> float:
        """Width by height."""
        if not self.png:
            return self.box[2] / self.box[3]
        width, height = struct.unpack(">II", self.png[16:24])  # where a PNG file says so
        return float(width / height)


class Drawing(Protocol):
    """How one modality is drawn."""

    def draw(self, values: Values, like: Values) -> list[Picture]:
        """Return a picture for each sample.

        Args:
            values: ``(samples, *shape)``, in the units of the data set.
            like: Inputs, ``(any number, *shape)``: they decide the range of colours and axes, so that pictures of
                inputs and reconstructions can be compared.
        """


def limits(values: Values, axis: tuple[int, ...] | None = None) -> tuple[Values, Values]:
    """Return the values that 0.5 % lie below and above, per what is left of the axes."""
    low, high = np.quantile(values, (0.005, 0.995), axis=axis).astype(np.float32)
    return low, np.maximum(high, low + 1e-6)


def png(values: NDArray[np.floating[Any]], **how: Any) -> bytes:
    """Return an image file, one pixel per value.

    Args:
        values: ``(height, width)``, or ``(height, width, 3 or 4)`` from 0 to 1.
        how: Arguments of Matplotlib's `imsave`, such as `cmap`, `vmin` and `vmax`.
    """
    file = io.BytesIO()
    imsave(file, values, format="png", metadata={"Software": ""}, **how)
    return file.getvalue()
