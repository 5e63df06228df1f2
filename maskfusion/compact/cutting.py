"""How each layer behind a mask becomes smaller without the closed channels, and what it makes of those."""

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import TypeVar, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 (the name that everyone gives it)
from typing_extensions import override

from maskfusion._typing import Bool, Float

Layer = TypeVar("Layer", bound=nn.Module)
Convolution = nn.Conv1d | nn.Conv2d | nn.Conv3d
Reader = nn.Linear | Convolution
Norm = nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d | nn.SyncBatchNorm
AVERAGES = (nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d)
POOLS = (
    *AVERAGES,
    *(nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d),
    *(nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.AdaptiveAvgPool3d),
    *(nn.AdaptiveMaxPool1d, nn.AdaptiveMaxPool2d, nn.AdaptiveMaxPool3d),
)
UNCHANGED = (
    *(nn.Identity, nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout),
    nn.FeatureAlphaDropout,
)
ACTIVATIONS = (
    *(nn.ReLU, nn.ReLU6, nn.RReLU, nn.LeakyReLU, nn.ELU, nn.SELU, nn.CELU, nn.GELU, nn.SiLU, nn.Mish),
    *(nn.Softplus, nn.Sigmoid, nn.LogSigmoid, nn.Tanh, nn.Hardtanh, nn.Hardsigmoid, nn.Hardswish),
    *(nn.Hardshrink, nn.Softshrink, nn.Tanhshrink, nn.Softsign, nn.Threshold),
)
KNOWN = {*get_args(Reader), *get_args(Norm), *POOLS, *UNCHANGED, *ACTIVATIONS, nn.PReLU, nn.Flatten}
"""Subclasses are others: they may do anything."""


@dataclass
class Channels:
    """What is known of the channels on their way from mask to reader; after ``nn.Flatten`` each is a run of features."""

    kept: Bool[Tensor, " channels"]
    constant: Float[Tensor, " channels"]
    """What a closed channel holds everywhere; in float64."""
    dim: int
    flat: bool = False
    rank: int | None = None
    """What the features' rank must be, where a layer would read another dimension otherwise."""

    def spread(self, name: str, layer: nn.Module, count: int) -> None:
        """Go over to ``count`` features, as the layer has them."""
        channels = len(self.kept)
        if count != channels and (not self.flat or count % channels):
            rule = (
                f"a multiple of the mask's {channels} channels" if self.flat else f"{channels}, as the mask"
            )
            raise ValueError(f"{called(name, layer)} with {count} inputs must have {rule}.")
        times = count // channels
        if self.dim == 1:
            self.kept, self.constant = (x.repeat_interleave(times) for x in (self.kept, self.constant))
        else:
            self.kept, self.constant = (x.repeat(times) for x in (self.kept, self.constant))

    def expect_vectors(self, dim: int) -> None:
        """The layer works along ``dim``; unless channels stand there anyway, features must have no other dimension."""
        if not self.flat and self.dim != dim:
            self.rank = 2

    def expect_maps(self, name: str, layer: nn.Module) -> None:
        """The layer works on ``(batch, channels, *spatial)``."""
        if self.flat or self.dim != 1:
            raise ValueError(
                f"{called(name, layer)} must read channels along dimension 1 of features that are not flattened; "
                f"`channel_dim` of the mask is {self.dim}."
            )


class AppendOnes(nn.Module):
    """Add a channel of ones: what the constants of closed channels are multiples of, zero in the padding like them."""

    @override
    def forward(self, features: Tensor) -> Tensor:
        """Return one channel more."""
        return torch.cat([features, torch.ones_like(features.narrow(1, 0, 1))], 1)


def cut(name: str, layer: nn.Module, channels: Channels) -> list[nn.Module]:
    """Copies of a layer that take only the open channels; ``channels`` is updated."""
    if type(layer) not in KNOWN:
        raise TypeError(
            f"{called(name, layer)} must be an nn.Linear or nn.Conv1d/2d/3d that reads the channels, or a layer before it that "
            f"acts on each channel by itself: batch norm, activation, dropout, pooling, nn.Flatten, nn.Identity."
        )
    if isinstance(layer, nn.Linear):
        return [_cut_linear(name, layer, channels)]
    if isinstance(layer, Convolution):
        return _cut_convolution(name, layer, channels)
    if isinstance(layer, Norm):
        return [_cut_norm(name, layer, channels)]
    if isinstance(layer, nn.PReLU):
        return [_cut_prelu(name, layer, channels)]
    if isinstance(layer, nn.Flatten):
        _flatten(name, layer, channels)
    elif isinstance(layer, POOLS):
        _pool(name, layer, channels)
    elif isinstance(layer, ACTIVATIONS):
        channels.constant = deepcopy(layer).eval()(channels.constant.clone())
    return [deepcopy(layer)]


def _cut_linear(name: str, layer: nn.Linear, channels: Channels) -> nn.Linear:
    channels.expect_vectors(-1)
    channels.spread(name, layer, layer.in_features)
    smaller = _narrowed(layer, channels, 1, "weight")
    smaller.in_features = smaller.weight.shape[1]
    _add_to_bias(smaller, _of_closed(layer.weight, channels))
    return smaller


