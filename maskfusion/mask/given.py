"""Places of a mask where there is no example: as the user says."""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import nn

from maskfusion._checks import expect_channels, expect_int
from maskfusion.mask.attached import Argument, Entry, Place
from maskfusion.mask.features import parameter_names
from maskfusion.mask.owners import lay_out
from maskfusion.mask.settings import Settings, entries_of, one_entry, setting_of, widths_of


def given_places(
    model: nn.Module,
    layers: Mapping[str | None, Sequence[str]],
    channels: Any,
    side: str,
    entry: Settings,
    channel_dim: Settings,
) -> tuple[list[Place], dict[str, int]]:
    """Read ``channels``, ``entry`` and ``channel_dim``, all of which are taken at their word.

    Raises:
        TypeError: If one has the wrong type.
        ValueError: If one is missing or does not fit ``layers``.
    """
    for name, missing in (("channels", channels is None), ("channel_dim", channel_dim == {None: None})):
        if missing:
            raise ValueError(f"`{name}` (=None) must be given where there is no `example` to find it from.")
    if None in layers:
        (path,) = layers[None]
        counts = expect_channels(channels)
        dim = expect_int("channel_dim", setting_of(channel_dim, path))
        if side == "output":
            _, (run,) = lay_out([[name for name, count in counts.items() for _ in range(count)]])
            return [Place(path, None, run, dim, entry=one_entry(entry, path))], counts
        if entry != {None: None}:
            raise ValueError(
                f"`entry` (={entry.get(None, entry)!r}) needs an `example` with side 'input'; without one the arguments have the names of "
                f"the modalities, or there is one. Leave it out, or give an `example`."
            )
        return _arguments(model, path, counts, dim), counts
    return _outputs(layers, channels, entry, channel_dim)


def _outputs(
    layers: Mapping[str | None, Sequence[str]], channels: Any, entry: Settings, channel_dim: Settings
) -> tuple[list[Place], dict[str, int]]:
    if not isinstance(channels, Mapping) or set(channels) != set(layers):
        raise ValueError(
            f"`channels` (={channels!r}) must be a mapping with the modalities of `at`: {list(layers)}."
        )
    at: list[tuple[str, str, Entry]] = []
    owned = []
    for modality, paths in layers.items():
        name = str(modality)
        own = [(name, path, each) for path in paths for each in entries_of(entry, path, name)]
        widths = widths_of(name, channels[name])
        if len(widths) != len(own):
            there = [path if each is None else f"{path}, entry {each!r}" for _, path, each in own]
            raise ValueError(
                f"`channels` (={channels!r}) must have a count for each of the layers {there} of {name!r}."
            )
        at += own
        owned += [[name] * width for width in widths]
    counts, runs = lay_out(owned)
    places = []
    for (name, path, each), run in zip(at, runs, strict=True):
        dim = expect_int(f"channel_dim[{name!r}]", setting_of(channel_dim, path, name))
        places.append(Place(path, name, run, dim, entry=each))
    return places, counts


def _arguments(model: nn.Module, path: str, counts: Mapping[str, int], dim: int) -> list[Place]:
    """The arguments that have the modalities' names, or the only one, concatenated."""
    names = parameter_names(model.get_submodule(path))
    if set(counts) <= set(names):
        _, runs = lay_out([[name] * count for name, count in counts.items()])
        return [
            Place(path, name, run, dim, argument=Argument(name, names.index(name)))
            for name, run in zip(counts, runs, strict=True)
        ]
    if len(names) != 1:
        raise ValueError(
            f"`at` (={path!r}) takes {list(names)}; without `example` its arguments must have the names of the modalities, {list(counts)}."
        )
    _, (run,) = lay_out([[name for name, count in counts.items() for _ in range(count)]])
    return [Place(path, None, run, dim, argument=Argument(names[0], 0))]
