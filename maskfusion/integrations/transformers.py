"""A callback for the trainer of transformers; needs the packages transformers and accelerate."""

from typing import Any, cast

from typing_extensions import override

from maskfusion._checks import expect_int
from maskfusion.integrations._attending import Attending, expect_penalty, state_of, take_up
from maskfusion.integrations._missing import missing
from maskfusion.training.loss import HasValue
from maskfusion.training.tracker import ComplementarityTracker

try:
    from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments
except ImportError as error:
    raise missing("transformers", "pip install transformers accelerate") from error

__all__ = ["ComplementarityCallback"]

KEY = "maskfusion.ComplementarityCallback"


class ComplementarityCallback(TrainerCallback):
    """Update a ``ComplementarityTracker`` during training, log its ``metrics()``, and keep its history in checkpoints.

    It finds the masks in the model. Metrics go through ``trainer.log``, so to everything that ``report_to`` names and into
    ``trainer.state.log_history``. The history is part of ``trainer_state.json`` in each checkpoint, and a run that resumes from
    there continues it, with or without ``restore_callback_states_from_checkpoint``. Callbacks do not know their trainer, so add
    this one to an existing trainer::

        trainer = Trainer(model, args, train_dataset=data)
        trainer.add_callback(ComplementarityCallback(trainer))
        trainer.train()

    Penalty schedules that are part of the model are stepped after each optimiser step, and their lambda is logged; do not step them
    yourself as well. With several callbacks in one trainer, the first one steps them.

    Args:
        trainer: Trainer whose ``log`` is called.
        every_n_steps: Optimiser steps between updates; None for the end of each training epoch.
        collapse_after: Number of updates as for ``ComplementarityTracker``.
        penalty: Weight of the penalty, lambda: a number, or a schedule, which is stepped and logged too. Its gradient is added before each
            step of the optimiser, as ``penalize`` does, so do not add the penalty to the loss. It counts once per step, also with accumulated
            batches; a penalty in the loss does not where ``forward`` takes ``**kwargs``. None adds nothing.

    Attributes:
        tracker: The ``ComplementarityTracker``; None until training starts.

    Raises:
        TypeError: If ``trainer`` is no ``Trainer`` or another argument no integer.
        ValueError: If an integer is below 1; when training starts, if the model has no mask.
    """

    def __init__(
        self,
        trainer: Trainer,
        every_n_steps: int | None = None,
        *,
        collapse_after: int | None = 5,
        penalty: float | HasValue | None = None,
    ) -> None:
        if not isinstance(trainer, Trainer):
            raise TypeError(f"`trainer` (={trainer!r}) must be a transformers.Trainer.")
        for name, value in (("every_n_steps", every_n_steps), ("collapse_after", collapse_after)):
            if value is not None:
                expect_int(name, value, least=1)
        self.every_n_steps = every_n_steps
        self.collapse_after = collapse_after
        self.tracker: ComplementarityTracker | None = None
        self.penalty = expect_penalty(penalty)
        self._attending: Attending | None = None
        self._trainer = trainer

    @override
    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Find masks, schedules and the optimiser; restore the history from the checkpoint, if there is one."""
        self._leave()
        self.tracker = ComplementarityTracker(kwargs["model"], collapse_after=self.collapse_after)
        self._attending = Attending(
            kwargs["model"], [kwargs["optimizer"]], self.penalty, leads=self._place() == 0
        )
        states: Any = state.stateful_callbacks
        if self._key() in states:
            take_up(states[self._key()], self.tracker, self.penalty)

    @override
    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Update and log, if it is time."""
        if self.every_n_steps is not None and state.global_step % self.every_n_steps == 0:
            self._update(state, control)
        self._keep(state, control)

    @override
    def on_epoch_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Update and log, if it is time."""
        if self.every_n_steps is None:
            self._update(state, control)
        self._keep(state, control)

    def _keep(self, state: TrainerState, control: TrainerControl) -> None:
        """Write the state down for a checkpoint that is about to be saved."""
        if control.should_save:
            states: Any = state.stateful_callbacks
            states[self._key()] = state_of(cast("ComplementarityTracker", self.tracker), self.penalty)

    def _update(self, state: TrainerState, control: TrainerControl) -> None:
        tracker = cast("ComplementarityTracker", self.tracker)
        tracker.update(state.global_step)
        due = control.should_log
        self._trainer.log({**tracker.metrics(), **cast("Attending", self._attending).metrics()})
        control.should_log = due  # `log` takes it back, and the loss of this step may still wait for it

    @override
    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Leave the optimiser as it was."""
        self._leave()

    def _leave(self) -> None:
        if self._attending is not None:
            self._attending.stop()

    def _place(self) -> int:
        """How many callbacks of this kind the trainer has before this one."""
        callbacks = self._trainer.callback_handler.callbacks
        return [each for each in callbacks if isinstance(each, ComplementarityCallback)].index(self)

    def _key(self) -> str:
        place = self._place()
        return f"{KEY}.{place}" if place else KEY
