"""The gradient past a step that has none."""

from torch import Tensor

from maskfusion._typing import Float


def straight_through(
    z: Float[Tensor, "*shape"], quantized: Float[Tensor, "*shape"]
) -> Float[Tensor, "*shape"]:
    """Return ``quantized`` exactly; pass its gradient to ``z`` unchanged.

    Args:
        z: What was quantised, any shape.
        quantized: Its codes, the same shape.

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
