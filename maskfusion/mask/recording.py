"""Watching layers run: what they take, what they return, and along which dimension their channels are."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

from torch import Tensor, nn

from maskfusion.mask.example import Example, differs

K = TypeVar("K")

Told = tuple[int, int]
"""Channels, and the dimension that they are along: 1 or -1."""

RETURNS = {
    -1: ("out_features", "normalized_shape", "embedding_dim", "embed_dim", "hidden_size", "nf"),
    1: ("out_channels", "num_features", "num_channels"),
}
TAKES = {
    -1: ("in_features", "normalized_shape", "embed_dim", "input_size", "nx"),
    1: ("in_channels", "num_features", "num_channels"),
}
"""Attributes by which layers tell how many channels they return and take, by the dimension of these."""


@dataclass
class Recorded:
    """What one layer did in one run of the network."""

    calls: list[tuple[tuple[Any, ...], dict[str, Any], Any]] = field(default_factory=list)
    """Arguments, keyword arguments and output of each call."""
    takes: list[Told] = field(default_factory=list)
    """What the layers inside that tell of channels take, in the order in which they run."""
    returns: list[Told] = field(default_factory=list)
    """What they return, the last one first."""


def record(
    example: Example, layers: Mapping[str, nn.Module], exchanged: Sequence[str] = (), scale: float = 1.0
) -> dict[str, Recorded]:
    """Run the network once, with the samples of some inputs exchanged and scaled, and record these layers."""
    found = {path: Recorded() for path in layers}
    with _hooked(layers, found):
        example.exchanged(exchanged, scale)
    return found


@contextmanager
def _hooked(layers: Mapping[str, nn.Module], found: Mapping[str, Recorded]) -> Iterator[None]:
    handles = []
    try:
        for path, layer in layers.items():
            handles += [part.register_forward_hook(_teller(found[path])) for part in layer.modules()]
            handles.append(layer.register_forward_hook(_recorder(found[path]), with_kwargs=True))
        yield
    finally:
        for handle in handles:
            handle.remove()


def _recorder(recorded: Recorded) -> Callable[..., None]:
    def hook(layer: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> None:
        del layer
        recorded.calls.append((args, kwargs, output))

    return hook


def _teller(recorded: Recorded) -> Callable[..., None]:
    def hook(layer: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        del args, output
        recorded.takes += _told(layer, TAKES)
        recorded.returns[:0] = _told(layer, RETURNS)

    return hook


def _told(layer: nn.Module, attributes: Mapping[int, Sequence[str]]) -> list[Told]:
    for dim, names in attributes.items():
        for name in names:
            value = getattr(layer, name, None)
            count = value[-1] if isinstance(value, tuple) and value else value
            if isinstance(count, int):
                return [(count, dim)]
    return []


def channel_dim_of(tensor: Tensor, told: Sequence[Told]) -> int | None:
    """The dimension of a tensor's channels, 1 or negative; None where it cannot be told.

    Args:
        tensor: Input or output of a layer.
        told: Channels, and their dimension, as the layers inside say, the nearest to the tensor first.
    """
    if tensor.ndim == 2:
        return 1
    for count, dim in told:
        if tensor.shape[dim] == count:
            return dim
    fitting = [place for place in range(1, tensor.ndim) if told and tensor.shape[place] == told[0][0]]
    return fitting[0] - tensor.ndim if len(fitting) == 1 else None


def channel_dims_of(tensors: Mapping[K, Tensor], told: Sequence[Told]) -> dict[K, int | None]:
    """The dimension of the channels of each of several tensors that a layer takes, each by itself or all joined along it."""

    def joined(tensor: Tensor) -> int | None:
        alike = [other for other in tensors.values() if other.ndim == tensor.ndim]
        return next((dim for count, dim in told if sum(other.shape[dim] for other in alike) == count), None)

    found = {key: channel_dim_of(tensor, told) for key, tensor in tensors.items()}
    return {key: joined(tensors[key]) if dim is None else dim for key, dim in found.items()}


def why_silent(model: nn.Module, example: Example, path: str) -> str:
    """Why a layer has not run: its parts do, its ``forward`` is called past its hooks, its weight is read, or nobody asks it."""
    layer = model.get_submodule(path)
    parts = {f"{path}.{name}": part for name, part in layer.named_modules() if name}
    running = [name for name, recorded in record(example, parts).items() if recorded.calls]
    if _is_called_directly(layer, example):
        return f"`{path}` does not run as a layer: its `forward` is called past its hooks. Name the layer around it."
    if running:
        return (
            f"`{path}` does not run itself, its parts do: {running}. Name the last that holds the features."
        )
    if _is_read(layer, example):
        return f"`{path}` does not run: another layer reads its weight and computes in its place. Name that layer."
    return f"`{path}` does not run with this `example`. Name a layer that does."


def _is_called_directly(layer: nn.Module, example: Example) -> bool:
    forward, calls = layer.forward, []

    def counting(*args: Any, **kwargs: Any) -> Any:
        calls.append(layer)
        return forward(*args, **kwargs)

    try:
        layer.forward = counting
        example.run()
    finally:
        del layer.forward
    return bool(calls)


def _is_read(layer: nn.Module, example: Example) -> bool:
    before = example.run()
    parameters = list(layer.parameters())
    originals = [parameter.clone() for parameter in parameters]
    try:
        for parameter in parameters:
            parameter.add_(1)
        return differs(before, example.run())
    finally:
        for parameter, original in zip(parameters, originals, strict=True):
            parameter.copy_(original)
