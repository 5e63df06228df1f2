"""A callback for Lightning; needs the package lightning."""

import json
from typing import Any, cast

from torch import nn
from typing_extensions import override

from maskfusion._checks import expect_int
from maskfusion.integrations._missing import missing
from maskfusion.integrations._stepping import Schedules
from maskfusion.training.tracker import ComplementarityTracker

try:
    from lightning.pytorch import Callback, LightningModule, Trainer
except ImportError as error:
    raise missing("lightning", "pip install lightning") from error

__all__ = ["ComplementarityCallback"]


class ComplementarityCallback(Callback):
    """Update a ``ComplementarityTracker`` during training, log its ``metrics()``, and keep its history in checkpoints.

    It finds the masks in the module. Metrics go to every logger of the trainer and can be monitored, as in
    ``EarlyStopping("zeta")``. A resumed run continues the history.

    Penalty schedules that are part of the module are stepped after each optimiser step, and their lambda is logged; do not step them
    yourself as well.

    Args:
        every_n_steps: Optimiser steps between updates; None for the end of each training epoch.
        collapse_after: Number of updates as for ``ComplementarityTracker``.

    Attributes:
        tracker: The ``ComplementarityTracker``; None until training starts.

    Raises:
        TypeError: If an argument is no integer.
        ValueError: If an argument is below 1; when training starts, if the module has no mask.

    Examples:
        >>> from lightning.pytorch import Trainer
        >>> callback = ComplementarityCallback(every_n_steps=100)
        >>> trainer = Trainer(callbacks=[callback], accelerator="cpu", logger=False)
        >>> callback in trainer.callbacks
        True
    """

    def __init__(self, every_n_steps: int | None = None, *, collapse_after: int | None = 5) -> None:
        super().__init__()
        for name, value in (("every_n_steps", every_n_steps), ("collapse_after", collapse_after)):
            if value is not None:
                expect_int(name, value, least=1)
        self.every_n_steps = every_n_steps
        self.collapse_after = collapse_after
        self.tracker: ComplementarityTracker | None = None
        self._schedules = Schedules(nn.Module())
        self._module: LightningModule | None = None
        self._seen = 0
        self._saved: dict[str, Any] = {}

    @override
    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Find masks and schedules; take up the history of the checkpoint, if there was one."""
        if self.tracker is None or self._module is not pl_module:
            self.tracker = ComplementarityTracker(pl_module, collapse_after=self.collapse_after)
            self._module = pl_module
        self._schedules = Schedules(pl_module)
        if self._saved:
            self.tracker.set_extra_state(self._saved)
            self._saved = {}
        self._seen = trainer.global_step

    @override
    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        """Step the schedules, if the optimiser has made a step; update and log, if it is time."""
        n, before, step = self.every_n_steps, self._seen, trainer.global_step
        self._seen = step
        if step > before:
            self._schedules.step()
        if n is None or step // n == before // n:
            return
        metrics = self._update(step)
        pl_module.log_dict(metrics, on_step=True, on_epoch=False, logger=False, batch_size=1)
        for (
            logger
        ) in trainer.loggers:  # here, since the trainer itself would write only every `log_every_n_steps`
            logger.log_metrics(metrics, step)

    @override
    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Update and log, if it is time."""
        if self.every_n_steps is None:
            metrics = self._update(trainer.global_step)
            pl_module.log_dict(
                metrics, sync_dist=True
            )  # equal in all processes; this keeps the trainer from warning

    def _update(self, step: int) -> dict[str, float]:
        tracker = cast("ComplementarityTracker", self.tracker)
        tracker.update(step)
        return {**tracker.metrics(), **self._schedules.metrics()}

    @override
    def state_dict(self) -> dict[str, Any]:
        """The history, as plain lists, dicts and numbers."""
        if self.tracker is None:
            return self._saved
        state: dict[str, Any] = json.loads(self.tracker.get_extra_state())
        return state

    @override
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up a history when training starts."""
        self._saved = state_dict
