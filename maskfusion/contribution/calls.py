"""The ways in which a model takes its inputs."""

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor, nn

from maskfusion.contribution.absence import named
from maskfusion.mask.arguments import names_by_position, takes

Call = Callable[[nn.Module, dict[str, Any]], Tensor]
"""``(model, inputs by name) -> predictions``, one per sample. An input that is not given is None."""


def by_mapping(model: nn.Module, inputs: dict[str, Any]) -> Any:
    """Call ``model(inputs)``, with one mapping of name to tensor; an input that is not given has no key."""
    return model(_given(inputs))


def by_position(model: nn.Module, inputs: dict[str, Any]) -> Any:
    """Call ``model(image, audio)``, in the order in which the batches give the inputs; one that is not given is None."""
    return model(*inputs.values())


def by_keyword(model: nn.Module, inputs: dict[str, Any]) -> Any:
    """Call ``model(image=image, audio=audio)``, without an input that is not given."""
    return model(**_given(inputs))


def call_for(model: nn.Module, inputs: object) -> Call:
    """How a model takes such inputs: a sequence by position; a mapping by keyword where ``forward`` allows it, else as it is."""
    if not isinstance(inputs, Mapping):
        return by_position
    return by_keyword if takes(model, inputs) else by_mapping


def players_for(model: nn.Module, inputs: object, call: Call) -> dict[str, str]:
    """A modality for each input: of a sequence that is given by position, under the names that ``forward`` has for it."""
    keys = list(named(inputs))
    by_name = call is by_position and not isinstance(inputs, Mapping)
    return dict(zip(names_by_position(model, len(keys)) if by_name else keys, keys, strict=True))


def _given(inputs: dict[str, Any]) -> dict[str, Any]:
    return {name: values for name, values in inputs.items() if values is not None}
