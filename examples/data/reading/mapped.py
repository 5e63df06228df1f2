"""An array in a file that is read as needed, also by processes that read ahead."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


class Mapped:
    """An array in a file, read as needed; a pickle holds the path only.

    Args:
        path: Of the ``.npy`` file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._rows: NDArray[np.generic] = np.load(path, mmap_mode="r")

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the whole array."""
        return self._rows.shape

    def __len__(self) -> int:
        """Return the number of samples."""
        return len(self._rows)

    def __getitem__(self, index: Any) -> NDArray[np.generic]:
        """Read some samples."""
        return np.array(self._rows[index])

    def __reduce__(self) -> tuple[type["Mapped"], tuple[Path]]:
        """Open the file again where this is unpickled."""
        return Mapped, (self.path,)
