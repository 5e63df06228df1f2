"""The tensors that a layer takes and returns, as an example shows them."""

from collections.abc import Sequence

from torch import Tensor, nn

from maskfusion.mask.attached import Argument, Entry
from maskfusion.mask.entry import entry_name, entry_of
from maskfusion.mask.example import tensors_in
from maskfusion.mask.features import parameter_names
from maskfusion.mask.recording import Recorded, Told, channel_dim_of


def output_of(recorded: Recorded, path: str, entry: Entry) -> Tensor:
    """The features that a layer returned in its first call.

    Raises:
        ValueError: If the entry is not there or no tensor; the message names the tensors.
    """
    try:
        found = entry_of(recorded.calls[0][2], entry)
    except ValueError as error:
        raise ValueError(f"{error} The layer is `{path}`; a mapping gives each modality its own.") from None
    if isinstance(found, Tensor):
        return found
    there = [entry_name(keys if entry is None else (entry, *keys)) for keys in tensors_in(found)]
    kind = type(found).__name__
    if not there:
        raise ValueError(f"`at`: `{path}` returns a {kind}, in which there is no tensor. Name another layer.")
    if entry is None:
        raise ValueError(
            f"`at`: `{path}` returns a {kind}, not a tensor. Name what holds its features with `entry=`, of {there}."
        )
    raise ValueError(
        f"`entry` (={entry!r}) must name a tensor; in what `{path}` returns it is a {kind}. Name what holds the features in it, of {there}."
    )


def arguments_of(layer: nn.Module, recorded: Recorded) -> dict[Argument, Tensor]:
    """What a layer took in its first call: real numbers of at least two dimensions."""
    args, kwargs, _ = recorded.calls[0]
    names = parameter_names(layer)
    found = {
        Argument(names[place] if place < len(names) else None, place, keys): tensor
        for place, value in enumerate(args)
        for keys, tensor in tensors_in(value).items()
    }
    for name, value in kwargs.items():
        place = names.index(name) if name in names else None
        found |= {Argument(name, place, keys): tensor for keys, tensor in tensors_in(value).items()}
    return {key: tensor for key, tensor in found.items() if tensor.is_floating_point() and tensor.ndim > 1}


def argument_name(argument: Argument, path: str) -> str:
    """What errors call an argument of a layer."""
    name = argument.name or f"argument {argument.position}"
    return f"{name} of `{path}`" if not argument.keys else f"{name}{list(argument.keys)} of `{path}`"


def dim_of(tensor: Tensor, told: Sequence[Told], name: str, given: int | None) -> int:
    """The dimension of the channels, given or told.

    Raises:
        ValueError: If it is neither.
    """
    dim = channel_dim_of(tensor, told) if given is None else given
    if dim is None:
        raise ValueError(
            f"`channel_dim` (=None) must say which dimension of the {name}, of shape {tuple(tensor.shape)}, holds the channels: 1 for "
            f"(batch, channels, ...), -1 for (batch, tokens, channels)."
        )
    return dim
