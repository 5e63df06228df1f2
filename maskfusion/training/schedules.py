"""Lambda, the weight of the penalty, over training."""

import math
from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn
from typing_extensions import override

from maskfusion._checks import expect_int, expect_number
from maskfusion._state import LastingState
from maskfusion._typing import Float
from maskfusion.mask.find import expect_masks
from maskfusion.mask.mask import ComplementaryMask


class PenaltySchedule(LastingState, ABC):
    """Lambda that may change with every step: the base class of the other schedules, and of your own.

    Multiply the penalty by ``value``, or pass the schedule as ``ComplementaryLoss(mask_weight=...)``, and call ``step()`` after each
    step of the optimiser (or after each epoch, if lambda is to change then). The callbacks of ``maskfusion.integrations`` call it for
    schedules that are part of the model. The state is float32 numbers in buffers, which averages over buffers do not round. It is saved and moved with the module that
    holds it, keeps its precision in any dtype, needs no device synchronisation and causes no recompilation.
    """

    count: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("count", torch.zeros((), dtype=torch.float32))

    @property
    @abstractmethod
    def value(self) -> Float[Tensor, ""]:
        """Lambda now: a new 0-d tensor without gradient."""

    def step(self) -> None:
        """Advance by one step; ``count`` is the number of steps so far."""
        self.count.add_(1)

    @override
    def reset_parameters(self) -> None:
        """Start again."""
        nn.init.zeros_(self.count)


class ConstantPenalty(PenaltySchedule):
    """Keep lambda constant.

    Args:
        weight: Lambda.

    Raises:
        TypeError: If ``weight`` is no number.
        ValueError: If ``weight`` is negative or not finite.

    Examples:
        >>> schedule = ConstantPenalty(1e-4)
        >>> schedule.step()
        >>> schedule.value
        tensor(1.0000e-04)

    Reference: Sec. 3.3; the paper has 1e-4 throughout.
    """

    def __init__(self, weight: float = 1e-4) -> None:
        super().__init__()
        self.weight = expect_number("weight", weight, least=0.0)

    @property
    @override
    def value(self) -> Float[Tensor, ""]:
        """Lambda, always the same."""
        return torch.full((), self.weight, device=self.count.device)

    @override
    def extra_repr(self) -> str:
        """Settings, for ``print``."""
        return f"weight={self.weight}"


class WarmupPenalty(PenaltySchedule):
    r"""Let lambda rise from 0 linearly, so that the network learns something before open channels cost.

    .. math:: \lambda_n = \lambda \cdot \min\Bigl(1, \frac{\max(0, n - \mathrm{delay})}{\mathrm{steps}}\Bigr)

    Args:
        weight: Lambda at the end.
        steps: Number of calls of ``step()`` that the rise takes.
        delay: Number of calls of ``step()`` before it begins.

    Raises:
        TypeError: If an argument has the wrong type.
        ValueError: If an argument is out of its range.

    Examples:
        >>> schedule = WarmupPenalty(0.5, steps=4, delay=1)
        >>> for _ in range(3):
        ...     schedule.step()
        >>> schedule.value
        tensor(0.2500)
    """

    def __init__(self, weight: float = 1e-4, *, steps: int, delay: int = 0) -> None:
        super().__init__()
        self.weight = expect_number("weight", weight, least=0.0)
        self.steps = expect_int("steps", steps, least=1)
        self.delay = expect_int("delay", delay, least=0)

    @property
    @override
    def value(self) -> Float[Tensor, ""]:
        """Lambda at this step."""
        return self.weight * ((self.count - self.delay) / self.steps).clamp(0.0, 1.0)

    @override
    def extra_repr(self) -> str:
        """Settings, for ``print``."""
        return f"weight={self.weight}, steps={self.steps}, delay={self.delay}"


