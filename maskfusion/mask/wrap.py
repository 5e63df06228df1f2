"""Putting a mask around a fusion layer deep in a model, and taking it away again."""

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from itertools import chain
from typing import cast

import torch
from torch import nn
from typing_extensions import TypedDict, Unpack

from maskfusion._typing import Gate
from maskfusion.mask.mask import ComplementaryMask


class MaskOptions(TypedDict, total=False):
    """Keyword arguments of ``ComplementaryMask``."""

    side: str
    entry: int | str | None
    threshold: float
    init: float
    gate: Gate
    channel_dim: int
    min_channels: int


def wrap_fusion(
    model: nn.Module,
    path: str,
    channels: int | Sequence[int] | Mapping[str, int],
    **options: Unpack[MaskOptions],
) -> ComplementaryMask:
    """Replace a submodule by a ``ComplementaryMask`` that holds it, in place.

    The mask takes the device and the training mode of what it wraps. Every channel starts open, so that the model's results do
    not change.

    Args:
        model: Model to change.
        path: Path of the fusion layer, as in ``model.get_submodule``.
        channels: Channels as for ``ComplementaryMask``.
        **options: Settings as for ``ComplementaryMask``.

    Returns:
        The mask.

    Raises:
        AttributeError: If there is no such submodule; the message lists near names.
        TypeError: If ``path`` names a mask.
        ValueError: If ``path`` is empty.

    Examples:
        >>> model = nn.Sequential(nn.Flatten(), nn.Linear(8, 2))
        >>> wrap_fusion(model, "0", {"image": 4, "audio": 4})
        ComplementaryMask(
          threshold=0.05, side='output', channel_dim=1, kept=4/4 image, 4/4 audio
          (fusion): Flatten(start_dim=1, end_dim=-1)
        )
    """
    if not path:
        raise ValueError(
            "`path` (='') must name a submodule; to mask the whole model, call ComplementaryMask(fusion=model)."
        )
    fusion = _submodule(model, path)
    if isinstance(fusion, ComplementaryMask):
        raise TypeError(f"`path` (={path!r}) must name a fusion layer; it is a ComplementaryMask already.")
    tensors = chain(fusion.parameters(), fusion.buffers(), model.parameters(), model.buffers())
    device = next((tensor.device for tensor in tensors), torch.get_default_device())
    mask = ComplementaryMask(channels, fusion=fusion, device=device, **options)
    _replace(model, path, mask)
    return mask


def unwrap_fusion(model: nn.Module) -> list[str]:
    """Put back, in place, every fusion layer that a mask of the model holds.

    Args:
        model: The model to change.

    Returns:
        The paths that were restored.

    Raises:
        ValueError: If no submodule is a mask that holds a fusion layer.

    Examples:
        >>> model = nn.Sequential(nn.Flatten(), nn.Linear(8, 2))
        >>> mask = wrap_fusion(model, "0", 8)
        >>> unwrap_fusion(model)
        ['0']
        >>> model[0]
        Flatten(start_dim=1, end_dim=-1)
    """
    masks = {
        path: module
        for path, module in model.named_modules(remove_duplicate=False)
        if path and isinstance(module, ComplementaryMask) and isinstance(module.fusion, nn.Module)
    }
    if not masks:
        raise ValueError(
            f"`model` ({type(model).__name__}) must have a submodule that is a mask around a fusion layer."
        )
    for path, mask in reversed(masks.items()):  # a mask inside another one first
        _replace(model, path, cast("nn.Module", mask.fusion))
    return list(masks)


def _submodule(model: nn.Module, path: str) -> nn.Module:
    known: dict[str, nn.Module] = dict(model.named_modules(remove_duplicate=False))
    if path in known:
        return known[path]
    names = [name for name in known if name]
    near = get_close_matches(path, names, n=5, cutoff=0.3) or names[:5]
    raise AttributeError(
        f"`path` (={path!r}) must name a submodule of {type(model).__name__}; near names: {near}."
    )


def _replace(model: nn.Module, path: str, module: nn.Module) -> None:
    parent, _, name = path.rpartition(".")
    setattr(_submodule(model, parent), name, module)
