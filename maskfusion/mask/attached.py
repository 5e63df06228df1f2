"""A mask on layers that stay what they are: forward hooks multiply what goes through them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from typing_extensions import override

from maskfusion._checks import expect_features
from maskfusion.functional.multiply import multiply_channels
from maskfusion.mask.copies import with_entries
from maskfusion.mask.entry import map_entry
from maskfusion.mask.mask import ComplementaryMask

if TYPE_CHECKING:
    from maskfusion.mask.sources import Sources

Entry = int | str | None


@dataclass(frozen=True)
class Argument:
    """Where a tensor stands among the arguments of a layer."""

    name: str | None
    """Name of the parameter; None where the layer does not say."""
    position: int | None
    """Its position; None for what is given by keyword only."""
    keys: tuple[int | str, ...] = ()
    """The way to the tensor inside the argument."""


@dataclass(frozen=True)
class Place:
    """One tensor of a network that a mask multiplies."""

    path: str
    """The layer."""
    modality: str | None
    """The modality it belongs to; None for several."""
    runs: tuple[tuple[int, int], ...]
    """The stretches of Omega that are the tensor's channels, in its order."""
    channel_dim: int
    argument: Argument | None = None
    """Which argument of the layer it is; None for what the layer returns."""
    entry: Entry = None
    """Which entry of what the layer returns; None for all of it."""

    width: int = field(init=False)
    """Channels of the tensor."""

    def __post_init__(self) -> None:
        """Count the channels."""
        object.__setattr__(self, "width", sum(stop - start for start, stop in self.runs))

    def __str__(self) -> str:
        """What errors call it."""
        if self.argument is not None:
            argument = self.argument.name or f"argument {self.argument.position}"
            return f"{argument} of {self.path}"
        return f"output of {self.path}" + ("" if self.entry is None else f", entry {self.entry!r}")


class AttachedMask(ComplementaryMask):
    """A ``ComplementaryMask`` that sits on layers of a network by hooks; ``attach`` makes it.

    It is a submodule of the network, for its parameter and its mode; its hooks call it, so that FSDP knows when it is at work. It has no
    ``channel_dim`` where its ``places`` have different ones.
    """

    def __init__(self, channels: Mapping[str, int], places: Sequence[Place], **settings: Any) -> None:
        dims = {place.channel_dim for place in places}
        super().__init__(channels, channel_dim=min(dims), **settings)
        if len(dims) > 1:
            del self.channel_dim
        self.places = tuple(places)
        self.padded: tuple[str, ...] = ()
        self.sources: Sources = {}
        """Which inputs of the network are whose, where an example has told."""
        self.side = "output" if places[0].argument is None else "input"

    @override
    def forward(self, features: Any, place: Place) -> Any:
        """Features of one place times their gates; a missing modality, None, stays missing."""
        if features is None:
            return None
        if isinstance(features, torch.fx.Proxy):
            raise TypeError(
                f"{place}: fx.symbolic_trace sees no tensor here. Trace first, then `attach` to the traced network."
            )
        expect_features(place, features, place.width, place.channel_dim)
        gate = self._gate_values()
        if gate.device != features.device:
            gate = gate.to(features.device)
        if len(place.runs) > 1:
            gate = torch.cat([gate[start:stop] for start, stop in place.runs])
        elif place.width < gate.numel():
            gate = gate.narrow(0, place.runs[0][0], place.width)
        return multiply_channels(features, gate, place.channel_dim % features.ndim)

    @override
    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *rest: Any) -> None:
        """A checkpoint of the plain network knows nothing of Omega, which stays as it is then."""
        if any(key.startswith(prefix) for key in state_dict):
            super()._load_from_state_dict(state_dict, prefix, *rest)

    @override
    def _dim_of(self, x: Any, modality: str | None) -> int:
        own = [place for place in self.places if modality is None or place.modality in (None, modality)]
        dims = {place.channel_dim for place in own}
        if len(dims) > 1:  # 1 and -1 are the same of two dimensions
            rank = max(x.ndim, 1) if isinstance(x, Tensor) else 1
            dims = {dim % rank for dim in dims}
        if len(dims) > 1:
            along = " and ".join(f"along {place.channel_dim} in the {place}" for place in own)
            raise ValueError(
                f"`x` of shape {tuple(x.shape)} must have its channels along one dimension; here they are {along}. Give the features of one "
                f"modality, with `modality=`, or cut them with `kept` and `channels`."
            )
        return dims.pop()

    @override
    def _at(self) -> list[str]:
        return [f"on {', '.join(map(self._in_words, self.places))}"]

    @override
    def _rows(self, kept: Mapping[str, str]) -> list[tuple[str, ...]]:
        rows: list[tuple[str, ...]] = [("modality", "kept", "on")]
        for name in self.channels:
            own = [self._in_words(place) for place in self.places if place.modality in (None, name)]
            rows += [(name, kept.get(name, ""), own[0]), *(("", "", place) for place in own[1:])]
        return rows

    def _in_words(self, place: Place) -> str:
        return str(place) if hasattr(self, "channel_dim") else f"{place} (channel_dim={place.channel_dim})"


