"""The penalty of all masks of a model: as a term of the loss, or added to the gradient where the loss cannot be changed."""

import weakref
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook

from maskfusion import functional
from maskfusion._typing import Float, Penalty
from maskfusion.mask.find import expect_masks
from maskfusion.mask.mask import ComplementaryMask
from maskfusion.training.loss import HasValue, expect_lambda
from maskfusion.training.omega import different, omega_now, omega_parameters
from maskfusion.training.schedules import PenaltySchedule

ACTIVE: "weakref.WeakSet[PenaltyHandle]" = weakref.WeakSet()
"""What ``penalize`` has put on optimisers that still live, so that nothing is penalised twice."""


def total_penalty(model: nn.Module, penalty: Penalty = functional.signed_sum) -> Float[Tensor, ""]:
    """Add up the penalty of all masks of a model, without lambda, for your own loss.

    An Omega that several masks share counts once.

    Args:
        model: Model with one ``ComplementaryMask`` or more, or a mask.
        penalty: Function from Omega to a number: ``signed_sum`` (Eq. 5), ``absolute_sum``, ``positive_sum`` or your own.

    Returns:
        A 0-d tensor.

    Raises:
        TypeError: If ``model`` is no module.
        ValueError: If it has no mask.

    Examples:
        >>> model = nn.Sequential(ComplementaryMask({"image": 3, "audio": 3}), ComplementaryMask({"image": 2, "audio": 2}))
        >>> total_penalty(model).detach()
        tensor(1.)

    Reference: Eq. 5.
    """
    masks = different(list(expect_masks("model", model).values()))
    return functional.mask_penalty([omega_now(mask) for mask in masks], penalty)


class PenaltyHandle:
    """What ``penalize`` returns; ``remove()`` ends the penalty."""

    def __init__(
        self,
        optimizer: Optimizer | None,
        masks: Sequence[ComplementaryMask],
        weight: float | HasValue,
        penalty: Penalty,
        steps: PenaltySchedule | None,
    ) -> None:
        self.masks = different(list(masks))
        self.weight = weight
        self.penalty = penalty
        self.steps = steps
        """The schedule that is stepped here."""
        self.optimizer = None if optimizer is None else weakref.ref(optimizer)
        if optimizer is None:
            before = register_optimizer_step_pre_hook(self._before_any)
            after = register_optimizer_step_post_hook(self._after_any)
        else:
            before = optimizer.register_step_pre_hook(self._before)
            after = optimizer.register_step_post_hook(self._after)
        self._hooks = (before, after)
        ACTIVE.add(self)

    def remove(self) -> None:
        """Stop penalising; a second call does nothing."""
        for hook in self._hooks:
            hook.remove()
        ACTIVE.discard(self)

    def _before(self, optimizer: Optimizer, args: Any, kwargs: Any) -> tuple[Any, Any] | None:
        """Push now, or each time the closure has made gradients."""
        given = list(args[1:])
        named = dict(kwargs)
        closure = named.get("closure", given[0] if given else None)
        if not callable(closure):
            self._push(optimizer)
            return None

        def pushed() -> Any:
            loss = closure()
            cost = self._push(optimizer)
            return loss + cost if isinstance(loss, (Tensor, float, int)) else loss

        if "closure" in named:
            named["closure"] = pushed
        else:
            given[0] = pushed
        return (args[0], *given), named

    def _after(self, optimizer: Optimizer, args: Any, kwargs: Any) -> None:
        del args, kwargs
        if self.steps is None:
            return
        found_inf = getattr(optimizer, "found_inf", None)  # a fused optimiser leaves out a step by itself
        if found_inf is None or not found_inf.item():
            self.steps.step()

    def _before_any(self, optimizer: Optimizer, args: Any, kwargs: Any) -> tuple[Any, Any] | None:
        return self._before(optimizer, args, kwargs) if self._is_for(optimizer) else None

    def _after_any(self, optimizer: Optimizer, args: Any, kwargs: Any) -> None:
        if self._is_for(optimizer):
            self._after(optimizer, args, kwargs)

    def _is_for(self, optimizer: Optimizer) -> bool:
        return any(holds(optimizer, mask) for mask in self.masks)

    def _push(self, optimizer: Optimizer) -> Float[Tensor, ""]:
        """Add lambda times the gradient of the penalty to that of Omega; the penalty."""
        weight = self.weight if isinstance(self.weight, float) else self.weight.value
        scale = getattr(optimizer, "grad_scale", None)  # a fused optimiser's gradients are still scaled
        costs = []
        for mask in self.masks:
            omegas = [omega for omega in omega_parameters(mask) if omega.requires_grad]
            if not omegas:
                continue
            with torch.enable_grad():
                cost = weight * functional.mask_penalty(omega_now(mask), self.penalty)
            costs.append(cost.detach())
            for omega, push in zip(omegas, torch.autograd.grad(cost, omegas), strict=True):
                with torch.no_grad():
                    scaled = push if scale is None else push * scale
                    omega.grad = scaled.clone() if omega.grad is None else omega.grad.add_(scaled)
        return torch.stack(costs).sum() if costs else torch.zeros(())


