"""Latents of any shape as groups of vectors."""

import torch
from torch import Tensor

from maskfusion.functional.nearest import grouped


def as_vectors(z: Tensor, channel_dim: int) -> Tensor:
    """View latents as ``(groups, size, dim)``."""
    return grouped(z.movedim(channel_dim, -1))


def empty_like(z: Tensor, channel_dim: int) -> tuple[Tensor, Tensor]:
    """A tensor to fill and its view as vectors; in another order of memory than ``z`` where that one has no such view."""
    made = torch.empty_like(z)
    vectors = as_vectors(made, channel_dim)
    if vectors.data_ptr() == made.data_ptr():
        return made, vectors
    made = torch.empty(z.shape, dtype=z.dtype, device=z.device)
    return made, as_vectors(made, channel_dim)