def _cut_convolution(name: str, layer: Convolution, channels: Channels) -> list[nn.Module]:
    channels.expect_maps(name, layer)
    if layer.groups != 1:
        raise ValueError(
            f"{called(name, layer)} must have `groups` 1, not {layer.groups}: each group reads its own channels."
        )
    channels.spread(name, layer, layer.in_channels)
    smaller = _narrowed(layer, channels, 1, "weight")
    constants = _of_closed(layer.weight, channels)
    before: list[nn.Module] = []
    if constants.any() and layer.padding_mode == "zeros" and _pads(layer.padding):
        weight = torch.cat([smaller.weight, constants.to(smaller.weight).unsqueeze(1)], 1)
        smaller.weight = nn.Parameter(weight.detach(), layer.weight.requires_grad)
        before = [AppendOnes()]
    else:
        _add_to_bias(smaller, constants.flatten(1).sum(1))
    smaller.in_channels = smaller.weight.shape[1]
    return [*before, smaller]


def _cut_norm(name: str, layer: Norm, channels: Channels) -> Norm:
    if isinstance(layer, nn.BatchNorm1d | nn.SyncBatchNorm):
        channels.expect_vectors(1)
    else:
        channels.expect_maps(name, layer)
    channels.spread(name, layer, layer.num_features)
    parts = (layer.running_mean, layer.running_var, layer.weight, layer.bias)
    mean, variance, weight, bias = (part if part is None else part.detach().cpu().double() for part in parts)
    rows = channels.constant.expand(2, -1)  # two alike, in case the layer takes their own mean
    channels.constant = F.batch_norm(rows, mean, variance, weight, bias, mean is None, 0.0, layer.eps)[0]
    smaller = _narrowed(layer, channels, 0, "weight", "bias", "running_mean", "running_var")
    smaller.num_features = int(channels.kept.sum())
    return smaller


def _cut_prelu(name: str, layer: nn.PReLU, channels: Channels) -> nn.PReLU:
    weight = layer.weight.detach().cpu().double()
    if layer.num_parameters == 1:
        channels.constant = F.prelu(channels.constant, weight)
        return deepcopy(layer)
    channels.expect_vectors(1)
    channels.spread(name, layer, layer.num_parameters)
    channels.constant = F.prelu(channels.constant[None], weight)[0]
    smaller = _narrowed(layer, channels, 0, "weight")
    smaller.num_parameters = len(smaller.weight)
    return smaller


def _pool(name: str, layer: nn.Module, channels: Channels) -> None:
    """Constants stay as they are, unless the layer averages with zeros around or by another count."""
    channels.expect_maps(name, layer)
    changes = isinstance(layer, AVERAGES) and (
        (layer.count_include_pad and _pads(layer.padding))
        or getattr(layer, "divisor_override", None) is not None
    )
    if changes and channels.constant[~channels.kept].any():
        raise ValueError(
            f"{called(name, layer)} must not average closed channels with its padding, nor have `divisor_override`: the layers "
            f"before it make them constants other than zero. Set `count_include_pad=False`, or pool first."
        )


def _flatten(name: str, layer: nn.Flatten, channels: Channels) -> None:
    if (layer.start_dim, layer.end_dim) == (1, -1):
        channels.flat = True
    elif layer.start_dim < 2 if channels.dim == 1 else layer.end_dim != -2:
        raise ValueError(
            f"{called(name, layer)} must flatten all but the batch, or leave out the channels' dimension."
        )


def _narrowed(layer: Layer, channels: Channels, dim: int, *names: str) -> Layer:
    """A copy of ``layer`` whose tensors ``names`` have only the open channels' entries along ``dim``."""
    smaller = deepcopy(layer)
    index = channels.kept.nonzero().flatten()
    for name in names:
        tensor = getattr(layer, name)
        if tensor is not None:
            part = tensor.detach().index_select(dim, index.to(tensor.device))
            is_parameter = isinstance(tensor, nn.Parameter)
            setattr(smaller, name, nn.Parameter(part, tensor.requires_grad) if is_parameter else part)
    return smaller


def _of_closed(weight: Tensor, channels: Channels) -> Float[Tensor, "out *kernel"]:
    """What the closed channels add to the output, one value a kernel element; in float64."""
    closed = ~channels.kept
    theirs = weight.detach().cpu().double()[:, closed]
    summed: Tensor = torch.tensordot(theirs, channels.constant[closed], ([1], [0]))
    return summed


def _add_to_bias(layer: Reader, constants: Float[Tensor, " out"]) -> None:
    if layer.bias is not None:
        bias = layer.bias.detach()
        layer.bias = nn.Parameter((bias.cpu().double() + constants).to(bias), layer.bias.requires_grad)
    elif constants.any():
        layer.bias = nn.Parameter(constants.to(layer.weight), layer.weight.requires_grad)


def _pads(padding: str | int | Sequence[int]) -> bool:
    if isinstance(padding, str):
        return padding != "valid"
    return padding > 0 if isinstance(padding, int) else any(padding)


def called(name: str, layer: nn.Module) -> str:
    """How errors name a layer."""
    return f"`{name}` ({type(layer).__name__})"
