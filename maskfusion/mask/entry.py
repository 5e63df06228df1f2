"""Finding the fused features in what a fusion layer returns."""

from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any

from maskfusion.mask.copies import with_entries


def map_entry(function: Callable[[Any], Any], output: Any, entry: int | str | None) -> Any:
    """Replace one entry of ``output`` by a function of it, in a copy of the same type; ``entry`` is None where it is the tensor itself.

    An entry is an index of a tuple or list, a key of a mapping or its position among the keys, or a field of a named tuple or
    dataclass; "1.0" is entry 0 of entry 1.
    """
    return function(output) if entry is None else _mapped(function, output, entry, entry, ())


def _mapped(
    function: Callable[[Any], Any],
    output: Any,
    entry: int | str,
    given: int | str,
    inside: tuple[int | str, ...],
) -> Any:
    """The same, with what the user has given, and the keys of what ``output`` is an entry of, for errors."""
    if isinstance(entry, str) and "." in entry and not (isinstance(output, Mapping) and entry in output):
        first, _, rest = entry.partition(".")
        start, then = _key(first), _key(rest)
        deeper = (*inside, start)
        return _mapped(
            lambda value: _mapped(function, value, then, given, deeper), output, start, given, inside
        )
    if isinstance(output, Mapping):
        keys = list(output)
        if entry not in output and isinstance(entry, int) and -len(keys) <= entry < len(keys):
            entry = keys[entry]
        if entry in output:
            return with_entries(output, {entry: function(output[entry])})
    elif isinstance(entry, str):
        names: tuple[str, ...] = getattr(type(output), "_fields", ())  # of a named tuple
        if entry in names:
            return with_entries(output, {names.index(entry): function(getattr(output, entry))})
        if is_dataclass(type(output)) and hasattr(output, entry):
            return replace(output, **{entry: function(getattr(output, entry))})
    elif isinstance(output, (tuple, list)) and -len(output) <= entry < len(output):
        return with_entries(output, {entry % len(output): function(output[entry])})
    there = [entry_name((*inside, key)) for key in _entries(output)]
    where = f" at {entry_name(inside)!r}" if inside else ""
    raise ValueError(
        f"`entry` (={given!r}) must name an entry of what the layer returns{where}, a {type(output).__name__}"
        + (f": {there}." if there else ", which has none. Leave it out.")
    )


def entry_name(keys: tuple[int | str, ...]) -> int | str:
    """How ``entry`` names what these keys lead to."""
    return keys[0] if len(keys) == 1 else ".".join(map(str, keys))


def _entries(output: Any) -> list[Any]:
    """What ``entry`` may be."""
    if is_dataclass(type(output)) and not isinstance(output, Mapping):
        return [field.name for field in fields(output)]
    fallback = range(len(output)) if isinstance(output, (tuple, list)) else ()
    return list(output if isinstance(output, Mapping) else getattr(type(output), "_fields", fallback))


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
