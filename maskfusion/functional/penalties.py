"""What open channels cost."""

from collections.abc import Iterable

import torch
from torch import Tensor

from maskfusion._typing import Float, Penalty
from maskfusion.functional.sharding import gathered


def signed_sum(weight: Float[Tensor, " channels"]) -> Float[Tensor, ""]:
    """Sum Omega as the paper prints it, without absolute values; it has no lower bound.

    Examples:
        >>> signed_sum(torch.tensor([0.5, -0.25]))
        tensor(0.2500)

    Reference: Eq. 5.
    """
    return weight.sum()


def absolute_sum(weight: Float[Tensor, " channels"]) -> Float[Tensor, ""]:
    """Sum the absolute values of Omega, the l1 norm that the text below Eq. 5 names; it pulls the Omega of closed channels back to zero.

    Examples:
        >>> absolute_sum(torch.tensor([0.5, -0.25]))
        tensor(0.7500)

    Reference: Eq. 5.
    """
    return weight.abs().sum()


def positive_sum(weight: Float[Tensor, " channels"]) -> Float[Tensor, ""]:
    """Sum the positive part of Omega: it stops pushing at zero, so that a closed channel can come back.

    Examples:
        >>> positive_sum(torch.tensor([0.5, -0.25]))
        tensor(0.5000)

    Reference: Eq. 5, bounded below.
    """
    return weight.relu().sum()


def mask_penalty(weights: Tensor | Iterable[Tensor], penalty: Penalty = signed_sum) -> Float[Tensor, ""]:
    r"""Add up the penalty on open channels over one Omega or several.

    .. math:: \mathcal{L}_{\mathrm{compl}} / \lambda = \sum_d \Omega_d

    Args:
        weights: One Omega of shape ``(channels,)`` or several.
        penalty: Function from one Omega to a number: ``signed_sum``, ``absolute_sum``, ``positive_sum`` or your own.

    Returns:
        A 0-d tensor.

    Examples:
        >>> mask_penalty([torch.tensor([0.5, 0.5]), torch.tensor([1.0])])
        tensor(2.)

    Reference: Eq. 5.
    """
    if isinstance(weights, Tensor):
        return penalty(gathered(weights))
    return torch.stack([penalty(gathered(weight)) for weight in weights]).sum()
