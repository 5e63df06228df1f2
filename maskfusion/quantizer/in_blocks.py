"""One pass over a batch, block by block: codes, indices, counts, residuals and errors together."""

import math
from typing import Any

import torch
from torch import Tensor

from maskfusion.functional.nearest import block_size, blocks, search_for
from maskfusion.quantizer.vectors import as_vectors, empty_like


def assign_in_blocks(
    z: Tensor, codebook: Tensor, mask: Tensor | None, channel_dim: int, weight: float
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor | float, Tensor, Tensor]:
    """Do it block by block, so that what a block needs stays in the cache.

    Args:
        z: Latents, vectors along ``channel_dim``.
        codebook: float32 ``(codes, dim)``.
        mask: bool, the shape of ``z`` without the channels; None for all. What is not finite is not counted.
        channel_dim: Dimension of the channels.
        weight: Weight of the mean squared difference in the loss.

    Returns:
        Fields of a `Pass`.
    """
    last = z.movedim(channel_dim, -1)
    codes, dim = codebook.shape
    one = _Block(codebook, last)
    if last.shape[:-1].numel() <= block_size(z.device, codes):
        quantized = torch.empty_like(z)
        indices, difference = one(last, mask, quantized.movedim(channel_dim, -1))
        difference = difference.to(z.dtype)
    else:
        vectors = as_vectors(z, channel_dim)
        quantized, filled = empty_like(z, channel_dim)
        indices = torch.empty(last.shape[:-1], dtype=torch.int64, device=z.device)
        found, difference = indices.view(vectors.shape[:2]), torch.empty_like(vectors)
        real = None if mask is None else mask.reshape(vectors.shape[:2])
        for cut in blocks(vectors, codes):
            found[cut], difference[cut] = one(vectors[cut], None if real is None else real[cut], filled[cut])
        difference = difference.view(last.shape)
    hits = one.hits.clamp(min=1) if isinstance(one.hits, Tensor) else max(one.hits, 1)
    share = 1 / (hits * dim)
    loss = sum(one.errors[1:], one.errors[0]) * (share * weight)
    used = torch.special.entr(one.counts / hits).sum().exp_()
    return (
        quantized,
        indices,
        difference.movedim(-1, channel_dim),
        one.counts,
        one.residuals,
        share,
        loss,
        used,
    )


class _Block:
    """What is done with one block, and what adds up over all."""

    def __init__(self, codebook: Tensor, vectors: Tensor) -> None:
        self.codebook, self.nearest_to = codebook, search_for(codebook, vectors)
        across = vectors.stride(-1) != 1 and vectors.numel() > codebook.numel()
        self.across = codebook.t().contiguous() if across else None
        self.counts, self.residuals = codebook.new_zeros(codebook.shape[0]), torch.zeros_like(codebook)
        self.errors: list[Tensor] = []
        self.hits: Tensor | float = 0

    def __call__(self, vectors: Tensor, mask: Tensor | None, quantized: Tensor) -> tuple[Tensor, Tensor]:
        """Fill in the codes of ``(..., dim)`` vectors; indices, and ``vector - code`` in float32."""
        rows = vectors.reshape(-1, vectors.shape[-1]).float().contiguous()
        nearest = self.nearest_to(rows)
        chosen = self._look_up(nearest, vectors)
        apart = (rows.view(vectors.shape) if self.across is None else vectors.float()) - chosen
        error, hits = apart.square().sum(), rows.shape[0]
        if mask is None and is_known_finite(error):
            counted = rows.new_ones(hits)
        else:
            lengths = apart.square().sum(-1)
            finite = lengths < torch.inf
            real = finite if mask is None else finite & mask
            chosen.masked_fill_(~finite[..., None], torch.nan)
            apart.masked_fill_(~real[..., None], 0)
            counted = real.flatten().to(lengths.dtype)
            error, hits = lengths.masked_fill_(~real, 0).sum(), number(counted.sum())
        self.errors.append(error)
        self.hits += hits
        self.counts.index_add_(0, nearest, counted)
        self.residuals.index_add_(0, nearest, apart.reshape(rows.shape).contiguous())
        quantized.copy_(chosen)
        return nearest.view(vectors.shape[:-1]), apart

    def _look_up(self, indices: Tensor, like: Tensor) -> Tensor:
        """Codes in the shape of ``like``, and of many in its order of strides, so that what follows runs along memory."""
        if self.across is None:
            return self.codebook.index_select(0, indices).view(like.shape)
        return self.across.index_select(1, indices).view(-1, *like.shape[:-1]).movedim(0, -1)


def number(value: Tensor) -> Any:
    """Turn a 0-d tensor into a number on a CPU, which waits for nothing by looking; both calculate alike."""
    return value.item() if value.device.type == "cpu" else value


def is_known_finite(value: Tensor) -> bool:
    """Whether a number is known to be finite."""
    return value.device.type == "cpu" and math.isfinite(value.item())
