"""The equations of the paper, each a pure function that names its number.

Modules hold state and call these. Equation numbers are those of CM-VQVAE (Tejero-de-Pablos, WACV 2024).
"""

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from maskfusion._checks import expect_features
from maskfusion._gates import hard_gate, random_gate, soft_gate, ternary_gate
from maskfusion._gating import multiply_channels
from maskfusion._quantized import perplexity
from maskfusion._search import nearest_code
from maskfusion._sharding import gathered
from maskfusion._straight_through import rotation_trick, straight_through, unit_length
from maskfusion._typing import Bool, Float, Penalty

__all__ = [
    "absolute_sum",
    "apply_gate",
    "complementarity",
    "hard_gate",
    "kept_ratio",
    "mask_penalty",
    "nearest_code",
    "perplexity",
    "positive_sum",
    "random_gate",
    "rotation_trick",
    "signed_sum",
    "soft_gate",
    "straight_through",
    "ternary_gate",
    "unit_length",
]


def apply_gate(
    features: Float[Tensor, "..."], gate: Float[Tensor, " channels"], channel_dim: int = 1
) -> Float[Tensor, "..."]:
    r"""Multiply every channel of the features by its gate.

    .. math:: f_i = \hat z_i \odot \omega

    The backward pass sums gradient times features in blocks, so that their full-size product is never held.

    Args:
        features: Any rank of at least 2, with as many channels along ``channel_dim`` as ``gate`` has values.
        gate: One value a channel, shape ``(channels,)``. The product is taken in the dtype of ``features``.
        channel_dim: The dimension of the channels.

    Returns:
        The gated features: shape, dtype, device and memory format of ``features``.

    Raises:
        TypeError: If ``features`` is no floating-point tensor.
        ValueError: If the number of channels is not that of ``gate``.

    Examples:
        >>> apply_gate(torch.ones(1, 3), torch.tensor([1.0, 0.0, 0.5]))
        tensor([[1.0000, 0.0000, 0.5000]])

    Reference: Sec. 3.2.
    """
    expect_features("features", features, gate.numel(), channel_dim)
    return multiply_channels(features, gate, channel_dim % features.ndim)


def signed_sum(weight: Float[Tensor, " channels"]) -> Float[Tensor, ""]:
    """Sum Omega as the paper prints it, without absolute values; it has no lower bound.

    Examples:
        >>> signed_sum(torch.tensor([0.5, -0.25]))
        tensor(0.2500)

    Reference: Eq. 5.
    """
    return weight.sum()


def absolute_sum(weight: Float[Tensor, " channels"]) -> Float[Tensor, ""]:
    """Sum the absolute values of Omega, the l1 norm that the text under Eq. 5 names; it pulls closed channels back to zero.

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
    r"""Add up the penalty on keeping channels over one Omega or several.

    .. math:: \mathcal{L}_{\mathrm{compl}} / \lambda = \sum_d \Omega_d

    Args:
        weights: One Omega of shape ``(channels,)`` or several.
        penalty: How one Omega becomes a number: ``signed_sum``, ``absolute_sum``, ``positive_sum`` or your own.

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


def kept_ratio(kept: Bool[Tensor, " channels"]) -> Float[Tensor, ""]:
    r"""Share of one modality's own channels that is kept, in percent.

    .. math:: \mathrm{compl}^m = 100 \cdot \frac{1}{D} \sum_{d=1}^{D} \omega_d^m

    Examples:
        >>> kept_ratio(torch.tensor([True, False, False, False]))
        tensor(25.)

    Reference: Eq. 6 as printed. Table 2 and Eq. 8 divide by the channels of all modalities instead.
    """
    return 100 * kept.sum() / kept.numel()


def complementarity(shares: Sequence[float] | Float[Tensor, " modalities"]) -> Float[Tensor, ""]:
    r"""Complementarity of modalities: the smallest share over the largest.

    .. math:: \zeta^{1,2} = \frac{\min(\mathrm{compl}^1, \mathrm{compl}^2)}{\max(\mathrm{compl}^1, \mathrm{compl}^2)}

    Args:
        shares: ``compl`` of every modality, in any unit.

    Returns:
        A 0-d float64 tensor in [0, 1]; NaN where it is undefined: fewer than two modalities, or nothing kept.

    Examples:
        >>> complementarity([5.0, 20.0])
        tensor(0.2500, dtype=torch.float64)

    Reference: Eq. 7.
    """
    values = torch.as_tensor(shares, dtype=torch.float64)
    if values.numel() < 2:
        return values.new_tensor(float("nan"))
    return values.min() / values.max()
