"""Layers behind a mask made smaller: the open channels alone, and the layer that reads them cut to fit."""

from copy import deepcopy

import torch
from torch import Tensor, nn
from typing_extensions import override

from maskfusion import functional
from maskfusion._checks import expect_features
from maskfusion._typing import Bool, Float
from maskfusion.compact.cutting import Channels, Reader, called, cut
from maskfusion.mask.mask import ComplementaryMask, whole


def compact_layers(mask: ComplementaryMask, consumer: nn.Module) -> nn.Sequential:
    """Make the layers behind a mask smaller: they take the *unmasked* features, and read only the open channels.

    A closed channel is zero, and what batch norm or an activation makes of zero is a constant. It goes into the bias of the
    layer that reads it; for a convolution that pads with zeros, into one more input channel of ones. Outputs are those of
    ``consumer(mask(features))`` in evaluation, to rounding. A gate other than zeros and ones stays as a factor. If everything
    is closed, one channel of zeros stays, because layers need an input.

    The mask's own ``fusion`` is no part of the result: call it before, ``compact(mask, consumer)(mask.fusion(x))``.

    Args:
        mask: Mask on the output of its fusion, with ``channel_dim`` 1 or -1.
        consumer: Layer that reads the features, ``nn.Linear`` or ``nn.Conv1d/2d/3d``, or an ``nn.Sequential`` with one. The layers
            before it must act on each channel by itself: batch norm, activations, dropout, pooling, ``nn.Flatten``,
            ``nn.Identity``. What follows stays as it is.

    Returns:
        Copies; ``mask`` and ``consumer`` do not change. Parameters keep their ``requires_grad``.

    Raises:
        TypeError: If an argument has the wrong type, or ``consumer`` has a layer that cannot be cut.
        ValueError: If ``mask`` has no fixed gate on fused features, or a layer does not fit it.
    """
    gate = _gate_of_features(mask)
    if not isinstance(consumer, nn.Module):
        raise TypeError(f"`consumer` (={consumer!r}) must be a module.")
    channels = Channels(gate != 0, torch.zeros(len(gate), dtype=torch.float64), mask.channel_dim)
    if not channels.kept.any():
        channels.kept[0] = True
    select = SelectChannels(channels.kept, gate, mask.channel_dim).to(mask.weight.device)
    layers: list[nn.Module] = [select]
    pending = [("consumer", consumer)]
    while pending:
        name, layer = pending.pop(0)
        if layer._forward_hooks or layer._forward_pre_hooks or "forward" in vars(layer):
            raise ValueError(f"{called(name, layer)} must have no hooks: they may read what is cut away.")
        if type(layer).forward is nn.Sequential.forward:
            children = layer.named_modules(remove_duplicate=False)
            pending[:0] = [(f"{name}.{key}", child) for key, child in children if key and "." not in key]
            continue
        layers += cut(name, layer, channels)
        if isinstance(layer, Reader):
            select.rank = channels.rank
            result = nn.Sequential(*layers, *deepcopy([rest for _, rest in pending]))
            result.training = consumer.training
            return result
    raise ValueError(f"{called('consumer', consumer)} must have an nn.Linear or nn.Conv1d/2d/3d.")


class SelectChannels(nn.Module):
    """Take some channels of fused features and drop the others."""

    index: Tensor
    gate: Tensor | None

    def __init__(
        self, kept: Bool[Tensor, " channels"], gate: Float[Tensor, " channels"], channel_dim: int
    ) -> None:
        super().__init__()
        self.total = len(kept)
        self.channel_dim = channel_dim
        self.rank: int | None = None
        self.register_buffer("index", kept.nonzero().flatten())
        self.register_buffer("gate", None if (gate[kept] == 1).all() else gate[kept])

    @override
    def forward(self, features: Tensor) -> Tensor:
        """Return the selected channels."""
        expect_features("fused features", features, self.total, self.channel_dim)
        if self.rank not in {None, features.ndim}:
            shape = tuple(features.shape)
            raise ValueError(
                f"`fused features` of shape {shape} must have {self.rank} dimensions for what reads them."
            )
        selected = features.index_select(self.channel_dim, self.index)
        return selected if self.gate is None else functional.apply_gate(selected, self.gate, self.channel_dim)

    @override
    def extra_repr(self) -> str:
        """How many channels, for ``print``."""
        return f"{len(self.index)} of {self.total}, channel_dim={self.channel_dim}"


def _gate_of_features(mask: ComplementaryMask) -> Float[Tensor, " channels"]:
    if mask.side != "output":
        raise ValueError(
            "`mask` (side='input') must be on the output of its fusion: behind a fusion that mixes channels none is closed."
        )
    if not hasattr(mask, "channel_dim"):
        raise ValueError(
            f"`mask` ({', '.join(mask._at())}) must have its channels along one dimension at all of its places. Give the network: "
            f"`compact(model, example)`."
        )
    if mask.channel_dim not in {1, -1}:
        raise ValueError(f"`mask` (channel_dim={mask.channel_dim}) must have `channel_dim` 1 or -1.")
    return fixed_gate(mask, "`mask`")


def fixed_gate(mask: ComplementaryMask, name: str) -> Float[Tensor, " channels"]:
    """What a mask multiplies channels by in evaluation.

    Raises:
        ValueError: If it is random.
    """
    weight = whole(mask.weight).cpu()
    with torch.random.fork_rng(devices=[]):
        before = torch.get_rng_state()
        gate = mask.gate(weight, mask.threshold, False).detach()
        if not torch.equal(before, torch.get_rng_state()):
            raise ValueError(f"{name} must have a gate that is not random in evaluation.")
    if mask.min_channels:
        gate = gate + (mask._largest(weight) & (gate == 0)).to(gate.dtype)
    return gate
