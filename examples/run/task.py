"""A network, the hooks of the method that trains it, and what is measured on the way, as a Lightning module."""

import json
import math
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict
from typing import Any

import torch
from lightning.pytorch import LightningModule
from torch import Tensor
from torch.nn.functional import cross_entropy
from torchmetrics import MeanMetric, Metric
from torchmetrics.classification import MulticlassAccuracy, MulticlassJaccardIndex

from examples.data.contract import UNSCORED, Batch, MultimodalData
from examples.errors import UserError
from examples.methods.base import Method
from examples.nets.model import FusionModel, FusionOutput
from examples.recipes import Recipe
from examples.results import EpochRecord
from examples.results.statistics import finite, rounded
from examples.run.loaders import SCORED_AT_ONCE
from maskfusion import ComplementarityTracker, LossTerms, parameter_groups

_MOMENTUM = 0.9


class FusionTask(LightningModule):
    """Eq. 1 on one batch, the optimiser, and a record after every epoch.

    Args:
        model: The network, before the method has put its parts in.
        method: Hooks.
        recipe: Optimiser settings and loss weights.
        data: Data for the hook that looks at training data, and for the number of classes.
        seed: Seed of what is drawn in training, such as dropout. A step always draws the same,
            so that a run that was cut short goes on as if it had not been.
        on_epoch: Function called with number and record after each epoch, in the first process only.
    """

    def __init__(
        self,
        model: FusionModel,
        method: Method,
        recipe: Recipe,
        data: MultimodalData,
        *,
        seed: int,
        on_epoch: Callable[[int, EpochRecord], None],
    ) -> None:
        super().__init__()
        method.configure(model)
        self.model = model
        self.method = method
        self.criterion = method.loss(recipe.loss)
        self.score = metric_of(data)
        self.validation_loss = MeanMetric()
        self.tracker = None if model.mask is None else ComplementarityTracker(model.mask, collapse_after=None)
        self.records: list[EpochRecord] = []
        self.test_score = float("nan")
        self._recipe, self._data, self._seed, self._on_epoch = recipe, data, seed, on_epoch
        self._terms: list[Tensor] = []
        self._perplexity: list[dict[str, Tensor]] = []
        self._validation: dict[str, float] = {}
        self._clocks, self._before = _clocks(), (0.0, 0.0)

    def on_train_start(self) -> None:
        """Let the method look at the training data before the first epoch.

        Raises:
            UserError: The first process has other epochs behind it, so another folder.
        """
        done = int(self.trainer.strategy.broadcast(len(self.records)))
        if done != len(self.records):
            raise UserError(
                f"`output` must be one folder that all machines share: {done} epochs are done in that of the first "
                f"process, {len(self.records)} in that of process {self.trainer.global_rank}."
            )
        if not self.records:
            self.method.train_start(self.model, self._data.train)

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """Make all that is drawn in this step a function of seed, step and process."""
        del batch, batch_idx
        world, rank = self.trainer.world_size, self.trainer.global_rank
        torch.manual_seed((self._seed * 1_000_003 + self.global_step) * world + rank)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Return the loss of one batch, Eq. 1."""
        del batch_idx
        output: FusionOutput = self.model(batch.inputs)
        terms: LossTerms = self.criterion(self.model, output, batch)
        self._terms.append(torch.stack(terms).detach())
        self._perplexity.append({name: coded.perplexity.detach() for name, coded in output.quantized.items()})
        self._last = output, batch
        total: Tensor = terms.total
        return total

    def on_after_backward(self) -> None:
        """Let the method see the gradients."""
        self.method.after_backward(self.model, *self._last)
        del self._last

    def on_validation_start(self) -> None:
        """Let the method set what the validation part decides."""
        part = self._data.validation
        if part is not None:
            batches = part.loader(SCORED_AT_ONCE * self._recipe.batch_size)
            self.method.before_validation(self.model, map(self._here, batches))

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Add one batch to task loss and score."""
        del batch_idx
        prediction = self.model(batch.inputs).prediction
        losses = cross_entropy(prediction, batch.target, reduction="none", ignore_index=UNSCORED)
        self.validation_loss.update(losses, (batch.target != UNSCORED).float())
        self.score.update(prediction, batch.target)

    def on_validation_epoch_end(self) -> None:
        """Note task loss and score of the validation part; the loss chooses the epoch."""
        self._validation = {"loss": self.validation_loss.compute().item(), "score": self._scored()}
        self.validation_loss.reset()
        self.log_dict({f"validation/{name}": value for name, value in self._validation.items()})

    def on_train_epoch_end(self) -> None:
        """Let the method look at the training data, then note what the epoch ended with."""
        self.method.epoch_end(self.model, self._data.train)
        losses = dict(zip(LossTerms._fields, self._mean(self._terms), strict=True))
        if not math.isfinite(losses["total"]):
            raise FloatingPointError(
                f"The loss is {losses['total']} in epoch {len(self.records) + 1}: training diverged."
            )
        names = list(self._perplexity[0])
        stacked = [torch.stack([step[name] for name in names]) for step in self._perplexity if names]
        perplexity = dict(zip(names, self._mean(stacked), strict=True))
        self._terms.clear()
        self._perplexity.clear()
        record = self._record(losses, perplexity)
        self.records.append(record)
        self.log_dict(_flat(record), rank_zero_only=True)
        if self.trainer.is_global_zero:
            self._on_epoch(len(self.records), record)

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        """Add one batch to the score."""
        del batch_idx
        self.score.update(self.model(batch.inputs).prediction, batch.target)

    def record_untrained(self, batches: Iterable[Batch]) -> None:
        """Note what a network that does not train ends with, as an epoch would.

        Args:
            batches: Batches of the training part.
        """
        self.model.eval()
        with torch.no_grad():
            self._terms = [
                torch.stack(self.criterion(self.model, self.model(batch.inputs), batch))
                for batch in map(self._here, batches)
            ]
        record = self._record(dict(zip(LossTerms._fields, self._mean(self._terms), strict=True)), {})
        self._terms.clear()
        self.records.append(record)
        if self.trainer.is_global_zero:
            self._on_epoch(len(self.records), record)

    def on_test_epoch_end(self) -> None:
        """Note the score of the test part, percent."""
        self.test_score = self._scored()

    def configure_optimizers(self) -> Any:
        """Return the recipe's optimiser, without weight decay on Omega, and its schedule."""
        recipe = self._recipe
        groups = parameter_groups(
            self.model,
            lr=recipe.learning_rate,
            weight_decay=recipe.weight_decay,
            mask_lr=recipe.mask_learning_rate,
        )
        groups = _with_rates(groups, self.model, self.method.rates(self.model))
        optimizer = (
            torch.optim.AdamW(groups, fused=True)
            if recipe.optimizer == "adamw"
            else torch.optim.SGD(groups, momentum=_MOMENTUM)
        )
        if recipe.schedule == "constant":
            return optimizer
        steps = int(self.trainer.estimated_stepping_batches)
        scheduler = (
            torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=steps)
            if recipe.schedule == "cosine"
            else torch.optim.lr_scheduler.OneCycleLR(
                optimizer, [group["lr"] for group in optimizer.param_groups], total_steps=steps
            )
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Put the names of the classes, the records and the time so far beside the weights."""
        checkpoint["classes"] = list(self._data.classes)
        # As text: pickling looks at every object, which took longer than the weights.
        checkpoint["records"] = json.dumps([asdict(record) for record in self.records])
        checkpoint["seconds"] = self.seconds, self.processor_seconds

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Go on with the records and the clock."""
        self.records = read_records(checkpoint)
        self._clocks, self._before = _clocks(), tuple(checkpoint["seconds"])

    @property
    def seconds(self) -> float:
        """Time spent on this run, over all its parts."""
        return self._before[0] + _clocks()[0] - self._clocks[0]

    @property
    def processor_seconds(self) -> float:
        """Time that the processor spent on it, all threads of this process together."""
        return self._before[1] + _clocks()[1] - self._clocks[1]

    @torch.no_grad()
    def scores_alone(self, batches: Iterable[Batch]) -> dict[str, float]:
        """Return the score of this network, percent, with one modality there and the others at zero, their mean."""
        self.model.eval()
        metrics = {name: metric_of(self._data).to(self.device) for name in self.model.channels}
        for inputs, target in map(self._here, batches):
            for name, metric in metrics.items():
                there = {
                    key: value if key == name else torch.zeros_like(value) for key, value in inputs.items()
                }
                metric.update(self.model(there).prediction, target)
        return {name: 100 * float(metric.compute()) for name, metric in metrics.items()}

    def _here(self, batch: Batch) -> Batch:
        """Return a batch on the device of the network."""
        inputs = {name: values.to(self.device) for name, values in batch.inputs.items()}
        return Batch(inputs, batch.target.to(self.device))

    def _mean(self, rows: list[Tensor]) -> list[float]:
        if not rows:
            return []
        means: Tensor = self.trainer.strategy.reduce(torch.stack(rows).float().mean(dim=0), reduce_op="mean")
        return [float(value) for value in means.tolist()]

    def _scored(self) -> float:
        percent = 100 * float(self.score.compute())
        self.score.reset()
        return percent

    def _record(self, losses: dict[str, float], perplexity: dict[str, float]) -> EpochRecord:
        mask, complementary, zeta, flipped, kept = self.model.mask, {}, None, 0, ""
        if self.tracker is not None and mask is not None:
            self.tracker.update(step=len(self.records) + 1)
            last = self.tracker.history[-1]
            complementary, zeta, flipped = last["complementary"], finite(last["zeta"]), last["flipped"]
            kept = "".join("1" if channel else "0" for channel in mask.kept.tolist())
        return EpochRecord(
            loss=rounded(losses),
            complementary=rounded(complementary),
            zeta=zeta,
            flipped=flipped,
            perplexity=rounded(perplexity),
            validation=rounded(self._validation),
            mask=kept,
        )


