"""One run: the hooks of a method in Lightning's loop, and what came out of it."""

import logging
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from lightning.fabric.utilities.warnings import PossibleUserWarning
from lightning.pytorch import LightningModule, Trainer, seed_everything
from torch import Tensor
from torchmetrics.classification import MulticlassAccuracy

from examples.data.contract import Batch, MultimodalData
from examples.methods import create
from examples.methods.base import Method
from examples.nets.model import FusionModel
from examples.recipe import Recipe, Row
from examples.results import EpochRecord, Run, finite
from maskfusion import ComplementarityTracker, LossTerms, parameter_groups


class FusionTask(LightningModule):
    """A network, the method that trains it, and what is measured on the way.

    Args:
        model: The network, before the method has put its parts in.
        method: Hooks.
        recipe: Optimiser settings and loss weights.
        data: For the hook that looks at the training data, and the number of classes.
        on_epoch: Called with the mean total loss after each epoch.
    """

    def __init__(
        self,
        model: FusionModel,
        method: Method,
        recipe: Recipe,
        data: MultimodalData,
        on_epoch: Callable[[float], None],
    ) -> None:
        super().__init__()
        method.configure(model)
        self.model = model
        self.method = method
        self.criterion = method.loss(recipe.loss)
        self.accuracy = MulticlassAccuracy(len(data.classes), average="micro")
        self.tracker = None if model.mask is None else ComplementarityTracker(model.mask)
        self.records: list[EpochRecord] = []
        self._recipe, self._train_samples, self._on_epoch = recipe, data.train, on_epoch
        self._terms: list[Tensor] = []

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Return the loss of one batch, Eq. 1."""
        del batch_idx
        output = self.model(batch.inputs)
        terms: LossTerms = self.criterion(self.model, output, batch)
        self._terms.append(torch.stack(terms).detach())
        self._last = output, batch
        total: Tensor = terms.total
        return total

    def on_after_backward(self) -> None:
        """Let the method see the gradients."""
        self.method.after_backward(self.model, *self._last)
        del self._last

    def on_train_epoch_end(self) -> None:
        """Let the method look at the training data, then note what the epoch ended with."""
        self.method.epoch_end(self.model, self._train_samples)
        means = torch.stack(self._terms).mean(dim=0).tolist()
        self._terms.clear()
        losses = dict(zip(LossTerms._fields, means, strict=True))
        self.records.append(self._record(losses))
        self._on_epoch(losses["total"])

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        """Count the hits of one batch."""
        del batch_idx
        self.accuracy.update(self.model(batch.inputs).prediction, batch.target)

    def configure_optimizers(self) -> Any:
        """Return AdamW without weight decay on Omega, its rate falling to zero along a cosine."""
        recipe = self._recipe
        groups = parameter_groups(
            self.model,
            lr=recipe.learning_rate,
            weight_decay=recipe.weight_decay,
            mask_lr=recipe.mask_learning_rate,
        )
        optimizer = torch.optim.AdamW(groups, fused=True)
        steps = int(self.trainer.estimated_stepping_batches)
        scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=steps)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def _record(self, losses: dict[str, float]) -> EpochRecord:
        mask = self.model.mask
        if self.tracker is None or mask is None:
            return EpochRecord(losses, {}, None, 0, "")
        self.tracker.update(step=len(self.records) + 1)
        last = self.tracker.history[-1]
        kept = "".join("1" if channel else "0" for channel in mask.kept.tolist())
        return EpochRecord(losses, last["complementary"], finite(last["zeta"]), last["flipped"], kept)


def train(
    name: str,
    row: Row,
    recipe: Recipe,
    data: MultimodalData,
    *,
    seed: int,
    on_epoch: Callable[[float], None] = lambda _: None,
    accelerator: str = "cpu",
) -> Run:
    """Train one row of the table with one seed, score its final weights once on the test samples.

    Args:
        name: Of the row.
        row: Method and its arguments.
        recipe: Everything else.
        data: All modalities; the method chooses.
        seed: Of weights and batches.
        on_epoch: Called with the mean total loss after each epoch.
        accelerator: What Lightning runs on. One CPU thread gives the same numbers each time.
    """
    start = time.perf_counter()
    method = create(row.method, row.arguments)
    data = data.select(method.inputs(list(data.modalities)))
    with _quiet():
        seed_everything(seed, verbose=False)
        model = FusionModel(data.modalities, len(data.classes), recipe.network, quantise=row.quantise)
        task = FusionTask(model, method, recipe, data, on_epoch)
        trainer = Trainer(
            accelerator=accelerator,
            devices=1,
            max_epochs=recipe.epochs,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        order = torch.Generator().manual_seed(seed)
        trainer.fit(task, data.train.loader(recipe.batch_size, generator=order))
        trainer.test(task, data.test.loader(500), verbose=False)
    return Run(
        row=name,
        seed=seed,
        method=row.method,
        quantise=row.quantise,
        channels=dict(model.channels),
        accuracy=100 * float(task.accuracy.compute()),
        parameters=sum(weights.numel() for weights in model.parameters()),
        seconds=time.perf_counter() - start,
        epochs=task.records,
        **_shares(model, task.tracker),
    )


def _shares(model: FusionModel, tracker: ComplementarityTracker | None) -> dict[str, Any]:
    if tracker is None:  # nothing is masked: every channel is kept
        total = sum(model.channels.values())
        complementary = {name: 100 * count / total for name, count in model.channels.items()}
        kept = dict.fromkeys(model.channels, 100.0)
        return {"complementary": complementary, "kept": kept, "zeta": 1.0 if len(kept) > 1 else None}
    now = tracker.metrics()
    return {
        "complementary": {name: now[f"compl/{name}"] for name in model.channels},
        "kept": {name: now[f"kept/{name}"] for name in model.channels},
        "zeta": finite(now["zeta"]),
    }


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence tips, and advice on loaders without processes: the samples are in memory."""
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PossibleUserWarning)
        warnings.filterwarnings("ignore", message=".*LeafSpec.*", category=FutureWarning)
        yield
