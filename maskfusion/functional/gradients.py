"""Gradients for steps that have none."""

import torch
from torch import Tensor, nn

from maskfusion._typing import Float


def straight_through(
    z: Float[Tensor, "*shape"], quantized: Float[Tensor, "*shape"]
) -> Float[Tensor, "*shape"]:
    """Return ``quantized`` exactly; pass its gradient to ``z`` unchanged.

    Args:
        z: Latents that were quantised, any shape.
        quantized: Codes of ``z``, the same shape.

    Returns:
        The values of ``quantized``. Where ``z`` is not finite the result is NaN, so that training code sees it.

    Examples:
        >>> z = torch.tensor([0.3, 0.6], requires_grad=True)
        >>> straight_through(z, torch.tensor([0.0, 1.0])).sum().backward()
        >>> z.grad
        tensor([1., 1.])

    Reference: van den Oord et al., "Neural Discrete Representation Learning", 2017, Sec. 3.2.
    """
    return quantized.detach() + (z - z.detach())


def rotation_trick(
    z: Float[Tensor, "*shape dim"], quantized: Float[Tensor, "*shape dim"]
) -> Float[Tensor, "*shape dim"]:
    r"""Return ``quantized`` exactly; rotate and scale its gradient as ``z`` is rotated and scaled into its code.

    .. math:: \frac{\partial \hat z}{\partial z} := \frac{\lVert \hat z \rVert}{\lVert z \rVert}
        \bigl(I - 2 r r^\top + 2 \hat u u^\top\bigr), \qquad
        r = \frac{u + \hat u}{\lVert u + \hat u \rVert}

    Here :math:`u` and :math:`\hat u` are the directions of ``z`` and its code, and everything but ``z`` counts as constant. A vector
    at the origin has no direction; its gradient passes unchanged.

    Args:
        z: Latents that were quantised, vectors along the last dimension.
        quantized: Codes of ``z``, the same shape.

    Returns:
        The values of ``quantized``.

    Examples:
        >>> z = torch.tensor([[2.0, 0.0]], requires_grad=True)
        >>> rotation_trick(z, torch.tensor([[0.0, 1.0]])).sum().backward()
        >>> z.grad
        tensor([[ 0.5000, -0.5000]])

    Reference: Fifty et al., "Restructuring Vector Quantization with the Rotation Trick", 2024, Sec. 4.2.
    """
    start, goal = z.detach(), quantized.detach()
    u, v = nn.functional.normalize(start, dim=-1), nn.functional.normalize(goal, dim=-1)
    r = nn.functional.normalize(u + v, dim=-1)
    scale = goal.norm(dim=-1, keepdim=True) / start.norm(dim=-1, keepdim=True).clamp(
        min=torch.finfo(z.dtype).eps
    )
    turned = z - 2 * (z * r).sum(-1, keepdim=True) * r + 2 * (z * u).sum(-1, keepdim=True) * v
    return straight_through(torch.where(start.norm(dim=-1, keepdim=True) > 0, scale * turned, z), quantized)


def unit_length(vectors: Float[Tensor, "*shape dim"]) -> Float[Tensor, "*shape dim"]:
    """Scale vectors, along the last dimension, to length one: as constraint of a quantiser it gives cosine distance.

    Examples:
        >>> unit_length(torch.tensor([[3.0, 4.0]]))
        tensor([[0.6000, 0.8000]])

    Reference: Yu et al., "Vector-quantized Image Modeling with Improved VQGAN", 2022, Sec. 3.2.
    """
    return nn.functional.normalize(vectors, dim=-1)