def penalize(
    optimizer: Optimizer | None,
    model: nn.Module,
    weight: float | HasValue = 1e-4,
    *,
    penalty: Penalty = functional.signed_sum,
) -> PenaltyHandle:
    """Penalise open channels where you cannot change the loss: before each step of the optimiser.

    Lambda times the gradient of the penalty is added to the gradient of Omega, once per step, so accumulated batches, loss scaling
    and skipped steps make no difference. It is added after gradient clipping. With a closure it is added after each call of it, and also to the
    loss that it returns. Do not add the penalty to the loss as well.

    Args:
        optimizer: Optimiser that holds Omega, also one that accelerate or Lightning has wrapped. None is for trainers that make their own:
            from now on, any optimiser of this process that holds Omega.
        model: Model with one ``ComplementaryMask`` or more, or a mask. Every mask's Omega must be in the optimiser; where each has
            an optimiser of its own, pass the masks one by one.
        weight: Weight of the penalty, lambda: a number, or a schedule such as ``WarmupPenalty``, which is then stepped here after each
            step of the optimiser: do not step it yourself.
        penalty: Function from Omega to a number: ``signed_sum`` (Eq. 5), ``absolute_sum``, ``positive_sum`` or your own.

    Returns:
        A handle with ``remove()``.

    Raises:
        TypeError: If an argument has the wrong type.
        ValueError: If there is no mask, the optimiser lacks an Omega or penalises it already, or ``weight`` is negative or not finite.

    Examples:
        >>> model = nn.Sequential(ComplementaryMask(4), nn.Linear(4, 1))
        >>> optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        >>> handle = penalize(optimizer, model, 0.2)
        >>> optimizer.step()  # in a trainer: after the backward pass of the task's loss
        >>> model[0].weight.detach()
        tensor([0.0800, 0.0800, 0.0800, 0.0800])

    Reference: Eq. 5.
    """
    masks = expect_masks("model", model)
    lam = expect_lambda("weight", weight)
    if not callable(penalty):
        raise TypeError(f"`penalty` (={penalty!r}) must be a function of Omega.")
    inner = None if optimizer is None else innermost(optimizer)
    if inner is not None:
        missing = [path for path, mask in masks.items() if not holds(inner, mask)]
        if missing:
            raise ValueError(
                f"`optimizer` ({type(inner).__name__}) must have the Omega of each mask; it lacks that of {missing}. If it was made before "
                f"the mask, make it afterwards or call `optimizer.add_param_group({{'params': [mask.weight]}})`; if it is for other masks, "
                f"pass those only."
            )
    expect_once(inner, masks)
    return PenaltyHandle(
        inner, list(masks.values()), lam, penalty, lam if isinstance(lam, PenaltySchedule) else None
    )


def innermost(optimizer: object) -> Optimizer:
    """The optimiser of PyTorch inside of what trainers put around it, each with an attribute ``optimizer``."""
    inner = optimizer
    while (inside := getattr(inner, "optimizer", None)) is not None:
        inner = inside
    if not isinstance(inner, Optimizer):
        raise TypeError(
            f"`optimizer` (={optimizer!r}) must be a torch.optim.Optimizer, or None for whichever has Omega."
        )
    return inner


def holds(optimizer: Optimizer, mask: ComplementaryMask) -> bool:
    """Whether the optimiser moves the Omega of a mask."""
    there = {id(parameter) for group in optimizer.param_groups for parameter in group["params"]}
    return any(id(omega) in there for omega in omega_parameters(mask))


def expect_once(optimizer: Optimizer | None, masks: dict[str, ComplementaryMask]) -> None:
    """Refuse a mask that is penalised already."""
    for handle in ACTIVE:
        if optimizer is None or handle.optimizer is None or handle.optimizer() is optimizer:
            twice = [path for path, mask in masks.items() if any(mask is other for other in handle.masks)]
            if twice:
                raise ValueError(
                    f"`model` has masks that are penalised already, {twice}: call `remove()` on what the first `penalize` returned."
                )
