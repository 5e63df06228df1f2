"""A callback for Lightning; needs the package lightning."""

from typing import Any, cast

from typing_extensions import override

from maskfusion._checks import expect_int
from maskfusion.integrations._attending import Attending, expect_penalty, state_of, take_up
from maskfusion.integrations._missing import missing
from maskfusion.training.loss import HasValue
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

    Penalty schedules that are part of the module are stepped after each step of the optimiser that has Omega, and their lambda is logged;
    do not step them yourself as well. With several callbacks in one trainer, the first one steps them.

    Args:
        every_n_steps: Steps of the optimiser that has Omega between updates; None for the end of each training epoch.
        collapse_after: Number of updates as for ``ComplementarityTracker``.
        penalty: Weight of the penalty, lambda: a number, or a schedule, which is stepped and logged too. Its gradient is added before each
            step of the optimiser, as ``penalize`` does, so do not add the penalty to the loss. None adds nothing.

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

    def __init__(
        self,
        every_n_steps: int | None = None,
        *,
        collapse_after: int | None = 5,
        penalty: float | HasValue | None = None,
    ) -> None:
        super().__init__()
        for name, value in (("every_n_steps", every_n_steps), ("collapse_after", collapse_after)):
            if value is not None:
                expect_int(name, value, least=1)
        self.every_n_steps = every_n_steps
        self.collapse_after = collapse_after
        self.penalty = expect_penalty(penalty)
        self.tracker: ComplementarityTracker | None = None
        self._attending: Attending | None = None
        self._module: LightningModule | None = None
        self._seen = 0
        self._saved: dict[str, Any] = {}

    @property
    @override
    def state_key(self) -> str:
        """Key that distinguishes several callbacks of one trainer in its checkpoints."""
        return self._generate_state_key(every_n_steps=self.every_n_steps)

    @override
    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Find masks, schedules and optimisers; restore the history from the checkpoint, if there is one."""
        self._leave()
        if self.tracker is None or self._module is not pl_module:
            self.tracker = ComplementarityTracker(pl_module, collapse_after=self.collapse_after)
            self._module = pl_module
        callbacks: list[Callback] = cast("Any", trainer).callbacks
        first = next(callback for callback in callbacks if isinstance(callback, ComplementarityCallback))
        self._attending = Attending(pl_module, trainer.optimizers, self.penalty, leads=first is self)
        if self._saved:
            take_up(self._saved, self.tracker, self.penalty)
        self._seen = self._attending.steps = self._saved.get("steps", trainer.global_step)
        self._saved = {}

    @override
    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        """Update and log, if it is time."""
        n, before = self.every_n_steps, self._seen
        self._seen = self._attended().steps
        if n is None or self._seen // n == before // n:
            return
        step = trainer.global_step
        metrics = self._update(step)
        pl_module.log_dict(metrics, on_step=True, on_epoch=False, logger=False, batch_size=1)
        for logger in trainer.loggers:  # here, as the trainer writes every `log_every_n_steps` only
            logger.log_metrics(metrics, step)

    @override
    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Update and log, if it is time."""
        if self.every_n_steps is None:
            metrics = self._update(trainer.global_step)
            # `sync_dist` keeps the trainer from warning; all processes have the same numbers.
            pl_module.log_dict(metrics, sync_dist=True)

    def _update(self, step: int) -> dict[str, float]:
        tracker = cast("ComplementarityTracker", self.tracker)
        tracker.update(step)
        return {**tracker.metrics(), **self._attended().metrics()}

    def _attended(self) -> Attending:
        return cast("Attending", self._attending)

    def _leave(self) -> None:
        if self._attending is not None:
            self._attending.stop()

    @override
    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Restore the optimisers."""
        self._leave()

    @override
    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Restore the optimisers."""
        self._leave()

    @override
    def state_dict(self) -> dict[str, Any]:
        """The history, as plain lists, dicts and numbers."""
        if self.tracker is None or self._attending is None:
            return self._saved
        return {**state_of(self.tracker, self.penalty), "steps": self._attending.steps}

    @override
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore a history when training starts."""
        self._saved = state_dict
