"""Finding each modality's features among the arguments of a fusion layer."""

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from inspect import Parameter, signature
from typing import Any

from torch import nn

from maskfusion.mask.copies import with_entries
from maskfusion.mask.wrappers import behind_wrappers

BY_POSITION = (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)


def parameters_of(function: Callable[..., Any]) -> Mapping[str, Parameter]:
    """Parameters of a function or of a module's ``forward``, behind what others have put around it; none where they cannot be known."""
    if isinstance(function, partial) and isinstance(function.func, nn.Module):
        function = partial(behind_wrappers(function.func).forward, *function.args, **function.keywords)
    if isinstance(function, nn.Module):
        function = behind_wrappers(function).forward
    try:
        return signature(function).parameters
    except (TypeError, ValueError):  # of a function that is not written in Python
        return {}


def parameter_names(function: Callable[..., Any]) -> tuple[str, ...]:
    """Names of the arguments that may be given by position; none where they cannot be known."""
    return tuple(name for name, parameter in parameters_of(function).items() if parameter.kind in BY_POSITION)


def map_features(
    function: Callable[[str, Any], Any],
    modalities: Collection[str],
    parameters: Sequence[str],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Replace each modality's features by ``function(modality, features)`` where they stand; leave the rest alone.

    They are looked for under their names, among the keywords and the ``parameters`` that take the positional arguments; else in
    a mapping or sequence as first argument; else, those not named, as the first positional arguments in the order of ``modalities``.
    By name, a modality may be missing, or be None: that is for the layer to take or refuse.
    """

    def fitting(name: str, value: Any) -> Any:
        return function(name, value) if name in modalities else value

    names = parameters[: len(args)]
    given = [name for name in modalities if name in names or name in kwargs]
    named = len(args) == 0 or all(name in parameters or name in kwargs for name in modalities)
    if given and named:
        by_position = [fitting(name, value) for name, value in zip(names, args, strict=False)]
        return (*by_position, *args[len(names) :]), {name: fitting(name, kwargs[name]) for name in kwargs}
    if args and isinstance(args[0], (Mapping, list, tuple)):
        return (_map_collection(function, modalities, args[0]), *args[1:]), kwargs
    if not args and kwargs:
        name, first = next(iter(kwargs.items()))
        if isinstance(first, (Mapping, list, tuple)):
            return args, {**kwargs, name: _map_collection(function, modalities, first)}
    unnamed = [name for name in modalities if name not in kwargs]
    _expect_all(modalities, [*(name for name in modalities if name in kwargs), *unnamed[: len(args)]])
    changed = [function(name, value) for name, value in zip(unnamed, args, strict=False)]
    return (*changed, *args[len(unnamed) :]), {name: fitting(name, kwargs[name]) for name in kwargs}


def collect_features(
    modalities: Collection[str], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> dict[str, Any]:
    """Return each modality's features by name, in the order of ``modalities``; there must be nothing else."""
    first = args[0] if len(args) == 1 else None
    if isinstance(first, Mapping):
        given = {**first, **kwargs}
    else:
        positional = first if isinstance(first, (list, tuple)) else args
        unnamed = [name for name in modalities if name not in kwargs]
        _expect_count(unnamed, len(positional))
        given = {**dict(zip(unnamed, positional, strict=True)), **kwargs}
    _expect_all(modalities, given)
    unknown = [name for name in given if name not in modalities]
    if unknown:
        raise ValueError(f"Features of {unknown} are not of the modalities {list(modalities)}.")
    return {name: given[name] for name in modalities}


def _map_collection(
    function: Callable[[str, Any], Any],
    modalities: Collection[str],
    features: Mapping[str, Any] | Sequence[Any],
) -> Any:
    """Replace each modality's features in a copy of the same type."""
    if isinstance(features, Mapping):
        present = [name for name in modalities if name in features]
        _expect_all(modalities, present and modalities)
        return with_entries(features, {name: function(name, features[name]) for name in present})
    _expect_count(modalities, len(features))
    changed = [function(name, value) for name, value in zip(modalities, features, strict=False)]
    return with_entries(features, dict(enumerate(changed)))


def _expect_all(modalities: Collection[str], given: Collection[Any]) -> None:
    missing = [name for name in modalities if name not in given]
    if missing:
        raise ValueError(
            f"Features of {missing} are missing: there must be one tensor for each of {list(modalities)}."
        )


def _expect_count(modalities: Collection[str], count: int) -> None:
    if count != len(modalities):
        raise ValueError(f"There must be one tensor for each of {list(modalities)}, got {count}.")
