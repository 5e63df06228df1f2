"""Copies of other people's collections with some entries replaced."""

from collections.abc import Mapping, MutableMapping, Sequence
from copy import copy
from typing import Any


def with_entries(collection: Mapping[Any, Any] | Sequence[Any], entries: Mapping[Any, Any]) -> Any:
    """Return a copy of the same type in which the entries at these keys, or at these places, are replaced.

    A mapping that cannot be changed becomes a dict.
    """
    if not isinstance(collection, Mapping):
        make: Any = type(collection)
        new = [entries.get(place, entry) for place, entry in enumerate(collection)]
        return make(*new) if hasattr(collection, "_fields") else make(new)  # a named tuple, or any other
    if type(collection) is dict or not isinstance(collection, MutableMapping):
        return {**collection, **entries}
    changed = copy(collection)
    for key, entry in entries.items():  # some forbid `update`
        changed[key] = entry
    return changed
