"""What both callbacks do while a trainer trains: the penalty before each step, and schedules after it."""

import json
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from maskfusion.functional import signed_sum
from maskfusion.mask.find import masks_of, shortened
from maskfusion.training.loss import HasValue, expect_lambda
from maskfusion.training.penalty import ACTIVE, PenaltyHandle, expect_once, holds, innermost
from maskfusion.training.schedules import ConstantPenalty, PenaltySchedule
from maskfusion.training.tracker import ComplementarityTracker
from maskfusion.training.watch import StuckWarning


class Attending:
    """One training: its schedules, and the optimisers that have Omega.

    Args:
        model: The network.
        optimizers: All optimisers of the trainer.
        penalty: Lambda; None adds no penalty.
        leads: Whether this is the first callback of the trainer, which steps the schedules for all.
    """

    def __init__(
        self, model: nn.Module, optimizers: Sequence[object], penalty: HasValue | None, leads: bool
    ) -> None:
        masks = masks_of(model)
        inner = [innermost(optimizer) for optimizer in optimizers]
        held = [{path: mask for path, mask in masks.items() if holds(each, mask)} for each in inner]
        _warn_of_lost(model, inner, [path for path in masks if not any(path in each for each in held)])
        found = {path: each for path, each in model.named_modules() if isinstance(each, PenaltySchedule)}
        self._schedules = shortened(model, found)
        self._stepped = list(self._schedules.values()) if leads else []
        if isinstance(penalty, PenaltySchedule) and all(penalty is not each for each in found.values()):
            self._schedules["penalty"] = penalty
            self._stepped.append(penalty)
        self.steps = 0
        """Steps of the first optimiser that has an Omega."""
        counted = next((each for each, theirs in zip(inner, held, strict=True) if theirs), inner[0])
        self._counting = counted.register_step_post_hook(self._after)
        self._handles: list[PenaltyHandle] = []
        if penalty is not None:
            if not any(held):
                raise ValueError(
                    "`penalty` needs an optimiser of the trainer that has Omega, and none has: make it after the mask, or add "
                    "`total_penalty` to the loss."
                )
            for each, theirs in zip(inner, held, strict=True):
                expect_once(each, theirs)
                self._handles.append(PenaltyHandle(each, list(theirs.values()), penalty, signed_sum, None))

    def stop(self) -> None:
        """Restore the optimisers."""
        self._counting.remove()
        for handle in self._handles:
            handle.remove()

    def _after(self, *_: object) -> None:
        """Count, and step each schedule once, unless another callback or ``penalize`` does."""
        self.steps += 1
        elsewhere = [handle.steps for handle in ACTIVE]
        for schedule in self._stepped:
            if not any(schedule is other for other in elsewhere):
                schedule.step()

    def metrics(self) -> dict[str, float]:
        """``{"lambda": value}``; with several schedules each name starts with the path of its schedule."""
        prefix = "{}/lambda" if len(self._schedules) > 1 else "lambda"
        return {prefix.format(path): float(schedule.value) for path, schedule in self._schedules.items()}


def _warn_of_lost(model: nn.Module, optimizers: Sequence[Optimizer], paths: Sequence[str]) -> None:
    """Say that no optimiser has Omega; not where they have pieces of their own in place of the model's parameters."""
    known = {id(parameter) for parameter in model.parameters()}
    there = {id(each) for one in optimizers for group in one.param_groups for each in group["params"]}
    lost = [path for path in paths if masks_of(model)[path].weight.requires_grad]
    if lost and known & there:
        warnings.warn(
            f"No optimiser of the trainer has the Omega of {lost}, so it does not move: make the optimiser after the mask.",
            StuckWarning,
            stacklevel=3,
        )


def expect_penalty(penalty: object) -> HasValue | None:
    """The ``penalty`` of a callback: None, a number or a schedule."""
    if penalty is None:
        return None
    weight = expect_lambda("penalty", penalty)
    return ConstantPenalty(weight) if isinstance(weight, float) else weight


def state_of(tracker: ComplementarityTracker, penalty: HasValue | None) -> dict[str, Any]:
    """What a checkpoint keeps, as plain lists, dicts and numbers."""
    text = tracker.get_extra_state()
    state: dict[str, Any] = json.loads(text) if isinstance(text, str) else {}
    if isinstance(penalty, PenaltySchedule):
        state["penalty"] = {name: tensor.tolist() for name, tensor in penalty.state_dict().items()}
    return state


def take_up(state: Mapping[str, Any], tracker: ComplementarityTracker, penalty: HasValue | None) -> None:
    """Go on from such a state."""
    if "history" in state:
        tracker.set_extra_state(dict(state))
    if isinstance(penalty, PenaltySchedule) and "penalty" in state:
        penalty.load_state_dict({name: torch.tensor(value) for name, value in state["penalty"].items()})
