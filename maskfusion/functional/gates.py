"""From Omega to the gate that multiplies the features."""

from functools import partial

import torch
from torch import Tensor

from maskfusion._checks import expect_number
from maskfusion._typing import Float, Gate


def hard_gate(
    weight: Float[Tensor, " channels"], threshold: float, training: bool = False
) -> Float[Tensor, " channels"]:
    r"""Binarise the mask: the gate of the paper.

    .. math:: \omega_d = 1 \text{ if } \Omega_d > t, \text{ else } 0, \qquad
        \frac{\partial \omega_d}{\partial \Omega_d} := 1

    The gradient is the identity for closed channels too (straight-through), so that a channel can open again.
    A weight that is NaN is closed and gets no gradient.

    Args:
        weight: Omega, shape ``(channels,)``.
        threshold: The threshold t.
        training: Training mode, not used; every gate takes it.

    Returns:
        Zeros and ones, exactly, in the shape and dtype of ``weight``.

    Examples:
        >>> hard_gate(torch.tensor([0.10, 0.05, -1.0]), threshold=0.05)
        tensor([1., 0., 0.])

    Reference: Eq. 6.
    """
    del training
    return _straight_through(weight, weight > threshold)


def soft_gate(
    weight: Float[Tensor, " channels"], threshold: float, training: bool = False
) -> Float[Tensor, " channels"]:
    """Use Omega itself as the gate: the "Gated" baseline, attention without binarisation.

    Args:
        weight: Omega, shape ``(channels,)``.
        threshold: Threshold, not used; every gate takes it.
        training: Training mode, not used; every gate takes it.

    Returns:
        ``weight``, with zero in place of NaN.

    Examples:
        >>> soft_gate(torch.tensor([0.10, -1.0]), threshold=0.05)
        tensor([ 0.1000, -1.0000])

    Reference: Sec. 4.1, Table 2, row "Gated".
    """
    del threshold, training
    return weight.nan_to_num(nan=0.0)


def ternary_gate(
    weight: Float[Tensor, " channels"], threshold: float, training: bool = False
) -> Float[Tensor, " channels"]:
    """Gate with -1, 0 or 1: the sign of Omega where its size is above the threshold, with identity gradient.

    A channel below ``-threshold`` passes with its sign flipped, although Eq. 6, and so ``mask.kept``, counts it as closed.

    Args:
        weight: Omega, shape ``(channels,)``.
        threshold: The threshold t.
        training: Training mode, not used; every gate takes it.

    Returns:
        Values in {-1, 0, 1} in the shape and dtype of ``weight``.

    Examples:
        >>> ternary_gate(torch.tensor([0.10, 0.01, -1.0]), threshold=0.05)
        tensor([ 1.,  0., -1.])

    Reference: the published code of the paper.
    """
    del training
    return _straight_through(weight, weight.sign() * (weight.abs() > threshold))


def random_gate(p: float, *, rescale: bool = True, always: bool = False) -> Gate:
    """Make a gate that drops channels at random in each forward pass: the "Drop." baseline.

    Omega has no influence; its gradient is zero.

    Args:
        p: Probability that a channel is dropped, in [0, 1).
        rescale: Whether to divide the remaining channels by ``1 - p``, so that the expected value does not change; the published code
            does not.
        always: Whether to drop in evaluation too, as the published code does.

    Returns:
        A gate for ``ComplementaryMask(gate=...)``.

    Raises:
        TypeError: If ``p`` is no number.
        ValueError: If ``p`` is outside [0, 1).

    Examples:
        >>> drop = random_gate(0.5)
        >>> drop(torch.zeros(3), 0.05, False)
        tensor([1., 1., 1.])

    Reference: Sec. 4.1, Table 2, row "Drop.".
    """
    expect_number("p", p, least=0.0, below=1.0)
    return partial(_dropped, p=p, scale=1 / (1 - p) if rescale else 1.0, always=always)


def _dropped(
    weight: Tensor, threshold: float, training: bool = False, *, p: float, scale: float, always: bool
) -> Tensor:
    del threshold
    no_gradient = _straight_through(weight, torch.zeros_like(weight)) * 0
    if not (training or always):
        return torch.ones_like(weight) + no_gradient
    return torch.empty_like(weight).bernoulli_(1 - p) * scale + no_gradient


def _straight_through(weight: Tensor, values: Tensor) -> Tensor:
    """``values``, in the dtype of ``weight``, whose gradient ``weight`` gets unchanged, but where it is NaN.

    Written over a copy of ``weight``: exact, and three operations less than by adding ``weight - weight.detach()``.
    """
    out = weight.clamp(min=-torch.inf)  # a copy, whose gradient leaves out NaN
    out.detach().copy_(values)
    return out
