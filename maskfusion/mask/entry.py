"""Finding the fused features in what a fusion layer returns."""

from collections.abc import Callable, Mapping
from dataclasses import is_dataclass, replace
from typing import Any

from maskfusion.mask.copies import with_entries


def map_entry(function: Callable[[Any], Any], output: Any, entry: int | str | None) -> Any:
    """Replace one entry of ``output`` by a function of it, in a copy of the same type; ``entry`` is None where it is the tensor itself.

    An entry is an index of a tuple or list, a key of a mapping or its position among the keys, or a field of a named tuple or
    dataclass; "1.0" is entry 0 of entry 1.
    """
    if entry is None:
        return function(output)
    if isinstance(entry, str) and "." in entry and not (isinstance(output, Mapping) and entry in output):
        first, _, rest = entry.partition(".")
        return map_entry(lambda inside: map_entry(function, inside, _key(rest)), output, _key(first))
    if isinstance(output, Mapping):
        keys = list(output)
        if entry not in output and isinstance(entry, int) and -len(keys) <= entry < len(keys):
            entry = keys[entry]
        if entry in output:
            return with_entries(output, {entry: function(output[entry])})
    elif isinstance(entry, str):
        fields: tuple[str, ...] = getattr(type(output), "_fields", ())  # of a named tuple
        if entry in fields:
            return with_entries(output, {fields.index(entry): function(getattr(output, entry))})
        if is_dataclass(type(output)) and hasattr(output, entry):
            return replace(output, **{entry: function(getattr(output, entry))})
    elif isinstance(output, (tuple, list)) and -len(output) <= entry < len(output):
        return with_entries(output, {entry % len(output): function(output[entry])})
    there = list(output) if isinstance(output, Mapping) else type(output).__name__
    raise ValueError(f"`entry` (={entry!r}) must name an entry of what the layer returns: {there}.")


def _key(name: str) -> int | str:
    return int(name) if name.isdigit() else name


def entry_of(output: Any, entry: int | str | None) -> Any:
    """What ``map_entry`` would replace."""
    found = []

    def keep(value: Any) -> Any:
        found.append(value)
        return value

    map_entry(keep, output, entry)
    return found[0]
