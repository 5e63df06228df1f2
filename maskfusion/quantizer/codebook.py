"""What keeps a codebook alive: vectors to start codes from, and sums over processes."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch import distributed as dist

from maskfusion.kernels.door import prefers_kernels


class Processes:
    """The processes that share a codebook: a group, or all there are at the moment of the call.

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

    def counted(self, count: Tensor) -> tuple[Tensor, Tensor | None]:
        """Sum of ``count`` over all processes, and over those of lower rank; None where there is one process."""
        if not _is_distributed():
            return count, None
        counts = count.new_zeros(dist.get_world_size(self.group))
        rank = dist.get_rank(self.group)
        counts[rank] = count
        dist.all_reduce(counts, group=self.group)
        return counts.sum(), counts[:rank].sum()

    def evenly_spread(self, rows: Tensor, counted: Tensor, codes: int) -> tuple[Tensor, Tensor]:
        """Pick ``codes`` vectors, spread evenly over the counted ones of the batch, of all processes together.

        It draws no random numbers: vector ``k`` lies at a fixed fraction of the batch within the ``k``-th of ``codes`` equal
        stretches, and those fractions follow the golden ratio, so that they fall into no step with rows and columns of images.

        Args:
            rows: ``(groups, size, dim)``.
            counted: bool ``(groups, size)``; only these are picked.
            codes: Number of vectors to pick.

        Returns:
            float32 ``(codes, dim)`` and, 0-d bool, whether there was any vector to pick.
        """
        places = counted.flatten().cumsum(0)
        here = places[-1] if len(places) else places.sum()
        total, before = self.counted(here)
        if len(places) and prefers_kernels(rows, rows.shape[2]):
            from maskfusion.kernels import launch

            picked = launch.spread(rows, places, total, before, codes)
        else:
            picked = _spread(rows, places, total, before, codes)
        (picked,) = self.summed(picked)
        return picked, total > 0


def _spread(rows: Tensor, places: Tensor, total: Tensor, before: Tensor | None, codes: int) -> Tensor:
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


def follow(
    codebook: Tensor,
    cluster_size: Tensor,
    initialized: Tensor,
    used: Tensor,
    counts: Tensor,
    residuals: Tensor | None,
    fresh: Tensor,
    *,
    rate: float,
    epsilon: float,
    restart_threshold: float,
    constraint: Callable[[Tensor], Tensor] | None,
) -> None:
    """Move codebook and running counts, in place, by a batch with ``counts`` and ``residuals`` around the codes that were ``used``.

    The first batch that counts a vector makes it initialised; one that counts none changes nothing. What nobody uses restarts from
    ``fresh``. Without residuals the other codes stay where they are.
    """
    if constraint is None and prefers_kernels(counts, codebook.shape[1]):
        from maskfusion.kernels import launch

        batch = used, counts, residuals, fresh
        launch.follow(codebook, cluster_size, initialized, *batch, rate, epsilon, restart_threshold)
        return
    seen = counts.sum() > 0
    step = seen * rate
    size = cluster_size.lerp(counts, step)
    mean = size.mean()
    restarts = (size < restart_threshold * mean) & seen
    if residuals is not None:
        total = size.sum()
        smoothed = (size + epsilon) / (total + len(codebook) * epsilon) * total
        moved = used + step * residuals / smoothed[:, None]
        used = torch.where(seen, moved if constraint is None else constraint(moved), used)
    codebook.copy_(torch.where(restarts[:, None], fresh, used))
    cluster_size.copy_(torch.where(restarts, mean, size))
    initialized.logical_or_(seen)


def _is_distributed() -> bool:
    return dist.is_available() and dist.is_initialized()


def in_backward() -> bool:
    """Whether this runs inside a backward pass: activation checkpointing recomputes there what it has already done once."""
    return not torch.compiler.is_compiling() and torch._C._current_graph_task_id() != -1
