"""How predictions are scored."""

from collections.abc import Callable

from torch import Tensor

Metric = Callable[[Tensor, Tensor], Tensor | float]
"""``(predictions, targets) -> one number``, over the whole set at once."""


def accuracy(prediction: Tensor, target: Tensor) -> Tensor:
    """Share of targets that are predicted.

    Args:
        prediction: Scores with the classes along dimension 1, or classes in the shape of ``target``.
        target: Classes, in any shape.

    Returns:
        A 0-d float64 tensor in [0, 1].

    Raises:
        ValueError: If the shapes do not fit, or ``prediction`` has a single score per target, since it could be a logit or a probability;
            turn it into classes in ``call``.
        TypeError: If ``prediction`` has one number per target that is no class.

    Examples:
        >>> accuracy(torch.tensor([[0.1, 0.9], [0.6, 0.4]]), torch.tensor([1, 1]))
        tensor(0.5000, dtype=torch.float64)
    """
    scores = prediction.ndim == target.ndim + 1
    if scores and prediction.shape[1] == 1:
        raise ValueError(
            f"`prediction` of shape {tuple(prediction.shape)} has one score a target, which does not say where a class begins: let `call` "
            f"return classes, `model(x)[:, 0] > 0` for logits, `> 0.5` for probabilities."
        )
    classes = prediction.argmax(1) if scores else prediction
    if classes.shape != target.shape:
        raise ValueError(
            f"`prediction` of shape {tuple(prediction.shape)} must have the shape of `target`, {tuple(target.shape)}, or "
            f"that with classes along dimension 1."
        )
    if classes.is_floating_point():
        raise TypeError(
            f"`prediction` of dtype {classes.dtype} must hold classes, as integers or booleans, if it has no dimension of scores."
        )
    return (classes == target).double().mean()
