"""How much of each modality is open, and how the shares compare."""

from collections.abc import Sequence

import torch
from torch import Tensor

from maskfusion._typing import Bool, Float


def kept_ratio(kept: Bool[Tensor, " channels"]) -> Float[Tensor, ""]:
    r"""Share of one modality's own channels that is open, in percent.

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
        shares: Share ``compl`` of every modality, in any unit.

    Returns:
        A 0-d float64 tensor in [0, 1]; NaN if there are fewer than two modalities, or everything is closed.

    Examples:
        >>> complementarity([5.0, 20.0])
        tensor(0.2500, dtype=torch.float64)

    Reference: Eq. 7.
    """
    values = torch.as_tensor(shares, dtype=torch.float64)
    if values.numel() < 2:
        return values.new_tensor(float("nan"))
    return values.min() / values.max()