class SteeredPenalty(PenaltySchedule):
    r"""Steer lambda so that the masks keep a given share of their channels open.

    .. math:: \log \lambda \gets \log \lambda + \frac{1}{\mathrm{steps}} \cdot
        \mathrm{sign}\Bigl(\frac{1}{D} \sum_d \omega_d - \mathrm{share}\Bigr)

    Lambda grows while more channels are open than wanted, shrinks while fewer are, and otherwise stays. It changes by factors, because
    its order of magnitude, which depends on loss, network and optimiser, is unknown beforehand. A closed channel opens again when the
    task's gradient raises its Omega, which works with every gate except ``random_gate``. Lambda is never negative, so no channel opens
    that the task cannot use, and a larger share is not reached.

    Lambda overshoots if it changes much while a channel is still moving to the threshold, so choose ``steps`` no smaller than
    the number of updates that this takes: 50 for Adam with a learning rate of 1e-3 and the mask's default start. Plain SGD with a
    small learning rate takes thousands; give Omega a larger one, ``parameter_groups(mask_lr=...)``.

    The share is read from Omega, which is the same on every process, and so is lambda.

    Args:
        model_or_mask: Model with one ``ComplementaryMask`` or more, or a mask. It is referenced, not owned.
        share: Share of all channels to keep open: 0.25 is a quarter.
        start: Lambda at the start.
        steps: Number of calls of ``step()`` in which lambda changes by a factor of e = 2.7.
        lowest: Smallest lambda.
        highest: Largest lambda.

    Raises:
        TypeError: If an argument has the wrong type.
        ValueError: If there is no mask, or an argument is out of its range; ``share`` has to leave room for one channel and for the
            ``min_channels`` of the masks.

    Examples:
        >>> mask = ComplementaryMask(8)
        >>> schedule = SteeredPenalty(mask, 0.25, start=1e-4, steps=10)
        >>> schedule.step()  # all is open, so lambda rises by e ** 0.1
        >>> print(f"{schedule.value:.3e}")
        1.105e-04
    """

    level: Tensor

    def __init__(
        self,
        model_or_mask: nn.Module,
        share: float,
        *,
        start: float = 1e-4,
        steps: int = 100,
        lowest: float = 1e-8,
        highest: float = 1.0,
    ) -> None:
        super().__init__()
        # In a tuple, so that they do not become submodules.
        self._masks = tuple(expect_masks("model_or_mask", model_or_mask).values())
        self.share = expect_number("share", share, above=0.0, below=1.0)
        _expect_room(self.share, self._masks)
        self.lowest = expect_number("lowest", lowest, above=0.0)
        self.start = expect_number("start", start, least=self.lowest)
        self.highest = expect_number("highest", highest, least=self.start)
        self.steps = expect_int("steps", steps, least=1)
        self.register_buffer("level", torch.zeros_like(self.count))

    @property
    @override
    def value(self) -> Float[Tensor, ""]:
        """Lambda at this step."""
        return (self.start * (self.level / self.steps).exp()).clamp(self.lowest, self.highest)

    @override
    @torch.no_grad()
    def step(self) -> None:
        """Count the open channels and move lambda."""
        super().step()
        kept = torch.cat([mask.kept for mask in self._masks])
        excess = kept.sum() - self.share * kept.numel()
        down, up = (
            math.ceil(self.steps * abs(math.log(bound / self.start))) for bound in (self.lowest, self.highest)
        )
        self.level.add_(excess.sign().to(self.level)).clamp_(-down, up)

    @override
    def reset_parameters(self) -> None:
        """Start again."""
        super().reset_parameters()
        nn.init.zeros_(self.level)

    @override
    def extra_repr(self) -> str:
        """Settings, for ``print``."""
        return (
            f"share={self.share}, start={self.start}, steps={self.steps}, lowest={self.lowest}, "
            f"highest={self.highest}"
        )


def _expect_room(share: float, masks: tuple[ComplementaryMask, ...]) -> None:
    total = sum(sum(mask.channels.values()) for mask in masks)
    fewest = max(1, sum(mask.min_channels * len(mask.channels) for mask in masks))
    if share * total < fewest:
        raise ValueError(
            f"`share` (={share!r}) must be at least {fewest / total:g}: {fewest} of {total} channels is the least to keep."
        )
