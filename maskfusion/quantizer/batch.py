"""A batch in training, and what its codebook asks of it."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from maskfusion._processes import Processes
from maskfusion.functional.nearest import of_finite_length
from maskfusion.kernels.way import Way
from maskfusion.quantizer.vectors import as_vectors


@dataclass
class Batch:
    """Latents, held to the constraint if there is one, which of them are real, and the processes that have the rest of the batch."""

    way: Way
    z: Tensor
    mask: Tensor | None
    channel_dim: int
    processes: Processes
    picked: tuple[Tensor, Tensor] | None = None

    def __post_init__(self) -> None:
        # Results can be looked at on the way on a CPU, which waits for nothing by looking.
        self.looks = self.way is Way.BLOCKS and self.z.device.type == "cpu"

    def may_hold(self, flags: Tensor) -> bool:
        """Whether any of the flags may be set."""
        return not self.looks or bool(flags.any())

    def number(self, value: Tensor) -> Any:
        """Turn a 0-d tensor into a number where it can be looked at; both calculate alike."""
        return value.item() if self.looks else value

    def fresh(self, codes: int) -> tuple[Tensor, Tensor]:
        """Vectors that codes can start from, picked when first asked for: spread evenly over the counted ones of all processes together.

        It draws no random numbers: vector ``k`` lies at a fixed fraction of the batch within the ``k``-th of ``codes`` equal
        stretches, and those fractions follow the golden ratio, so that they fall into no step with rows and columns of images.

        Returns:
            float32 ``(codes, dim)`` and, 0-d bool, whether there was any vector to pick.
        """
        if self.picked is None:
            self.picked = self._pick(codes)
        return self.picked

    def _pick(self, codes: int) -> tuple[Tensor, Tensor]:
        vectors = as_vectors(self.z.detach(), self.channel_dim)
        pick, finite = _picked, of_finite_length
        if self.way is Way.KERNELS and vectors.numel():
            from maskfusion.kernels import launch

            pick, finite = launch.spread, launch.finite
        counted = finite(vectors)
        if self.mask is not None:
            counted = counted & self.mask.reshape(counted.shape)
        places = counted.flatten().cumsum(0)
        here = places[-1] if len(places) else places.sum()
        total, before = self.processes.counted(here)
        (picked,) = self.processes.summed(pick(vectors, places, total, before, codes))
        return picked, total > 0


def _picked(rows: Tensor, places: Tensor, total: Tensor, before: Tensor | None, codes: int) -> Tensor:
    """Pick ``codes`` vectors of ``(groups, size, dim)`` by their places among the counted ones; zero where another process has it."""
    groups, size, dim = rows.shape
    if groups * size == 0:
        return rows.new_zeros(codes, dim, dtype=torch.float32)
    order = torch.arange(codes, device=rows.device)
    # (k + frac(k * golden ratio)) / codes of the way, in 16-bit fixed point, so that every process gets the same integers
    wanted = ((order << 16) + order * 40503 % (1 << 16)) * total // (codes << 16)
    wanted = wanted if before is None else wanted - before
    position = torch.searchsorted(places, wanted, right=True).clamp(max=groups * size - 1)
    picked = rows[position // size, position % size].float()
    return torch.where(((wanted >= 0) & (wanted < places[-1]))[:, None], picked, 0)
