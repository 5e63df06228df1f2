"""Take energy out of images, by principal components: what is left is their coarsest variation."""

import numpy as np
import torch
from numpy.typing import NDArray

from examples.errors import UserError

_BLOCK = 4096  # images at once


class EnergyReduction:
    """Keep the principal components that hold the top share of the energy.

    Energy is the variance about the mean image, summed over the pixels. The leading components are kept whole and the
    one after them is scaled down, so that exactly the share is left; the mean stays.

    Args:
        images: Images that the components are fitted on, ``(images, height, width)``, any numeric dtype.
        share: Share of the energy that is left, above 0 and up to 1.

    Raises:
        UserError: The share is none.

    Reference:
        V. Vielzeuf et al., CentralNet, ECCV workshops 2018: the images of AV-MNIST lost 75 % of their energy by PCA.
        The code was not published, so which components went is our reading.
    """

    def __init__(self, images: NDArray[np.generic], share: float) -> None:
        if not 0 < share <= 1:
            raise UserError(f"`share` (={share}) must be above 0 and at most 1.")
        flat = torch.as_tensor(images).flatten(1)
        total = torch.zeros(flat.shape[1], dtype=torch.float64)
        square = torch.zeros(flat.shape[1], flat.shape[1], dtype=torch.float64)
        for start in range(0, len(flat), _BLOCK):
            values = flat[start : start + _BLOCK].float()
            total += values.sum(dim=0)
            square += values.T @ values
        self.mean = total / len(flat)
        energies, components = torch.linalg.eigh(square / len(flat) - self.mean.outer(self.mean))
        held = energies.flip(0).clamp(min=0) / energies.clamp(min=0).sum()
        before = held.cumsum(0) - held
        kept = before < share
        self.components = components.flip(1)[:, kept]
        self.gains = ((share - before[kept]) / held[kept]).clamp(max=1).sqrt()

    def __call__(self, images: NDArray[np.generic]) -> NDArray[np.float32]:
        """Return images of less energy, ``(images, height, width)``, float32, in the same units."""
        flat = torch.as_tensor(images).flatten(1).double() - self.mean
        left = (flat @ self.components * self.gains) @ self.components.T + self.mean
        reduced: NDArray[np.float32] = left.float().view(images.shape).numpy()
        return reduced
