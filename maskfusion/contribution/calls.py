"""The ways in which a model takes its inputs."""

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

Call = Callable[[nn.Module, dict[str, Any]], Tensor]
"""``(model, inputs by name) -> predictions``, one a sample."""


def by_mapping(model: nn.Module, inputs: dict[str, Any]) -> Any:
    """Call ``model(inputs)``, with one mapping of name to tensor."""
    return model(inputs)


def by_position(model: nn.Module, inputs: dict[str, Any]) -> Any:
    """Call ``model(image, audio)``, in the order in which the batches give the inputs."""
    return model(*inputs.values())


def by_keyword(model: nn.Module, inputs: dict[str, Any]) -> Any:
    """Call ``model(image=image, audio=audio)``."""
    return model(**inputs)
