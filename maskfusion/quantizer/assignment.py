"""Quantising a batch in one pass over blocks: codes, indices, counts, residuals and errors together.

``assign`` is one operator with its gradient, so that ``torch.compile`` sees no loop; ``assign_plain`` is the same in a few plain
lines. It is what ``torch.export`` records (an exported program then runs without maskfusion) and what the tests compare with.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, cast

import torch
from einops import rearrange
from torch import Tensor
from torch.autograd.function import once_differentiable

from maskfusion.functional.gradients import straight_through
from maskfusion.functional.nearest import Distances, blocks, holds_everywhere
from maskfusion.functional.perplexity import perplexity
from maskfusion.kernels.door import prefers_kernels

GRADIENT_BLOCK, ACCELERATOR_BLOCK = 1 << 18, 1 << 24
"""Elements of the gradient computed at once: 1 MiB in float32, which stays in the cache, and enough to keep a GPU busy."""


class Assignment(NamedTuple):
    """What one pass over ``(groups, size, dim)`` vectors gives."""

    quantized: Tensor
    """Codes, in shape, strides and dtype of the vectors, which get its gradient unchanged; NaN where a vector is not finite."""
    indices: Tensor
    """int64 ``(groups, size)``."""
    counts: Tensor
    """How many counted vectors chose each code, float32 ``(codes,)``, no gradient."""
    residuals: Tensor
    """Sum of ``vector - code`` over the counted vectors of each code, float32 ``(codes, dim)``, no gradient."""
    loss: Tensor
    """Mean squared difference over the counted vectors, 0-d float32, times both weights (Eq. 3)."""
    perplexity: Tensor
    """Of the counts, 0-d float32, no gradient."""


def assign(
    vectors: Tensor,
    codebook: Tensor,
    finite: Tensor,
    counted: Tensor,
    *,
    commitment_weight: float = 0.0,
    codebook_weight: float = 0.0,
) -> Assignment:
    """Quantise ``vectors`` of shape ``(groups, size, dim)``.

    Args:
        vectors: Vectors to quantise, any strides.
        codebook: float32 ``(codes, dim)``.
        finite: Flags of the finite vectors, bool ``(groups, size)``.
        counted: Flags of those that count, bool ``(groups, size)``.
        commitment_weight: Weight of the part of the loss that pulls the vectors.
        codebook_weight: Weight of the part that pulls the codebook.
    """
    inputs = vectors, codebook, finite, counted, commitment_weight, codebook_weight
    if _is_exporting():
        return assign_plain(*inputs)
    if prefers_kernels(vectors, vectors.shape[-1]):
        apply = cast("Callable[..., tuple[Tensor, ...]]", _AssignByKernels.apply)
        quantized, indices, counts, residuals, loss, _, perplexity = apply(*inputs)
        return Assignment(quantized, indices, counts, residuals, loss, perplexity)
    quantized, indices, counts, residuals, loss, _, perplexity = _assign(*inputs)
    return Assignment(quantized, indices, counts.detach(), residuals.detach(), loss, perplexity.detach())


def assign_plain(
    vectors: Tensor,
    codebook: Tensor,
    finite: Tensor,
    counted: Tensor,
    commitment_weight: float = 0.0,
    codebook_weight: float = 0.0,
) -> Assignment:
    """Do what ``assign`` does all at once, holding a (vectors x codes) matrix."""
    wide, fixed = vectors.float(), codebook.detach()
    distances = Distances(fixed)
    flat = distances.nearest(
        rearrange(wide.detach() - distances.centre, "group size dim -> (group size) dim")
    )
    codes = codebook[flat].view(wide.shape)
    quantized = codes.detach().masked_fill(~finite[..., None], torch.nan).to(vectors.dtype)
    pull = torch.where(counted[..., None], wide - codes.detach(), 0)
    fit = torch.where(counted[..., None], wide.detach() - codes, 0)
    hits = rearrange(counted, "group size -> (group size)").to(fixed.dtype)
    counts = fixed.new_zeros(len(fixed)).index_add(0, flat, hits)
    left = rearrange(pull.detach(), "group size dim -> (group size) dim")
    residuals = torch.zeros_like(fixed).index_add(0, flat, left)
    errors = commitment_weight * pull.square().sum() + codebook_weight * fit.square().sum()
    return Assignment(
        straight_through(vectors, quantized),
        flat.view(finite.shape),
        counts,
        residuals,
        errors / _elements(counts, vectors.shape[-1]),
        perplexity(counts),
    )


def _elements(counts: Tensor, dim: int) -> Tensor:
    """How many numbers the mean of the loss is over, at least 1."""
    return (counts.sum() * dim).clamp(min=1)


def _is_exporting() -> bool:
    """As ``torch.compiler.is_exporting()``, which is new in PyTorch 2.7, and for which Dynamo put True up to 2.12 wherever it compiles."""
    return getattr(torch.compiler, "_is_exporting_flag", False)


@torch.library.custom_op("maskfusion::assign", mutates_args=())
def _assign(
    vectors: Tensor,
    codebook: Tensor,
    finite: Tensor,
    counted: Tensor,
    commitment_weight: float,
    codebook_weight: float,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    if prefers_kernels(vectors, vectors.shape[-1]):
        from maskfusion.kernels import launch

        return launch.assign(vectors, codebook, finite, counted, commitment_weight + codebook_weight)
    groups, size, dim = vectors.shape
    codes = len(codebook)
    quantized, indices = torch.empty_like(vectors), torch.empty_like(finite, dtype=torch.int64)
    # One row more than there are codes: NaN to look up, and a bin for what is not counted.
    table = torch.cat([codebook, codebook.new_full((1, dim), torch.nan)])
    sums = torch.zeros_like(table)
    errors = codebook.new_empty(groups, size)
    if vectors.stride(-1) != 1:
        table = table.t().contiguous().t()  # a channel after the other in memory, for `_look_up`
    distances = Distances(codebook)
    all_finite, all_counted = holds_everywhere(finite), holds_everywhere(counted)
    for block in blocks(groups, size, codes, vectors.device):
        wide = vectors[block].float()
        centred = (wide - distances.centre).reshape(-1, dim).contiguous()
        nearest = distances.nearest(centred)
        indices[block] = nearest.view(wide.shape[:2])
        row = nearest if all_finite else torch.where(finite[block].flatten(), nearest, codes)
        chosen = _look_up(table, row, wide)
        quantized[block] = chosen
        errors[block] = (wide - chosen).square_().sum(-1)
        row = nearest if all_counted else torch.where(counted[block].flatten(), nearest, codes)
        sums.index_add_(0, row, centred)
    counts = codebook.new_zeros(codes).index_add_(0, indices.flatten(), counted.flatten().to(codebook.dtype))
    residuals = sums[:codes] - counts[:, None] * distances.codes
    error, elements = torch.where(counted, errors, 0).sum(), _elements(counts, dim)
    loss = (commitment_weight + codebook_weight) * error / elements
    return quantized, indices, counts, residuals, loss, elements, perplexity(counts)


def _look_up(table: Tensor, indices: Tensor, like: Tensor) -> Tensor:
    """Rows of the table in shape and order of strides of ``like``, so that what follows runs along memory."""
    if like.stride(-1) == 1:
        return table.index_select(0, indices).view(like.shape)
    return table.t().index_select(1, indices).view(-1, *like.shape[:2]).movedim(0, -1)


@_assign.register_fake
def _(
    vectors: Tensor,
    codebook: Tensor,
    finite: Tensor,
    counted: Tensor,
    commitment_weight: float,
    codebook_weight: float,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    del counted, commitment_weight, codebook_weight
    return (
        torch.empty_like(vectors),
        torch.empty_like(finite, dtype=torch.int64),
        codebook.new_empty(codebook.shape[0]),
        torch.empty_like(codebook),
        codebook.new_empty(()),
        codebook.new_empty(()),
        codebook.new_empty(()),
    )


def _save(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    vectors, _, _, counted, ctx.commitment_weight, ctx.codebook_weight = inputs
    quantized, _, _, residuals, _, elements, _ = output
    ctx.set_materialize_grads(False)
    ctx.save_for_backward(vectors, quantized, counted, residuals, elements)


def _backward(
    ctx: Any,
    for_codes: Tensor | None,
    *others: Tensor | None,
    pull: Callable[..., Tensor] | None = None,
) -> tuple[Tensor | None, Tensor | None, None, None, None, None]:
    vectors, quantized, counted, residuals, elements = ctx.saved_tensors
    for_loss = others[3]
    for_vectors = for_codebook = None
    if ctx.needs_input_grad[0]:
        for_vectors = for_codes
        if for_loss is not None:
            gradient = torch.zeros_like(vectors) if for_codes is None else for_codes
            upstream = for_loss, elements, ctx.commitment_weight
            for_vectors = (pull or _pull)(gradient, vectors, quantized, counted, *upstream)
    if ctx.needs_input_grad[1] and for_loss is not None:
        for_codebook = -2 * ctx.codebook_weight * (for_loss / elements) * residuals
    return for_vectors, for_codebook, None, None, None, None


torch.library.register_autograd("maskfusion::assign", _backward, setup_context=_save)


class _AssignByKernels(torch.autograd.Function):
    """The same on a GPU, without what it costs to call an operator: as much as all the kernels of a step."""

    @staticmethod
    def forward(ctx: Any, *inputs: Any) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
        from maskfusion.kernels import launch

        vectors, codebook, finite, counted, commitment_weight, codebook_weight = inputs
        weight = commitment_weight + codebook_weight
        found = launch.assign(vectors, codebook, finite, counted, weight)
        ctx.mark_non_differentiable(*found[1:4], *found[5:])
        _save(ctx, inputs, found)
        return found

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
        return _backward(ctx, *gradients, pull=_pulled)


@torch.library.custom_op("maskfusion::pull", mutates_args=())
def _pull(
    gradient: Tensor,
    vectors: Tensor,
    quantized: Tensor,
    counted: Tensor,
    for_loss: Tensor,
    elements: Tensor,
    weight: float,
) -> Tensor:
    return _pulled(gradient, vectors, quantized, counted, for_loss, elements, weight)


def _pulled(
    gradient: Tensor,
    vectors: Tensor,
    quantized: Tensor,
    counted: Tensor,
    for_loss: Tensor,
    elements: Tensor,
    weight: float,
) -> Tensor:
    """``gradient + 2 * weight * for_loss / elements * (vectors - quantized)`` where counted, else ``gradient``.

    In blocks, or by the kernel.
    """
    if prefers_kernels(vectors, vectors.shape[-1]):
        from maskfusion.kernels import launch

        return launch.pull(gradient, vectors, quantized, counted, for_loss, elements, weight)
    scale = for_loss / elements * weight
    pulled = torch.empty_like(vectors)
    groups, size, dim = vectors.shape
    held = GRADIENT_BLOCK if vectors.device.type == "cpu" else ACCELERATOR_BLOCK
    group_step, step = max(1, held // max(1, size * dim)), max(1, held // dim)
    all_counted = holds_everywhere(counted)
    for group in range(0, groups, group_step):
        for start in range(0, size, step):
            block = slice(group, group + group_step), slice(start, start + step)
            difference = vectors[block].float() - quantized[block].float()
            if not all_counted:
                difference = torch.where(counted[block][..., None], difference, 0)
            wide = gradient[block].float()
            if wide.dtype == pulled.dtype:
                torch.addcmul(wide, difference, scale, value=2, out=pulled[block])
            else:  # three times as fast as letting `out` round
                pulled[block] = wide.addcmul_(difference, scale, value=2)
    return pulled


@_pull.register_fake
def _(
    gradient: Tensor,
    vectors: Tensor,
    quantized: Tensor,
    counted: Tensor,
    for_loss: Tensor,
    elements: Tensor,
    weight: float,
) -> Tensor:
    del gradient, quantized, counted, for_loss, elements, weight
    return torch.empty_like(vectors)
