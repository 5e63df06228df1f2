"""Finding out from an example where in a network the features of each modality are."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

import torch
from torch import Tensor, nn

from maskfusion.mask.attached import Argument, Entry, Place
from maskfusion.mask.entry import entry_of
from maskfusion.mask.example import Example, tensors_in
from maskfusion.mask.features import parameter_names
from maskfusion.mask.owners import changed_channels, independent, lay_out, owners
from maskfusion.mask.recording import Recorded, Told, channel_dim_of, channel_dims_of, record, why_silent
from maskfusion.mask.sources import Sources, inputs_of

Layers = Mapping[str | None, Sequence[str]]
"""Paths by modality; that of one layer for all under None."""

Located = tuple[list[Place], dict[str, int], Sources]
"""Places, channels of each modality, inputs of each modality."""

SCALES = (1.0, -3.0)
"""What samples that change places are multiplied by, so that a channel behind a ReLU that is off shows too."""


@dataclass(frozen=True)
class Search:
    """A network, an example of its inputs, and what the user says about its modalities."""

    model: nn.Module
    example: Example
    sources: Sources | None
    """Inputs of each modality; None where that is to be found."""
    entry: Mapping[str | None, Any]
    """Entry, or entries, of what the layers return, or argument that the layer takes, by path or modality; for all under None."""
    channel_dim: Mapping[str | None, int | None]
    """Dimension of the channels, by path or modality; for all under None."""

    def encoders(self, layers: Layers) -> Located:
        """Find the features that each modality's own layers return.

        Raises:
            ValueError: If a layer does not run, returns no tensor, or does not depend on its modality's inputs.
        """
        at = [
            (str(modality), path, entry)
            for modality, paths in layers.items()
            for path in paths
            for entry in _several(_of(self.entry, path, modality))
        ]
        plain = self._run([path for _, path, _ in at])
        dims, widths = [], []
        for modality, path, entry in at:
            tensor = _output(plain[path], path, entry)
            name = f"output of `{path}`"
            dims.append(_dim(tensor, plain[path].returns, name, _of(self.channel_dim, path, modality)))
            widths.append(tensor.shape[dims[-1]])
        counts, runs = lay_out(
            [[modality] * width for (modality, _, _), width in zip(at, widths, strict=True)]
        )
        changes = {name: self._changed_features(name, at, plain) for name in self.example.varied()}
        sources = inputs_of(list(counts), self.example, self.sources, changes)
        for modality in counts:
            theirs = {name: changes.get(name, set()) for name in sources[modality]}
            if not any(modality in changed for changed in theirs.values()):
                others = sorted(set().union(*theirs.values()))
                where = [path for own, path, _ in at if own == modality]
                raise ValueError(
                    f"`at`: the features of {modality!r}, at {where}, do not change with its inputs {list(theirs)}"
                    + (f"; those of {others} do" if others else "")
                    + ". Name its own layers, or say with `modalities=` which inputs are whose."
                )
        places = [
            Place(path, modality, run, dim, entry=entry)
            for (modality, path, entry), run, dim in zip(at, runs, dims, strict=True)
        ]
        return places, counts, sources

    def fused_layer(self, layers: Layers) -> Located:
        """Find which channels of what one layer returns are whose.

        Raises:
            ValueError: If the layer does not run or returns no tensor, or its channels are mixed.
        """
        (path,) = layers[None]
        name, entry = f"output of `{path}`", self.entry.get(None)
        plain = self._run([path])[path]
        before = _output(plain, path, entry)
        dim = _dim(before, plain.returns, name, self.channel_dim.get(None))

        def changed(inputs: Sequence[str], scale: float) -> Tensor:
            recorded = self._run([path], inputs, scale)[path]
            return changed_channels(before, _output(recorded, path, entry), dim)

        flags = {
            key: _any(changed(inputs, scale) for scale in SCALES) for key, inputs in self._units().items()
        }
        chosen = self._chosen(flags)
        owned = owners(chosen, name)
        counts, (run,) = lay_out([owned])
        return [Place(path, None, run, dim, entry=entry)], counts, self._grouped(flags, chosen, counts)

    def mixing_layer(self, layers: Layers) -> Located:
        """Find among what one layer takes each modality's features: an argument of their own, or some channels of one.

        Raises:
            ValueError: If the layer does not run, or a modality's features are mixed or cannot be told from its other arguments.
        """
        (path,) = layers[None]
        layer = self.model.get_submodule(path)
        plain = self._run([path])[path]
        before = _arguments(layer, plain)
        given = self.channel_dim.get(None)
        dims = channel_dims_of(before, plain.takes) if given is None else dict.fromkeys(before, given)

        def changed(argument: Argument, tensor: Tensor, runs: Sequence[Mapping[Argument, Tensor]]) -> Tensor:
            dim = dims[argument]
            parts = [changed_channels(tensor, run.get(argument), 0 if dim is None else dim) for run in runs]
            return _any(parts) if dim is not None else _any(parts).any().reshape(1)

        by_unit: dict[str, dict[Argument, Tensor]] = {}
        for key, inputs in self._units().items():
            runs = [_arguments(layer, self._run([path], inputs, scale)[path]) for scale in SCALES]
            by_unit[key] = {argument: changed(argument, tensor, runs) for argument, tensor in before.items()}
        flags = {
            key: torch.cat([*by_argument.values()]) for key, by_argument in by_unit.items() if by_argument
        }
        chosen = self._chosen(flags)
        found = self._features(path, before, {key: by_unit[key] for key in chosen})
        for argument in found:
            _dim(before[argument], plain.takes, _argument_name(argument, path), dims[argument])
        counts, stretches = lay_out(list(found.values()))
        places = [
            Place(
                path, owned[0] if len(set(owned)) == 1 else None, run, dims[argument] or 1, argument=argument
            )
            for (argument, owned), run in zip(found.items(), stretches, strict=True)
        ]
        return places, counts, self._grouped(flags, chosen, counts)

    def _features(
        self, path: str, before: Mapping[Argument, Tensor], flags: Mapping[str, Mapping[Argument, Tensor]]
    ) -> dict[Argument, list[str]]:
        """The arguments that are features, and the owners of their channels."""
        touched = {
            argument: [modality for modality, by_argument in flags.items() if by_argument[argument].any()]
            for argument in before
        }
        found: dict[Argument, list[str]] = {}
        left = []
        for modality in flags:
            own = [argument for argument, by in touched.items() if by == [modality]]
            wanted = _of(self.entry, modality)
            if wanted is not None:
                own = [argument for argument in own if wanted in (argument.name, argument.position)]
            tops = list(dict.fromkeys((argument.name, argument.position) for argument in own))
            if len(tops) > 1:
                tops = [top for top in tops if top[0] == modality] or tops
            if len(tops) > 1:
                names = [_argument_name(argument, path) for argument in own]
                raise ValueError(
                    f"`entry` must say which of {names} holds the features of {modality!r}: {{{modality!r}: name or position}}. Where "
                    f"each is a modality of its own, give an `example` that has each by name, and a `call` that puts them together."
                )
            own = [argument for argument in own if (argument.name, argument.position) in tops]
            found |= {argument: [modality] * flags[modality][argument].numel() for argument in own}
            left += [] if own else [modality]
        if left:
            shared = [argument for argument, by in touched.items() if set(left) <= set(by)]
            if not shared:
                raise ValueError(
                    f"`at`: nothing that `{path}` takes changes with the inputs of {left} alone. Name a layer that takes their features."
                )
            theirs = {
                modality: flags[modality][shared[0]] for modality in flags if modality in touched[shared[0]]
            }
            found[shared[0]] = owners(theirs, _argument_name(shared[0], path))
        return found

    def _units(self) -> Mapping[str, Sequence[str]]:
        """What is exchanged at a time: the inputs of a modality, or one input."""
        return self.sources or {name: (name,) for name in self.example.varied()}

    def _chosen(self, flags: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The modalities: those that are named, or the inputs that change channels of their own."""
        if self.sources:
            return dict(flags)
        chosen, changing = independent(flags), [name for name, flag in flags.items() if flag.any()]
        if not chosen:
            raise ValueError(
                f"`at`: the features of this layer change with none of the inputs {list(self._units())}. Name a layer that hears them; a "
                f"closed mask before it is one reason."
            )
        if len(chosen) == 1 < len(changing):
            raise ValueError(
                f"`modalities` must say which inputs are whose: {changing} all change the same channels. If they are several modalities, "
                f"these are mixed there already; name layers before that."
            )
        return chosen

    def _grouped(
        self, flags: Mapping[str, Tensor], chosen: Mapping[str, Tensor], counts: Mapping[str, int]
    ) -> Sources:
        """The inputs of each modality, in the order of the channels."""
        if self.sources:
            return {name: self.sources[name] for name in counts}
        return {
            name: tuple(key for key, flag in flags.items() if torch.equal(flag, chosen[name]))
            for name in counts
        }

    def _changed_features(
        self, name: str, at: Iterable[tuple[str, str, Entry]], plain: Mapping[str, Recorded]
    ) -> set[str]:
        """The modalities whose features change when the samples of an input change places."""
        changed = record(self.example, {path: self.model.get_submodule(path) for path in plain}, [name])
        return {
            modality
            for modality, path, entry in at
            if not changed[path].calls
            or not torch.equal(_output(plain[path], path, entry), _output(changed[path], path, entry))
        }

    def _run(
        self, paths: Sequence[str], exchanged: Sequence[str] = (), scale: float = 1.0
    ) -> dict[str, Recorded]:
        """Record these layers in one run; each must have run."""
        layers = {path: self.model.get_submodule(path) for path in paths}
        found = record(self.example, layers, exchanged, scale)
        for path, recorded in found.items():
            if not recorded.calls:
                raise ValueError(f"`at`: {why_silent(self.model, self.example, path)}")
        return found


