"""Quantising a batch in one pass: codes, indices, counts, residuals and errors together, with their gradient."""

from typing import TYPE_CHECKING, Any, NamedTuple, cast

import torch
from torch import Tensor

from maskfusion.functional.gradients import straight_through
from maskfusion.functional.nearest import nearest_traced, of_finite_length
from maskfusion.functional.perplexity import perplexity
from maskfusion.kernels.way import Way, way_for
from maskfusion.quantizer.in_blocks import assign_in_blocks
from maskfusion.quantizer.vectors import as_vectors, empty_like

if TYPE_CHECKING:
    from collections.abc import Callable


class Assignment(NamedTuple):
    """What one pass over the vectors gives."""

    quantized: Tensor
    """Codes, in shape, strides and dtype of the latents, which get its gradient unchanged; NaN where a vector is not finite."""
    indices: Tensor
    """int64, the shape of the latents without the channels."""
    counts: Tensor
    """How many counted vectors chose each code, float32 ``(codes,)``, no gradient."""
    residuals: Tensor
    """Sum of ``vector - code`` over the counted vectors of each code, float32 ``(codes, dim)``, no gradient."""
    loss: Tensor
    """Mean squared difference over the counted vectors, 0-d float32, times both weights (Eq. 3)."""
    perplexity: Tensor
    """Of the counts, 0-d float32, no gradient."""


class Pass(NamedTuple):
    """The same, and what its gradient needs."""

    quantized: Tensor
    indices: Tensor
    difference: Tensor
    """``vector - code`` where counted, else 0; shape and dtype of the latents."""
    counts: Tensor
    residuals: Tensor
    share: Tensor | float
    """One over how many numbers the mean of the loss is over: a number where it is known."""
    loss: Tensor
    perplexity: Tensor


def assign(
    way: Way,
    z: Tensor,
    codebook: Tensor,
    mask: Tensor | None,
    channel_dim: int,
    commitment_weight: float = 0.0,
    codebook_weight: float = 0.0,
) -> Assignment:
    """Quantise the vectors of ``z``.

    Args:
        way: Way to go.
        z: Latents, vectors along ``channel_dim``.
        codebook: float32 ``(codes, dim)``.
        mask: Flags of the vectors that count, bool, the shape of ``z`` without the channels; None for all. What is not finite does not.
        channel_dim: Dimension of the channels.
        commitment_weight: Weight of the part of the loss that pulls the vectors.
        codebook_weight: Weight of the part that pulls the codebook.
    """
    inputs = z, codebook, mask, channel_dim, commitment_weight, codebook_weight
    if way is Way.TRACED:
        return assign_traced(*inputs)
    if way is Way.OPERATOR:
        quantized, indices, _, counts, residuals, _, loss, used = _assign(*inputs)
        return Assignment(quantized, indices, counts.detach(), residuals.detach(), loss, used.detach())
    apply = cast("Callable[..., tuple[Tensor, ...]]", _Assigned.apply)
    return Assignment(*apply(way, *inputs))


def assign_traced(
    z: Tensor,
    codebook: Tensor,
    mask: Tensor | None,
    channel_dim: int,
    commitment_weight: float = 0.0,
    codebook_weight: float = 0.0,
) -> Assignment:
    """Do it in plain operations, all at once, holding a (vectors x codes) matrix; autograd finds the gradient."""
    vectors = z.movedim(channel_dim, -1)
    wide, fixed = vectors.float(), codebook.detach()
    finite = of_finite_length(vectors.detach())
    counted = finite if mask is None else finite & mask
    flat = nearest_traced(wide.detach().reshape(-1, wide.shape[-1]), fixed)
    codes = codebook[flat].view(wide.shape)
    quantized = codes.detach().masked_fill(~finite[..., None], torch.nan).to(vectors.dtype)
    pull = torch.where(counted[..., None], wide - codes.detach(), 0)
    fit = torch.where(counted[..., None], wide.detach() - codes, 0)
    counts = fixed.new_zeros(len(fixed)).index_add(0, flat, counted.flatten().to(fixed.dtype))
    residuals = torch.zeros_like(fixed).index_add(0, flat, pull.detach().reshape(-1, wide.shape[-1]))
    errors = commitment_weight * pull.square().sum() + codebook_weight * fit.square().sum()
    return Assignment(
        straight_through(z, quantized.movedim(-1, channel_dim)),
        flat.view(finite.shape),
        counts,
        residuals,
        errors / (counts.sum() * wide.shape[-1]).clamp(min=1),
        perplexity(counts),
    )


