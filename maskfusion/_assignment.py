"""Quantising a batch in one pass over blocks: codes, indices, counts, residuals and squared error together.

``assign`` is one operator, so that ``torch.compile`` sees no loop; ``assign_plain`` is the same in a few plain lines. It is what
``torch.export`` records (an exported program then runs without maskfusion) and what the tests compare with.
"""

from typing import TYPE_CHECKING, Any, NamedTuple, cast

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from maskfusion._search import Distances, blocks

if TYPE_CHECKING:
    from collections.abc import Callable

GRADIENT_BLOCK = 1 << 18
"""Elements of the gradient that are computed at once: 1 MiB in float32, which stays in the cache."""


class Assignment(NamedTuple):
    """What one pass over ``(groups, size, dim)`` vectors gives."""

    quantized: Tensor
    """Codes, in shape, strides and dtype of the input; NaN where a vector is not finite."""
    indices: Tensor
    """int64 ``(groups, size)``."""
    counts: Tensor
    """How many counted vectors chose each code, float32 ``(codes,)``."""
    residuals: Tensor
    """Sum of ``vector - code`` over the counted vectors of each code, float32 ``(codes, dim)``."""
    error: Tensor
    """Sum of squared differences over the counted vectors, 0-d float32."""


def assign(vectors: Tensor, codebook: Tensor, finite: Tensor, counted: Tensor) -> Assignment:
    """Quantise ``vectors`` of shape ``(groups, size, dim)``; ``finite`` and ``counted`` are bool ``(groups, size)``.

    A vector that is not finite must not be counted.
    """
    if _is_exporting():
        return assign_plain(vectors, codebook, finite, counted)
    return Assignment(*torch.ops.maskfusion.assign(vectors, codebook, finite, counted))


def assign_plain(vectors: Tensor, codebook: Tensor, finite: Tensor, counted: Tensor) -> Assignment:
    """Do what ``assign`` does all at once, holding a (vectors x codes) matrix."""
    wide = vectors.float()
    distances = Distances(codebook)
    indices = distances.nearest((wide - distances.centre).flatten(0, 1)).view(finite.shape)
    codes = codebook[indices].masked_fill(~finite[..., None], torch.nan)
    difference = torch.where(counted[..., None], wide - codes, 0)
    flat = indices.flatten()
    counts = codebook.new_zeros(len(codebook)).index_add(0, flat, counted.flatten().to(codebook.dtype))
    residuals = torch.zeros_like(codebook).index_add(0, flat, difference.flatten(0, 1))
    return Assignment(codes.to(vectors.dtype), indices, counts, residuals, difference.square().sum())


_is_exporting = getattr(torch.compiler, "is_exporting", lambda: False)  # new in torch 2.7


@torch.library.custom_op("maskfusion::assign", mutates_args=())
def _assign(
    vectors: Tensor, codebook: Tensor, finite: Tensor, counted: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    groups, size, dim = vectors.shape
    codes = len(codebook)
    quantized, indices = torch.empty_like(vectors), torch.empty_like(finite, dtype=torch.int64)
    # One row more than there are codes: NaN to look up, and a bin for what is not counted.
    table = torch.cat([codebook, codebook.new_full((1, dim), torch.nan)])
    counts, sums = codebook.new_zeros(codes + 1), torch.zeros_like(table)
    error = codebook.new_zeros(())
    distances = Distances(codebook)
    for block in blocks(groups, size, codes, vectors.device):
        wide = vectors[block].float()
        centred = (wide - distances.centre).reshape(-1, dim).contiguous()
        nearest = distances.nearest(centred)
        indices[block] = nearest.view(wide.shape[:2])
        chosen = table.index_select(0, torch.where(finite[block].flatten(), nearest, codes)).view(wide.shape)
        quantized[block] = chosen
        in_use = counted[block]
        error += torch.where(in_use, (wide - chosen).square().sum(-1), 0).sum()
        bins = torch.where(in_use.flatten(), nearest, codes)
        counts.index_add_(0, bins, torch.ones_like(bins, dtype=counts.dtype))
        sums.index_add_(0, bins, centred)
    residuals = sums[:codes] - counts[:codes, None] * distances.codes
    return quantized, indices, counts[:codes].clone(), residuals, error


@_assign.register_fake
def _(
    vectors: Tensor, codebook: Tensor, finite: Tensor, counted: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    del counted
    return (
        torch.empty_like(vectors),
        torch.empty_like(finite, dtype=torch.int64),
        codebook.new_empty(codebook.shape[0]),
        torch.empty_like(codebook),
        codebook.new_empty(()),
    )


class StraightThrough(torch.autograd.Function):
    """``assign`` with gradients: that of the codes goes to the vectors, that of the loss to vectors and codebook.

    The loss is ``beta * mse(z, sg[e])``, and ``mse(sg[z], e)`` on top if the codebook learns by gradients, over counted vectors.
    """

    @staticmethod
    def forward(
        ctx: Any,
        vectors: Tensor,
        codebook: Tensor,
        values: Tensor,
        finite: Tensor,
        counted: Tensor,
        beta: float,
        learns: bool,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """Return codes, loss, indices, counts and residuals.

        ``codebook`` is what gets the gradient, ``values`` are the codes to quantise with.
        """
        del codebook
        found = assign(vectors, values, finite, counted)
        elements = (found.counts.sum() * values.shape[1]).clamp(min=1)
        loss = found.error / elements * (beta + learns)
        ctx.save_for_backward(vectors, found.quantized, counted, found.residuals, elements)
        ctx.beta, ctx.learns = beta, learns
        ctx.mark_non_differentiable(found.indices, found.counts, found.residuals)
        return found.quantized, loss, found.indices, found.counts, found.residuals

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, for_codes: Tensor, for_loss: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:
        """Add the pull of the commitment loss to the gradient of the codes."""
        vectors, quantized, counted, residuals, elements = ctx.saved_tensors
        scale = 2 / elements * for_loss
        for_vectors = for_codebook = None
        if ctx.needs_input_grad[0]:
            for_vectors = _pulled(for_codes, vectors, quantized, counted, ctx.beta * scale)
        if ctx.needs_input_grad[1] and ctx.learns:
            for_codebook = -scale * residuals
        return for_vectors, for_codebook, None, None, None, None, None


def _pulled(gradient: Tensor, vectors: Tensor, quantized: Tensor, counted: Tensor, scale: Tensor) -> Tensor:
    """``gradient + scale * (vectors - quantized)`` where counted, else ``gradient``, in blocks."""

    def pull(gradient: Tensor, vectors: Tensor, quantized: Tensor, counted: Tensor) -> Tensor:
        difference = torch.where(counted[..., None], vectors.float() - quantized.float(), 0)
        return torch.addcmul(gradient.float(), difference, scale).to(gradient.dtype)

    if torch.compiler.is_compiling():
        return pull(gradient, vectors, quantized, counted)
    pulled = torch.empty_like(vectors)
    groups, size, dim = vectors.shape
    step = max(1, GRADIENT_BLOCK // max(1, size * dim))
    for start in range(0, groups, step):
        block = slice(start, start + step)
        pulled[block] = pull(gradient[block], vectors[block], quantized[block], counted[block])
    return pulled


assign_straight_through = cast(
    "Callable[[Tensor, Tensor, Tensor, Tensor, Tensor, float, bool], tuple[Tensor, Tensor, Tensor, Tensor, Tensor]]",
    StraightThrough.apply,
)