def _output(recorded: Recorded, path: str, entry: Entry) -> Tensor:
    """The features that a layer returned in its first call."""
    found = entry_of(recorded.calls[0][2], entry)
    if isinstance(found, Tensor):
        return found
    there = [key[0] if len(key) == 1 else ".".join(map(str, key)) for key in tensors_in(found)]
    raise ValueError(
        f"`at`: `{path}` returns a {type(found).__name__}, not a tensor. Name what holds its features with `entry=`, of {there}."
    )


def _arguments(layer: nn.Module, recorded: Recorded) -> dict[Argument, Tensor]:
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


def _argument_name(argument: Argument, path: str) -> str:
    name = argument.name or f"argument {argument.position}"
    return f"{name} of `{path}`" if not argument.keys else f"{name}{list(argument.keys)} of `{path}`"


def _dim(tensor: Tensor, told: Sequence[Told], name: str, given: int | None) -> int:
    """The dimension of the channels, given or told."""
    dim = channel_dim_of(tensor, told) if given is None else given
    if dim is None:
        raise ValueError(
            f"`channel_dim` (=None) must say which dimension of the {name}, of shape {tuple(tensor.shape)}, holds the channels: 1 for "
            f"(batch, channels, ...), -1 for (batch, tokens, channels)."
        )
    return dim


def _of(setting: Mapping[str | None, Any], *keys: str | None) -> Any:
    """What is set for the first of these keys that is there, else for all."""
    return next((setting[key] for key in (*keys, None) if key in setting), None)


def _several(entry: Any) -> list[Entry]:
    return list(entry) if isinstance(entry, (list, tuple)) else [entry]


def _any(flags: Iterable[Tensor]) -> Tensor:
    return reduce(torch.logical_or, flags)
