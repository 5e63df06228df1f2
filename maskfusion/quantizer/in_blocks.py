"""One pass over a batch, block by block: codes, indices, counts, residuals and errors together."""

import math

import torch
from torch import Tensor

from maskfusion.functional.nearest import blocks, search_for


def assign_in_blocks(
    vectors: Tensor,
    codebook: Tensor,
    mask: Tensor | None,
    weight: float,
    quantized: Tensor,
    indices: Tensor,
) -> tuple[Tensor, Tensor, Tensor, Tensor | float, Tensor, Tensor]:
    """Do it block by block, so that what a block needs stays in the cache.

    Args:
        vectors: ``(groups, size, dim)``, any strides.
        codebook: float32 ``(codes, dim)``.
        mask: bool ``(groups, size)``; None for all. What is not finite is not counted.
        weight: Weight of the mean squared difference in the loss.
        quantized: Codes to fill in, shape and dtype of ``vectors``.
        indices: Indices to fill in, int64 ``(groups, size)``.

    Returns:
        Difference, in shape and dtype of ``vectors``, counts, residuals, share, loss and perplexity, as in `Pass`.
    """
    one = _Block(codebook, vectors)
    cuts = blocks(vectors, len(codebook))
    if len(cuts) <= 1:
        difference = one(vectors, mask, quantized, indices).to(vectors.dtype)
    else:
        difference = torch.empty_like(vectors)
        for cut in cuts:
            difference[cut] = one(
                vectors[cut], None if mask is None else mask[cut], quantized[cut], indices[cut]
            )
    total, error = one.counts.sum(), sum(one.errors[1:], one.errors[0])
    hits: Tensor | float = max(1.0, total.item()) if total.device.type == "cpu" else total.clamp(min=1)
    share = 1 / (hits * codebook.shape[1])
    used = torch.special.entr(one.counts / hits).sum().exp_()
    return difference, one.counts, one.residuals, share, error * (share * weight), used


class _Block:
    """What is done with one block, and what adds up over all."""

    def __init__(self, codebook: Tensor, vectors: Tensor) -> None:
        self.codebook, self.nearest_to = codebook, search_for(codebook, vectors)
        groups, size, _ = vectors.shape
        across = vectors.stride(-1) != 1 and groups * size > len(codebook)
        self.across = codebook.t().contiguous() if across else None
        self.counts, self.residuals = codebook.new_zeros(len(codebook)), torch.zeros_like(codebook)
        self.errors: list[Tensor] = []

    def __call__(self, vectors: Tensor, mask: Tensor | None, quantized: Tensor, indices: Tensor) -> Tensor:
        rows = vectors.reshape(-1, vectors.shape[-1]).float().contiguous()
        nearest = self.nearest_to(rows)
        chosen = self._look_up(nearest, vectors)
        apart = (rows.view(vectors.shape) if self.across is None else vectors.float()) - chosen
        error, hits = apart.square().sum(), None
        if mask is not None or not is_known_finite(error):
            lengths = apart.square().sum(-1)
            finite = lengths < torch.inf
            counted = finite if mask is None else finite & mask
            chosen.masked_fill_(~finite[..., None], torch.nan)
            apart.masked_fill_(~counted[..., None], 0)
            error, hits = lengths.masked_fill_(~counted, 0).sum(), counted.flatten().to(lengths.dtype)
        self.errors.append(error)
        self.counts.index_add_(0, nearest, torch.ones_like(rows[:, 0]) if hits is None else hits)
        self.residuals.index_add_(0, nearest, apart.reshape(rows.shape).contiguous())
        quantized.copy_(chosen)
        indices.copy_(nearest.view(indices.shape))
        return apart

    def _look_up(self, indices: Tensor, like: Tensor) -> Tensor:
        """Codes in the shape of ``like``, and of many in its order of strides, so that what follows runs along memory."""
        if self.across is None:
            return self.codebook.index_select(0, indices).view(like.shape)
        return self.across.index_select(1, indices).view(-1, *like.shape[:2]).movedim(0, -1)


def is_known_finite(number: Tensor) -> bool:
    """Whether a number is known to be finite; looked up on a CPU only, which never waits."""
    return number.device.type == "cpu" and math.isfinite(number.item())
