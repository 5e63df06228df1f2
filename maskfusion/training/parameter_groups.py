"""Parameter groups for the optimiser."""

from typing import Any

from torch import nn

from maskfusion._checks import expect_number
from maskfusion.mask.find import masks_of
from maskfusion.training.omega import omega_parameters


def parameter_groups(
    model: nn.Module, *, lr: float, weight_decay: float = 0.0, mask_lr: float | None = None
) -> list[dict[str, Any]]:
    """Split the parameters of a model for an optimiser: those of its masks get no weight decay and their own learning rate.

    Weight decay pulls every Omega towards zero, and so closes useful channels too; only the penalty should close channels.

    Args:
        model: Any module; a model without a mask gives one group.
        lr: Learning rate.
        weight_decay: Weight decay of all parameters but Omega.
        mask_lr: Learning rate of Omega; ``lr`` if None.

    Returns:
        Groups with "params", "lr" and "weight_decay": the model's own, then the masks'; no group is empty.

    Raises:
        TypeError: If an argument is no number.
        ValueError: If an argument is negative or not finite.

    Examples:
        >>> from maskfusion import ComplementaryMask
        >>> model = nn.Sequential(ComplementaryMask(8), nn.Linear(8, 2))
        >>> groups = parameter_groups(model, lr=1e-3, weight_decay=0.01, mask_lr=1e-2)
        >>> [(len(group["params"]), group["lr"], group["weight_decay"]) for group in groups]
        [(2, 0.001, 0.01), (1, 0.01, 0.0)]
    """
    lr = expect_number("lr", lr, least=0.0)
    weight_decay = expect_number("weight_decay", weight_decay, least=0.0)
    mask_lr = lr if mask_lr is None else expect_number("mask_lr", mask_lr, least=0.0)
    omegas = {id(omega): omega for mask in masks_of(model).values() for omega in omega_parameters(mask)}
    groups = [
        {
            "params": [p for p in model.parameters() if id(p) not in omegas],
            "lr": lr,
            "weight_decay": weight_decay,
        },
        {"params": [*omegas.values()], "lr": mask_lr, "weight_decay": 0.0},
    ]
    return [group for group in groups if group["params"]]