def _assign_at_once(
    way: Way, z: Tensor, codebook: Tensor, mask: Tensor | None, channel_dim: int, weight: float
) -> tuple[Any, ...]:
    """Fields of a `Pass`; codes and indices can be changed in place."""
    if way is Way.BLOCKS:
        return assign_in_blocks(z, codebook, mask, channel_dim, weight)
    from maskfusion.kernels import launch

    vectors = as_vectors(z, channel_dim)
    real = None if mask is None else mask.reshape(vectors.shape[:2])
    quantized, codes = empty_like(z, channel_dim)
    last = z.movedim(channel_dim, -1).shape
    indices = torch.empty(last[:-1], dtype=torch.int64, device=z.device)
    difference, *rest = launch.assign(vectors, codebook, real, weight, codes, indices.view(vectors.shape[:2]))
    return quantized, indices, difference.view(last).movedim(-1, channel_dim), *rest


def _save(ctx: Any, inputs: tuple[Any, ...], output: tuple[Any, ...]) -> None:
    *_, ctx.commitment_weight, ctx.codebook_weight = inputs
    found = Pass(*output)
    ctx.set_materialize_grads(False)
    shares = [found.share] if isinstance(found.share, Tensor) else []
    ctx.scale = 2.0 if isinstance(found.share, Tensor) else 2 * found.share
    ctx.save_for_backward(found.difference, found.residuals, *shares)


def _backward(
    ctx: Any, wants: tuple[bool, bool], for_codes: Tensor | None, for_loss: Tensor | None
) -> tuple[Tensor | None, Tensor | None]:
    for_vectors, for_codebook = for_codes, None
    if for_loss is not None:
        if torch.is_grad_enabled():
            raise RuntimeError(
                "The gradient of a quantiser's loss has no gradient of its own (`create_graph=True`). Call `eval()` or `freeze()` on it "
                "and use `torch.func.grad` for that."
            )
        difference, residuals, *shares = ctx.saved_tensors
        for_error = (
            for_loss * shares[0] if shares else for_loss
        )  # a share that is no number must not be looked at
        if wants[0]:
            pull = ctx.scale * ctx.commitment_weight
            for_vectors = (
                difference * (for_error * pull)
                if for_codes is None
                else torch.addcmul(for_codes, difference, for_error, value=pull)
            )
        if wants[1]:
            for_codebook = residuals * (for_error * (-ctx.scale * ctx.codebook_weight))
    return for_vectors, for_codebook


class _Assigned(torch.autograd.Function):
    """The pass and its gradient, without what it costs to call an operator."""

    @staticmethod
    def forward(ctx: Any, *inputs: Any) -> tuple[Tensor, ...]:
        way, z, codebook, mask, channel_dim, commitment_weight, codebook_weight = inputs
        weight = commitment_weight + codebook_weight
        found = _assign_at_once(way, z, codebook, mask, channel_dim, weight)
        _save(ctx, inputs, found)
        quantized, indices, _, counts, residuals, _, loss, used = found
        ctx.mark_non_differentiable(indices, counts, residuals, used)
        return quantized, indices, counts, residuals, loss, used

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
        _, for_z, for_codebook, *_ = ctx.needs_input_grad
        return (
            None,
            *_backward(ctx, (for_z, for_codebook), gradients[0], gradients[4]),
            None,
            None,
            None,
            None,
        )


Tensors = tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]


@torch.library.custom_op("maskfusion::assign", mutates_args=())
def _assign(
    z: Tensor,
    codebook: Tensor,
    mask: Tensor | None,
    channel_dim: int,
    commitment_weight: float,
    codebook_weight: float,
) -> Tensors:
    way = way_for(z, codebook.shape[1])  # again, since what arrives here are no longer tensors of a compiler
    found = Pass(*_assign_at_once(way, z, codebook, mask, channel_dim, commitment_weight + codebook_weight))
    difference = found.difference
    if difference.stride() != torch.empty_like(z, device="meta").stride():  # a compiler relies on them
        difference = torch.empty_like(z).copy_(difference)
    share = torch.as_tensor(found.share, dtype=torch.float32, device=z.device)
    return cast("Tensors", tuple(found._replace(difference=difference, share=share)))


@_assign.register_fake
def _(
    z: Tensor,
    codebook: Tensor,
    mask: Tensor | None,
    channel_dim: int,
    commitment_weight: float,
    codebook_weight: float,
) -> Tensors:
    del mask, commitment_weight, codebook_weight
    indices = z.new_empty(z.movedim(channel_dim, -1).shape[:-1], dtype=torch.int64)
    quantized, difference = torch.empty_like(z), torch.empty_like(z)
    counts, residuals = codebook.new_empty(codebook.shape[0]), torch.empty_like(codebook)
    share, loss, used = (codebook.new_empty(()) for _ in range(3))
    return quantized, indices, difference, counts, residuals, share, loss, used


def _backward_of_operator(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
    return *_backward(ctx, ctx.needs_input_grad[:2], gradients[0], gradients[6]), None, None, None, None


torch.library.register_autograd("maskfusion::assign", _backward_of_operator, setup_context=_save)