def metric_of(data: MultimodalData) -> Metric:
    """Return what scores predictions on a data set, from 0 to 1."""
    classes = len(data.classes)
    if data.task == "segmentation":
        return MulticlassJaccardIndex(classes, average="macro", ignore_index=UNSCORED)
    return MulticlassAccuracy(classes, average="micro", ignore_index=UNSCORED)


def _with_rates(
    groups: list[dict[str, Any]], model: FusionModel, factors: Mapping[str, float]
) -> list[dict[str, Any]]:
    """Return groups of parameters, those of some parts of the network apart, at another learning rate."""
    of = {id(weight): path for path in factors for weight in model.get_submodule(path).parameters()}
    return [
        {**group, "params": chosen, "lr": group["lr"] * factors.get(path, 1.0)}
        for group in groups
        for path in ("", *factors)
        if (chosen := [weight for weight in group["params"] if of.get(id(weight), "") == path])
    ]


def _flat(record: EpochRecord) -> dict[str, float]:
    """Return a record as names and numbers, for a logger."""
    flat = {f"loss/{name}": value for name, value in record.loss.items()}
    flat |= {f"perplexity/{name}": value for name, value in record.perplexity.items()}
    flat |= {f"compl/{name}": value for name, value in record.complementary.items()}
    return flat if record.zeta is None else {**flat, "zeta": record.zeta}


def read_records(checkpoint: Mapping[str, Any]) -> list[EpochRecord]:
    """Return the records in a checkpoint, one for each epoch until then."""
    return [EpochRecord(**record) for record in json.loads(checkpoint["records"])]


def _clocks() -> tuple[float, float]:
    """Return wall-clock and processor time, seconds."""
    return time.perf_counter(), time.process_time()