class MaskHook:
    """What a mask does at one layer. A copy of the network has hooks of its own, which know the copy's mask."""

    def __init__(self, mask: AttachedMask, places: Sequence[Place]) -> None:
        self.mask = mask
        self.places = tuple(places)
        self.ran = False
        """Whether the layer has run since."""


class OutputHook(MaskHook):
    """A forward hook: masks what the layer returns."""

    def __call__(self, layer: nn.Module, args: Any, output: Any) -> Any:
        """Mask each of its places."""
        del layer, args
        if not self.ran:  # written once, since an exporter warns of what a call writes
            self.ran = True
        if output is None:  # the layer found its modality missing
            return None
        for place in self.places:
            output = map_entry(partial(self.mask, place=place), output, place.entry)
        return output


class InputHook(MaskHook):
    """A forward pre-hook: masks what the layer takes."""

    def __call__(self, layer: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, Any]:
        """Mask each of its places."""
        del layer
        if not self.ran:
            self.ran = True
        for place in self.places:
            argument = place.argument
            assert argument is not None
            if argument.name in kwargs:
                changed = self._inside(kwargs[argument.name], argument.keys, place)
                kwargs = {**kwargs, argument.name: changed}
            elif argument.position is not None and argument.position < len(args):
                changed = self._inside(args[argument.position], argument.keys, place)
                args = (*args[: argument.position], changed, *args[argument.position + 1 :])
        return args, kwargs

    def _inside(self, value: Any, keys: tuple[int | str, ...], place: Place) -> Any:
        if not keys or value is None:
            return self.mask(value, place)
        key, *rest = keys
        if isinstance(value, Mapping) and key not in value:
            return value
        return with_entries(value, {key: self._inside(value[key], tuple(rest), place)})


def hook_up(model: nn.Module, mask: AttachedMask) -> None:
    """Register the mask's hooks, one per layer."""
    by_path: dict[str, list[Place]] = {}
    for place in mask.places:
        by_path.setdefault(place.path, []).append(place)
    for path, places in by_path.items():
        layer = model.get_submodule(path)
        if places[0].argument is None:
            layer.register_forward_hook(OutputHook(mask, places))
        else:
            layer.register_forward_pre_hook(InputHook(mask, places), with_kwargs=True)


def keep_padding(model: nn.Module, mask: AttachedMask) -> None:
    """Let every ``nn.TransformerEncoder`` around a layer of the mask keep padding as it is.

    In evaluation it would hand its layers nested tensors, which they cannot take once they have hooks.
    """
    encoders = nesting_encoders(model)
    mask.padded = tuple(
        path
        for path in encoders
        if any(place.path.startswith(f"{path}." if path else "") for place in mask.places)
    )
    for path in mask.padded:
        encoders[path].use_nested_tensor = False


def nesting_encoders(model: nn.Module) -> dict[str, nn.TransformerEncoder]:
    """The transformer encoders that make nested tensors of padding in evaluation, by path."""
    return {
        path: module
        for path, module in model.named_modules()
        if isinstance(module, nn.TransformerEncoder) and module.use_nested_tensor
    }


def hooks_of(model: nn.Module) -> dict[str, list[MaskHook]]:
    """The hooks of masks in a model, by path of their layer."""
    return {
        path: found
        for path, layer in model.named_modules()
        if (found := [hook for hook in _hooks(layer).values() if isinstance(hook, MaskHook)])
    }


def unhook(model: nn.Module, mask: AttachedMask) -> None:
    """Take the hooks of a mask off a model, and the mask itself out of it."""
    for layer in model.modules():
        for number, hook in _hooks(layer).items():
            if isinstance(hook, MaskHook) and hook.mask is mask:
                for registered in (
                    layer._forward_hooks,
                    layer._forward_pre_hooks,
                    layer._forward_pre_hooks_with_kwargs,
                ):
                    registered.pop(number, None)
        for name in [name for name, child in layer.named_children() if child is mask]:
            delattr(layer, name)
    for path in mask.padded:
        encoder = model.get_submodule(path)
        if isinstance(encoder, nn.TransformerEncoder):
            encoder.use_nested_tensor = True


def _hooks(layer: nn.Module) -> dict[int, Any]:
    return {**layer._forward_hooks, **layer._forward_pre_hooks}
