"""Lambda, the weight of the penalty, over training."""

import math
from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn
from typing_extensions import override

from maskfusion._checks import expect_int, expect_number
from maskfusion._typing import Float
from maskfusion.mask.mask import ComplementaryMask


class PenaltySchedule(nn.Module, ABC):
    """A lambda that may change with every step; the others derive from it, and so may yours.

    Multiply the penalty by ``value``, or pass the schedule as ``ComplementaryLoss(mask_weight=...)``, and call ``step()`` after each
    step of the optimiser (or after each epoch, if lambda is to change then). The callbacks of ``maskfusion.integrations`` call it for
    schedules that are part of the model. The state is integers in buffers: it is saved with whatever module holds it, moves
    with it, keeps its precision in any dtype, and neither waits for a device nor makes compiled code compile again.
    """

    count: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("count", torch.zeros((), dtype=torch.int64))

    @property
    @abstractmethod
    def value(self) -> Float[Tensor, ""]:
        """Lambda now: a new 0-d tensor without gradient."""

    def step(self) -> None:
        """Go on by one step; ``count`` has how many there were."""
        self.count.add_(1)

    def reset_parameters(self) -> None:
        """Begin again."""
        self.count.zero_()


class ConstantPenalty(PenaltySchedule):
    """Keep lambda as it is.

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
        """Lambda, the same at all times."""
        return torch.full((), self.weight, device=self.count.device)

    @override
    def extra_repr(self) -> str:
        """Settings, for ``print``."""
        return f"weight={self.weight}"


class WarmupPenalty(PenaltySchedule):
    r"""Let lambda rise from 0 in a straight line, so that the network learns something before channels cost.

    .. math:: \lambda_n = \lambda \cdot \min\Bigl(1, \frac{\max(0, n - \mathrm{delay})}{\mathrm{steps}}\Bigr)

    Args:
        weight: Lambda in the end.
        steps: Calls of ``step()`` that the rise takes.
        delay: Calls of ``step()`` before it begins.

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
    r"""Steer lambda to where the masks keep a wanted share of their channels.

    .. math:: \log \lambda \gets \log \lambda + \frac{1}{\mathrm{steps}} \cdot
        \mathrm{sign}\Bigl(\frac{1}{D} \sum_d \omega_d - \mathrm{share}\Bigr)

    Lambda grows while more is kept than wanted, shrinks while less is kept, and rests where it is right. Ratios, not differences, since
    nobody knows its order of magnitude beforehand: it depends on loss, network and optimiser. A channel that lambda has closed opens
    again where the gradient of the task lifts its Omega, as it does through every gate but ``random_gate``; lambda is
    never negative, so nothing opens that the task has no use for, and a share that asks for more is not reached.

    It overshoots if lambda changes much while a channel is still on its way to the threshold, so choose ``steps`` no shorter than
    that way: 50 updates for Adam with a learning rate of 1e-3 and the mask's default start. Plain SGD with a small learning rate takes
    thousands; give Omega a larger one, ``parameter_groups(mask_lr=...)``.

    The share is counted on Omega, which is the same on every process, so lambda is too.

    Args:
        model_or_mask: A model with one ``ComplementaryMask`` or more, or a mask. It is referred to, not owned.
        share: The share of all channels to keep: 0.25 is a quarter.
        start: Lambda at first.
        steps: Calls of ``step()`` in which lambda changes by a factor of e = 2.7.
        lowest: The smallest lambda.
        highest: The largest.

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
        if not isinstance(model_or_mask, nn.Module):
            raise TypeError(f"`model_or_mask` (={model_or_mask!r}) must be a module.")
        # In a tuple, so that they do not become submodules.
        self._masks = tuple(m for m in model_or_mask.modules() if isinstance(m, ComplementaryMask))
        if not self._masks:
            raise ValueError(
                f"`model_or_mask` ({type(model_or_mask).__name__}) must hold a ComplementaryMask."
            )
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
        """Begin again."""
        super().reset_parameters()
        self.level.zero_()

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
