"""The parameters behind Omega, whatever others have made of it."""

from torch import nn
from torch.nn.utils import parametrize

from maskfusion.mask.mask import ComplementaryMask


def omega_parameters(mask: ComplementaryMask) -> list[nn.Parameter]:
    """What an optimiser moves: Omega itself, or what pruning or a parametrization has put in its place."""
    inside = (
        mask.parametrizations["weight"].parameters() if parametrize.is_parametrized(mask, "weight") else ()
    )
    return [*mask.parameters(recurse=False), *inside]
