"""How many codes a batch uses."""

import torch
from torch import Tensor

from maskfusion._typing import Float


def perplexity(counts: Float[Tensor, " codes"]) -> Float[Tensor, ""]:
    r"""Effective number of codes: how many there would be if all were used equally often.

    .. math:: \exp\Bigl(-\sum_k p_k \log p_k\Bigr), \qquad p_k = \frac{n_k}{\sum_j n_j}

    Args:
        counts: Number of times each code was chosen, shape ``(codes,)``.

    Returns:
        A 0-d tensor between 1 and the number of codes; 1 if nothing was counted.

    Examples:
        >>> perplexity(torch.tensor([4.0, 4.0, 0.0]))
        tensor(2.)

    Reference: van den Oord et al., 2017; in use since the first public VQ-VAE codes.
    """
    share = counts / counts.sum().clamp(min=torch.finfo(torch.float32).tiny)
    entropy: Tensor = torch.special.entr(share).sum()
    return entropy.exp()
