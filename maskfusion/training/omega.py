"""Omega and the parameters behind it, in any form that others have given it."""

from torch import Tensor, nn
from torch.nn.utils import parametrize

from maskfusion.mask.mask import ComplementaryMask


def omega_parameters(mask: ComplementaryMask) -> list[nn.Parameter]:
    """What an optimiser moves: Omega itself, or what pruning or a parametrization has put in its place."""
    inside = (
        mask.get_submodule("parametrizations.weight").parameters()
        if parametrize.is_parametrized(mask, "weight")
        else ()
    )
    return [*mask.parameters(recurse=False), *inside]


def omega_now(mask: ComplementaryMask) -> Tensor:
    """Omega as its parameters make it now; pruning by itself makes it anew in ``forward`` only, by a hook."""
    for hook in mask._forward_pre_hooks.values():
        if getattr(hook, "_tensor_name", None) == "weight":
            hook(mask, ())
    return mask.weight


def different(masks: list[ComplementaryMask]) -> list[ComplementaryMask]:
    """Those masks, without any that shares its Omega with one before it."""
    return list({tuple(map(id, omega_parameters(mask))): mask for mask in reversed(masks)}.values())[::-1]
