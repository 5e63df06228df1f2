"""Finding out from an example where in a network the features of each modality are."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from itertools import chain

import torch
from torch import Tensor, nn

from maskfusion.mask.attached import Argument, Entry, Place
from maskfusion.mask.example import Example
from maskfusion.mask.owners import changed_channels, independent, lay_out, owners
from maskfusion.mask.recording import Recorded, channel_dims_of, record, why_silent
from maskfusion.mask.settings import Settings, by_key, entries_of, one_entry, setting_of
from maskfusion.mask.sources import Sources, inputs_of
from maskfusion.mask.tensors import argument_name, arguments_of, dim_of, output_of

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
    sources: Sources
    """Inputs of the modalities that are named; those of others are to be found."""
    entry: Settings
    """Entries of what the layers return, or arguments that the layer takes."""
    channel_dim: Settings
    """Dimension of the channels."""

    def encoders(self, layers: Layers) -> Located:
        """Find the features that each modality's own layers return.

        Raises:
            ValueError: If a layer does not run, returns no tensor, or does not depend on its modality's inputs.
        """
        at = [
            (str(modality), path, entry)
            for modality, paths in layers.items()
            for path in paths
            for entry in entries_of(self.entry, path, str(modality))
        ]
        plain = self._run([path for _, path, _ in at])
        dims, widths = [], []
        for modality, path, entry in at:
            tensor = output_of(plain[path], path, entry)
            name = f"output of `{path}`"
            dims.append(
                dim_of(tensor, plain[path].returns, name, setting_of(self.channel_dim, path, modality))
            )
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
        try:
            return self._fused(path)
        except ValueError as error:
            raise ValueError(f"{error}{self._on_the_other_side(layers)}") from None

    def _on_the_other_side(self, layers: Layers) -> str:
        """What to do where the features that the layer takes are the modalities' own, though those that it returns are not."""
        try:
            _, counts, _ = replace(self, entry={}, channel_dim={}).mixing_layer(layers)
        except ValueError:
            return ""
        return f' Or mask what this layer takes, with `side="input"`: {counts}.' if len(counts) > 1 else ""

    def _fused(self, path: str) -> Located:
        name, entry = f"output of `{path}`", one_entry(self.entry, path)
        plain = self._run([path])[path]
        before = output_of(plain, path, entry)
        dim = dim_of(before, plain.returns, name, setting_of(self.channel_dim, path))

        def changed(inputs: Sequence[str], scale: float) -> Tensor:
            recorded = self._run([path], inputs, scale)[path]
            return changed_channels(before, output_of(recorded, path, entry), dim)

        flags = {
            key: _any(changed(inputs, scale) for scale in SCALES) for key, inputs in self._units().items()
        }
        chosen = self._chosen(flags, alone=False)
        owned = owners(chosen, name, told=set(chosen) <= set(self.sources))
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
        before = arguments_of(layer, plain)
        given = setting_of(self.channel_dim, path)
        dims = channel_dims_of(before, plain.takes) if given is None else dict.fromkeys(before, given)

        def changed(argument: Argument, tensor: Tensor, runs: Sequence[Mapping[Argument, Tensor]]) -> Tensor:
            dim = dims[argument]
            parts = [changed_channels(tensor, run.get(argument), 0 if dim is None else dim) for run in runs]
            return _any(parts) if dim is not None else _any(parts).any().reshape(1)

        by_unit: dict[str, dict[Argument, Tensor]] = {}
        for key, inputs in self._units().items():
            runs = [arguments_of(layer, self._run([path], inputs, scale)[path]) for scale in SCALES]
            by_unit[key] = {argument: changed(argument, tensor, runs) for argument, tensor in before.items()}
        flags = {
            key: torch.cat([*by_argument.values()]) for key, by_argument in by_unit.items() if by_argument
        }
        chosen = self._chosen(flags, alone=True)
        found = self._features(path, before, {key: by_unit[key] for key in chosen})
        for argument in found:
            dim_of(before[argument], plain.takes, argument_name(argument, path), dims[argument])
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
        wanted = self._wanted(path, before, flags)
        found: dict[Argument, list[str]] = {}
        left = []
        for modality in flags:
            own = [
                argument
                for argument, by in touched.items()
                if by == [modality] and _is_one_of(argument, wanted[modality])
            ]
            tops = list(dict.fromkeys((argument.name, argument.position) for argument in own))
            if len(tops) > 1:
                named = [top for top in tops if top[0] == modality]
                tops = tops if wanted[modality] else named or tops
            if len(tops) > 1 and not wanted[modality]:
                names = [argument_name(argument, path) for argument in own]
                raise ValueError(
                    f"`entry` must say which of {names} holds the features of {modality!r}: {{{modality!r}: name or position}}. Where "
                    f"each is a modality of its own, give an `example` that has each by name, and a `call` that puts them together."
                )
            own = [argument for argument in own if (argument.name, argument.position) in tops]
            found |= {argument: [modality] * flags[modality][argument].numel() for argument in own}
            left += [] if own else [modality]
        if left:
            shared = [
                argument
                for argument, by in touched.items()
                if set(left) <= set(by) and all(_is_one_of(argument, wanted[modality]) for modality in left)
            ]
            if not shared:
                raise ValueError(
                    f"`at`: nothing that `{path}` takes changes with the inputs of {left} alone. Name a layer that takes their features."
                )
            theirs = {
                modality: flags[modality][shared[0]] for modality in flags if modality in touched[shared[0]]
            }
            told = set(theirs) <= set(self.sources)
            found[shared[0]] = owners(theirs, argument_name(shared[0], path), told=told)
        return found

    def _wanted(
        self, path: str, before: Iterable[Argument], modalities: Iterable[str]
    ) -> dict[str, list[Entry]]:
        """The arguments that are named as a modality's; none where that is to be found."""
        known = [*modalities, path]
        by_key("entry", {key: entry for key, entry in self.entry.items() if key is not None}, known)
        wanted: dict[str, list[Entry]] = {
            modality: [entry for entry in entries_of(self.entry, modality, path) if entry is not None]
            for modality in modalities
        }
        there = list(dict.fromkeys(argument.name or argument.position for argument in before))
        for entry in chain(*wanted.values()):
            if not any(_is_one_of(argument, [entry]) for argument in before):
                raise ValueError(
                    f"`entry` (={entry!r}) must name an argument of real numbers that `{path}` takes, of {there}, or its position."
                )
        return wanted

    def _units(self) -> Mapping[str, Sequence[str]]:
        """What is exchanged at a time: the inputs of a modality that is named, or one input."""
        claimed = {*self.sources, *chain(*self.sources.values())}
        return {
            **self.sources,
            **{name: (name,) for name in self.example.varied() if name not in claimed},
        }

    def _chosen(self, flags: Mapping[str, Tensor], alone: bool) -> dict[str, Tensor]:
        """The modalities: those that are named, and the inputs that change channels of their own.

        Args:
            flags: Modality or input -> the channels that change with it.
            alone: Whether only the modalities that are named count, where they are several.
        """
        named = {key: flags[key] for key in self.sources}
        if alone and len(named) > 1:
            return named
        taken = [*named.values()]
        left = {key: flag for key, flag in flags.items() if not any((flag & own).any() for own in taken)}
        chosen = {**named, **independent({key: left[key] for key in left if key not in named})}
        changing = [name for name, flag in flags.items() if flag.any()]
        if not chosen:
            raise ValueError(
                f"`at`: the features of this layer change with none of the inputs {list(self._units())}. Name a layer that hears them; a "
                f"closed mask before it is one reason."
            )
        if not named and len(chosen) == 1 < len(changing):
            raise ValueError(
                f"`modalities` must say which inputs are whose: {changing} all change the same channels. If they are several modalities, "
                f"these are mixed there already; name layers before that."
            )
        return chosen

    def _grouped(
        self, flags: Mapping[str, Tensor], chosen: Mapping[str, Tensor], counts: Mapping[str, int]
    ) -> Sources:
        """The inputs of each modality, in the order of the channels."""
        alike = {
            name: tuple(key for key, flag in flags.items() if torch.equal(flag, chosen[name]))
            for name in counts
        }
        return {name: self.sources.get(name, alike[name]) for name in counts}

    def _changed_features(
        self, name: str, at: Iterable[tuple[str, str, Entry]], plain: Mapping[str, Recorded]
    ) -> set[str]:
        """The modalities whose features change when the samples of an input change places."""
        changed = record(self.example, {path: self.model.get_submodule(path) for path in plain}, [name])
        return {
            modality
            for modality, path, entry in at
            if not changed[path].calls
            or not torch.equal(output_of(plain[path], path, entry), output_of(changed[path], path, entry))
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


def _is_one_of(argument: Argument, wanted: Sequence[Entry]) -> bool:
    """Whether an argument is among those that are wanted, by name or position; none wanted is any."""
    return not wanted or any(entry in (argument.name, argument.position) for entry in wanted)


def _any(flags: Iterable[Tensor]) -> Tensor:
    return reduce(torch.logical_or, flags)
