"""What keeps a codebook alive: rows to start codes from, and sums over processes."""

import torch
from torch import Tensor
from torch import distributed as dist

Group = dist.ProcessGroup | None


def evenly_spread(rows: Tensor, counted: Tensor, codes: int, group: Group) -> tuple[Tensor, Tensor]:
    """Pick ``codes`` rows, spread evenly over the counted rows of the batch, of all processes together.

    It draws no random numbers: row ``k`` lies at a fixed fraction of the batch within the ``k``-th of ``codes`` equal stretches, and
    those fractions follow the golden ratio, so that they fall into no step with rows and columns of images.

    Args:
        rows: ``(groups, size, dim)``.
        counted: bool ``(groups, size)``; only these rows are picked.
        codes: How many.
        group: The processes that share the batch.

    Returns:
        float32 ``(codes, dim)`` and, 0-d bool, whether there was any row to pick.
    """
    here = counted.sum()
    total, before = _across(here, group)
    order = torch.arange(codes, device=rows.device)
    # (k + frac(k * golden ratio)) / codes of the way, in 16-bit fixed point, so that every process gets the same integers
    wanted = ((order << 16) + order * 40503 % (1 << 16)) * total // (codes << 16) - before
    mine = (wanted >= 0) & (wanted < here)
    if rows.shape[0] * rows.shape[1] == 0:
        picked = rows.new_zeros(codes, rows.shape[2], dtype=torch.float32)
    else:
        position = torch.searchsorted(counted.flatten().cumsum(0), wanted, right=True)
        position = position.clamp(max=rows.shape[0] * rows.shape[1] - 1)
        picked = rows[position // rows.shape[1], position % rows.shape[1]].float()
    (picked,) = all_reduced(group, torch.where(mine[:, None], picked, 0))
    return picked, total > 0


def all_reduced(group: Group, *tensors: Tensor) -> tuple[Tensor, ...]:
    """Sum tensors over the processes, in one message; where there is one process, return them as they are."""
    if not _is_shared():
        return tensors
    flat = torch.cat([tensor.flatten() for tensor in tensors])
    dist.all_reduce(flat, group=group)
    parts = torch.split(flat, [tensor.numel() for tensor in tensors])
    return tuple(part.view(tensor.shape) for part, tensor in zip(parts, tensors, strict=True))


def _across(count: Tensor, group: Group) -> tuple[Tensor, Tensor]:
    """Sum of ``count`` over all processes, and over those of lower rank."""
    if not _is_shared():
        return count, torch.zeros_like(count)
    counts = count.new_zeros(dist.get_world_size(group))
    counts[dist.get_rank(group)] = count
    dist.all_reduce(counts, group=group)
    return counts.sum(), counts[: dist.get_rank(group)].sum()


def _is_shared() -> bool:
    return dist.is_available() and dist.is_initialized()


def in_backward() -> bool:
    """Whether this runs inside a backward pass: activation checkpointing recomputes there what it has already done once."""
    return not torch.compiler.is_compiling() and torch._C._current_graph_task_id() != -1
