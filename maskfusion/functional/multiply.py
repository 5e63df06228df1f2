"""The multiply of features by one value per channel, with a backward pass that stores no full-size product."""

from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor, fx

from maskfusion._checks import expect_features
from maskfusion._typing import Float
from maskfusion.kernels.way import Way, way_for

if TYPE_CHECKING:
    from collections.abc import Callable

BLOCK, ACCELERATOR_BLOCK = 1 << 18, 1 << 22
"""Elements of gradient times features held at once: 1 MiB in float32, which stays in the cache, and enough to keep a GPU busy."""


def channel_sums(left: Tensor, right: Tensor, channel_dim: int) -> Tensor:
    """Sum ``left * right`` over all dimensions but ``channel_dim``, block by block, in float32 or better."""
    others = [dim for dim in range(left.ndim) if dim != channel_dim]
    dtype = torch.promote_types(left.dtype, torch.float32)
    longest = max(others, key=lambda dim: left.shape[dim])
    block = BLOCK if left.device.type == "cpu" else ACCELERATOR_BLOCK
    step = max(1, block * left.shape[longest] // max(1, left.numel()))
    total = torch.zeros(left.shape[channel_dim], dtype=dtype, device=left.device)
    for a, b in zip(torch.split(left, step, longest), torch.split(right, step, longest), strict=True):
        total = total + (a.to(dtype) * b.to(dtype)).sum(others)
    return total


class _GatedInBlocks(torch.autograd.Function):
    """``features * gate`` along one dimension; twice differentiable."""

    @staticmethod
    def forward(ctx: Any, features: Tensor, gate: Tensor, channel_dim: int) -> Tensor:
        """Multiply in the dtype of ``features``; keep the two inputs, which are alive anyway."""
        ctx.channel_dim = channel_dim
        ctx.save_for_backward(features, gate)
        return _product(features, gate, channel_dim)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        """Gate the gradient; sum gradient times features per channel."""
        (gradient,) = gradients
        features, gate = ctx.saved_tensors
        wants_features, wants_gate, _ = ctx.needs_input_grad
        if wants_features and wants_gate and _in_one_pass(gradient, features):
            return *_both(gradient, features, gate, ctx.channel_dim), None
        for_features = _product(gradient, gate, ctx.channel_dim) if wants_features else None
        for_gate = channel_sums(gradient, features, ctx.channel_dim).to(gate.dtype) if wants_gate else None
        return for_features, for_gate, None


def _in_one_pass(gradient: Tensor, features: Tensor) -> bool:
    """Whether the Triton kernel does it: not where the result is differentiated again."""
    wide = torch.float64 in (gradient.dtype, features.dtype)
    return not (wide or torch.is_grad_enabled()) and way_for(gradient) is way_for(features) is Way.KERNELS


def _both(gradient: Tensor, features: Tensor, gate: Tensor, channel_dim: int) -> tuple[Tensor, Tensor]:
    """Both gradients at once; channels that are last in memory stay last."""
    from maskfusion.kernels import launch

    channels = len(gate)
    folds = features.shape[:channel_dim].numel(), channels, features.shape[channel_dim + 1 :].numel()
    channels_last = not features.is_contiguous() and features.movedim(channel_dim, -1).is_contiguous()

    def folded(tensor: Tensor) -> Tensor:
        if channels_last:
            return tensor.movedim(channel_dim, -1).contiguous().view(-1, channels, 1)
        return tensor.contiguous().view(folds)

    gated, sums = launch.gate_backward(folded(gradient), folded(features), gate)
    if channels_last:
        gated = gated.view(features.movedim(channel_dim, -1).shape).movedim(-1, channel_dim)
    return gated.view(features.shape), sums.to(gate.dtype)


def apply_gate(
    features: Float[Tensor, "..."], gate: Float[Tensor, " channels"], channel_dim: int = 1
) -> Float[Tensor, "..."]:
    r"""Multiply every channel of the features by its gate.

    .. math:: f_i = \hat z_i \odot \omega

    The backward pass sums gradient times features in blocks, so that their full-size product is never stored.

    Args:
        features: Tensor of rank 2 or more, with as many channels along ``channel_dim`` as ``gate`` has values.
        gate: One value for each channel, shape ``(channels,)``. The product is computed in the dtype of ``features``.
        channel_dim: Dimension of the channels.

    Returns:
        The gated features: shape, dtype, device and memory format of ``features``.

    Raises:
        TypeError: If ``features`` is no floating-point tensor.
        ValueError: If the number of channels is not that of ``gate``.

    Examples:
        >>> apply_gate(torch.ones(1, 3), torch.tensor([1.0, 0.0, 0.5]))
        tensor([[1.0000, 0.0000, 0.5000]])

    Reference: Sec. 3.2.
    """
    given: object = features
    if isinstance(given, fx.Proxy):  # a symbolic trace, in which this is one call
        proxy: Any = given.tracer.create_proxy("call_function", apply_gate, (features, gate, channel_dim), {})
        return cast("Tensor", proxy)
    expect_features("features", features, gate.numel(), channel_dim)
    return multiply_channels(features, gate, channel_dim % features.ndim)


def multiply_channels(features: Tensor, gate: Tensor, channel_dim: int) -> Tensor:
    """Multiply ``features`` by ``gate``, one value per channel.

    Of few features autograd's own product is no larger than a block, and compilers, exporters and transforms follow it by themselves.
    """
    many = not torch.compiler.is_compiling() and (
        features.numel() > BLOCK or features.dtype.itemsize < gate.dtype.itemsize
    )
    if many and {way_for(features), way_for(gate)} <= {Way.BLOCKS, Way.KERNELS}:
        apply = cast("Callable[[Tensor, Tensor, int], Tensor]", _GatedInBlocks.apply)
        return apply(features, gate, channel_dim)
    return _product(features, gate, channel_dim)


def _product(features: Tensor, gate: Tensor, channel_dim: int) -> Tensor:
    factor = gate if gate.dtype == features.dtype else gate.to(features.dtype)
    return features * factor.view(-1, *[1] * (features.ndim - channel_dim - 1))
