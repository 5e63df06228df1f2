"""What several processes know together."""

import torch
from torch import Tensor
from torch import distributed as dist


class Processes:
    """The processes that share a codebook, a pool or Omega: a group, or all there are at the moment of the call.

    A deep copy shares them; a pickle forgets the group, which means nothing to another program.
    """

    def __init__(self, group: dist.ProcessGroup | None = None) -> None:
        """Take a group; ``None`` for all processes."""
        self.group = group

    def __deepcopy__(self, memo: dict[int, object]) -> "Processes":
        return Processes(self.group)

    def __reduce__(self) -> tuple[type["Processes"], tuple[()]]:
        return Processes, ()

    def summed(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        """Sum tensors over the processes, in one message; where there is one process, return them as they are."""
        if not _is_distributed():
            return tensors
        flat = torch.cat([tensor.flatten() for tensor in tensors])
        dist.all_reduce(flat, group=self.group)
        parts = torch.split(flat, [tensor.numel() for tensor in tensors])
        return tuple(part.view(tensor.shape) for part, tensor in zip(parts, tensors, strict=True))

    def averaged(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        """Average tensors over the processes, in the same way."""
        if not _is_distributed():
            return tensors
        size = dist.get_world_size(self.group)
        return tuple(tensor / size for tensor in self.summed(*tensors))

    def counted(self, count: Tensor) -> tuple[Tensor, Tensor | None]:
        """Sum of ``count`` over all processes, and over those of lower rank; None where there is one process."""
        if not _is_distributed():
            return count, None
        counts = count.new_zeros(dist.get_world_size(self.group))
        rank = dist.get_rank(self.group)
        counts[rank] = count
        dist.all_reduce(counts, group=self.group)
        return counts.sum(), counts[:rank].sum()


def _is_distributed() -> bool:
    return dist.is_available() and dist.is_initialized()
