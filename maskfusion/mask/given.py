"""Places of a mask where there is no example: as the user says."""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import nn

from maskfusion._checks import expect_channels, expect_int
from maskfusion.mask.attached import Argument, Place
from maskfusion.mask.features import parameter_names
from maskfusion.mask.owners import lay_out


def given_places(
    model: nn.Module,
    layers: Mapping[str | None, Sequence[str]],
    channels: Any,
    side: str,
    entry: Any,
    channel_dim: Any,
) -> tuple[list[Place], dict[str, int]]:
    """Read ``channels``, ``entry`` and ``channel_dim``, all of which are taken at their word.

    Raises:
        TypeError: If one has the wrong type.
        ValueError: If one is missing or does not fit ``layers``.
    """
    for name, value in (("channels", channels), ("channel_dim", channel_dim)):
        if value is None:
            raise ValueError(f"`{name}` (=None) must be given where there is no `example` to find it from.")
    if None in layers:
        (path,) = layers[None]
        counts = expect_channels(channels)
        dim = expect_int("channel_dim", channel_dim)
        if side == "output":
            _, (run,) = lay_out([[name for name, count in counts.items() for _ in range(count)]])
            return [Place(path, None, run, dim, entry=entry)], counts
        return _arguments(model, path, counts, dim), counts
    return _outputs(layers, channels, entry, channel_dim)


def _outputs(
    layers: Mapping[str | None, Sequence[str]], channels: Any, entry: Any, channel_dim: Any
) -> tuple[list[Place], dict[str, int]]:
    if not isinstance(channels, Mapping) or set(channels) != set(layers):
        raise ValueError(
            f"`channels` (={channels!r}) must be a mapping with the modalities of `at`: {list(layers)}."
        )
    at, owned = [], []
    for modality, paths in layers.items():
        name = str(modality)
        given = channels[name]
        widths = [given] if isinstance(given, int) else list(given)
        if len(widths) != len(paths):
            raise ValueError(
                f"`channels` (={channels!r}) must have a count for each of the layers {list(paths)} of {name!r}."
            )
        for path, width in zip(paths, widths, strict=True):
            at.append((name, path))
            owned.append([name] * expect_int(f"channels[{name!r}]", width, least=1))
    counts, runs = lay_out(owned)
    places = [
        Place(
            path,
            name,
            run,
            expect_int("channel_dim", _of(channel_dim, path, name)),
            entry=_of(entry, path, name),
        )
        for (name, path), run in zip(at, runs, strict=True)
    ]
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


def _of(setting: Any, *keys: str) -> Any:
    if not isinstance(setting, Mapping):
        return setting
    return next((setting[key] for key in keys if key in setting), None)
