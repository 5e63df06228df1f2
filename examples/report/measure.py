"""What a trained network does on the test part: mistakes, codes in use, and what each modality is worth."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from examples.data.contract import UNSCORED, Batch
from examples.run.task import metric_of
from examples.run.trained import Trained
from maskfusion.contribution import Contributions, measure_contributions

_BATCH = 64


@dataclass(frozen=True)
class Measured:
    """What `measure` finds.

    Args:
        samples: Number of samples that were looked at.
        confusion: Number of times each class was taken for each, ``(classes, classes)``: a true class is a row, a
            predicted ones in columns. Pixels count where each has a class.
        usage: Number of times each code was used, ``(codes,)``, by modality; empty without quantisers.
        contributions: Worth of each modality, as shares, not percent; None where there is only one.
    """

    samples: int
    confusion: NDArray[np.int64]
    usage: dict[str, NDArray[np.int64]]
    contributions: Contributions | None


def measure(trained: Trained) -> Measured:
    """Run the test part through a network."""
    model, classes = trained.model, len(trained.data.classes)
    confusion = torch.zeros(classes * classes, dtype=torch.int64)
    usage = {name: torch.zeros(trained.recipe.network.codes, dtype=torch.int64) for name in model.quantizers}
    for batch in _batches(trained):
        with torch.no_grad():
            output = model(batch.inputs)
        scored = batch.target != UNSCORED
        pairs = batch.target[scored] * classes + output.prediction.argmax(1)[scored]
        confusion += pairs.bincount(minlength=classes * classes)
        for name, coded in output.quantized.items():
            usage[name] += coded.indices.flatten().bincount(minlength=len(usage[name]))
    return Measured(
        samples=len(trained.data.test),
        confusion=confusion.view(classes, classes).numpy(),
        usage={name: counts.numpy() for name, counts in usage.items()},
        contributions=_contributions(trained) if len(model.channels) > 1 else None,
    )


def _contributions(trained: Trained) -> Contributions:
    return measure_contributions(
        trained.model,
        ((batch.inputs, batch.target) for batch in _batches(trained)),
        metric=_metric(trained),
        call=_classes,
    )


def _metric(trained: Trained) -> Callable[[Tensor, Tensor], Tensor]:
    def score(prediction: Tensor, target: Tensor) -> Tensor:
        value: Tensor = metric_of(trained.data)(prediction, target)
        return value

    return score


def _classes(model: nn.Module, inputs: dict[str, Any]) -> Tensor:
    classes: Tensor = model(inputs).prediction.argmax(1)
    return classes


def _batches(trained: Trained) -> Iterator[Batch]:
    yield from trained.data.test.loader(_BATCH)
