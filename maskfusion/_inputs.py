"""Finding each modality's features among the arguments of a fusion layer, and the fused ones in what it returns."""

from collections.abc import Callable, Collection, Mapping
from copy import copy
from typing import Any

from torch import Tensor


def map_features(
    function: Callable[[str, Any], Tensor],
    modalities: Collection[str],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Replace each modality's features by ``function(modality, features)`` where they stand; leave the rest alone.

    They stand in a mapping by name or in a sequence, as first argument; else as keyword arguments by name and, those not named
    there, as the first positional arguments in the order of ``modalities``.
    """
    first = args[0] if args else None
    if isinstance(first, Mapping):
        _expect_all(modalities, first)
        bag = {name: function(name, value) if name in modalities else value for name, value in first.items()}
        return (bag, *args[1:]), kwargs
    if isinstance(first, list | tuple):
        _expect_count(modalities, len(first))
        return (type(first)(map(function, modalities, first)), *args[1:]), kwargs
    named = {name: function(name, value) for name, value in kwargs.items() if name in modalities}
    unnamed = [name for name in modalities if name not in named]
    _expect_all(modalities, [*named, *unnamed[: len(args)]])
    return (*map(function, unnamed, args), *args[len(unnamed) :]), {**kwargs, **named}


def collect_features(
    modalities: Collection[str], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> dict[str, Any]:
    """Return each modality's features by name, in the order of ``modalities``; there must be nothing else."""
    first = args[0] if len(args) == 1 else None
    if isinstance(first, Mapping):
        given = {**first, **kwargs}
    else:
        positional = first if isinstance(first, list | tuple) else args
        unnamed = [name for name in modalities if name not in kwargs]
        _expect_count(unnamed, len(positional))
        given = {**dict(zip(unnamed, positional, strict=True)), **kwargs}
    _expect_all(modalities, given)
    unknown = [name for name in given if name not in modalities]
    if unknown:
        raise ValueError(f"Features of {unknown} are not of the modalities {list(modalities)}.")
    return {name: given[name] for name in modalities}


def map_entry(function: Callable[[Any], Tensor], output: Any, entry: int | str | None) -> Any:
    """Replace ``output[entry]`` by a function of it, in a copy of the same type; ``entry`` is None where ``output`` is the tensor."""
    if entry is None:
        return function(output)
    try:
        fused = output[entry]
    except (KeyError, IndexError, TypeError) as error:
        there = list(output) if isinstance(output, Mapping) else type(output).__name__
        raise ValueError(
            f"`entry` (={entry!r}) must name an entry of what `fusion` returns: {there}."
        ) from error
    if isinstance(output, tuple):
        entries = list(output)
        entries[int(entry)] = function(fused)
        return type(output)._make(entries) if hasattr(output, "_make") else tuple(entries)
    changed = copy(output)
    changed[entry] = function(fused)
    return changed


def _expect_all(modalities: Collection[str], given: Collection[Any]) -> None:
    missing = [name for name in modalities if name not in given]
    if missing:
        raise ValueError(
            f"Features of {missing} are missing: there must be one tensor for each of {list(modalities)}."
        )


def _expect_count(modalities: Collection[str], count: int) -> None:
    if count != len(modalities):
        raise ValueError(f"There must be one tensor for each of {list(modalities)}, got {count}.")
