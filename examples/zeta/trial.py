"""One trial: a small masked network, trained on one setting of one dial, and everything that is measured on it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

import torch
from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt
from pydantic import dataclasses as checked
from torch import Tensor, nn

from examples.data.sets.synthetic import generate
from examples.results.statistics import finite
from examples.typed import KNOWN_KEYS
from examples.zeta.dials import DIALS
from examples.zeta.records import Trial
from maskfusion import (
    ComplementarityTracker,
    ComplementaryMask,
    HeldOutMasks,
    measure_contributions,
    parameter_groups,
)

QUARTERS = 4
Batch = tuple[dict[str, Tensor], Tensor]


@checked.dataclass(frozen=True, config=KNOWN_KEYS)
class Settings:
    """What all trials share.

    Args:
        seeds: Number of seeds; each draws its data, first weights and batches.
        first_seed: The first of them.
        weights: Lambdas, the weights of the penalty.
        steps: Batches in a training, the same however many samples there are; a multiple of four.
        batch_size: Samples in a batch, drawn with replacement.
        learning_rate: Learning rate of Adam, for Omega too.
        train: Samples to learn from, where the dial is not their number.
        test: Samples to measure on.
        features: Numbers in a sample of one modality.
        hidden: Width of the hidden layer of encoders and head.
        channels: Number of channels of each modality in the fused space.
        init: Omega at the start.
        threshold: t; a channel is open while its Omega is above.
        held_out: Share of the training samples that Omega learns from and the weights do not; with 0 both learn from all.
    """

    seeds: PositiveInt = 5
    first_seed: int = 0
    weights: Annotated[tuple[NonNegativeFloat, ...], Field(min_length=1)] = (1e-4, 1e-3, 1e-2)
    steps: Annotated[int, Field(gt=0, multiple_of=QUARTERS)] = 1000
    batch_size: PositiveInt = 128
    learning_rate: PositiveFloat = 1e-3
    train: PositiveInt = 2048
    test: PositiveInt = 2048
    features: PositiveInt = 32
    hidden: PositiveInt = 64
    channels: PositiveInt = 64
    init: float = 0.1
    threshold: float = 0.05
    held_out: Annotated[float, Field(ge=0, lt=1)] = 0.0


@dataclass(frozen=True)
class Job:
    """One trial to be made, complete enough for another process.

    Args:
        dial: Name of the dial.
        value: Value at which the dial stands.
        weight: Lambda.
        seed: Seed of data, first weights and batches.
        settings: Settings that all trials share.
    """

    dial: str
    value: float
    weight: float
    seed: int
    settings: Settings


class MaskedNetwork(nn.Module):
    """An encoder a modality, the mask on all their channels, and a head; nothing is normalised.

    Args:
        modalities: Their names, in order.
        classes: Number of classes.
        settings: Sizes, and the start of the mask.

    Shape:
        - Input: a mapping of modality name to ``(batch, features)``
        - Output: ``(batch, classes)``
    """

    def __init__(self, modalities: tuple[str, ...], classes: int, settings: Settings) -> None:
        super().__init__()
        width, channels = settings.hidden, settings.channels
        self.encoders = nn.ModuleDict(
            {name: _perceptron(settings.features, width, channels) for name in modalities}
        )
        self.fusion = ComplementaryMask(
            dict.fromkeys(modalities, channels), init=settings.init, threshold=settings.threshold
        )
        self.head = _perceptron(len(modalities) * channels, width, classes)

    def forward(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """Return the scores of the classes."""
        fused = self.fusion({name: encoder(inputs[name]) for name, encoder in self.encoders.items()})
        scores: Tensor = self.head(fused)
        return scores


def run(job: Job) -> Trial:
    """Draw the data, train and measure; the same numbers in any process with one thread."""
    settings, case = job.settings, DIALS[job.dial].turn(job.value)
    count = settings.train if case.train is None else case.train
    inputs, target = generate(case.data, count + settings.test, features=settings.features, seed=job.seed)
    train = {name: values[:count] for name, values in inputs.items()}, target[:count]
    test = {name: values[count:] for name, values in inputs.items()}, target[count:]
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(job.seed)
            model = MaskedNetwork(case.data.modalities, 2**case.data.bits, settings)
            tracker = fit(model, train, job.weight, settings)
        found = measure_contributions(model, [test])
    finally:
        torch.set_num_threads(threads)
    course = [record["zeta"] for record in tracker.history]
    return Trial(
        dial=job.dial,
        value=job.value,
        weight=job.weight,
        seed=job.seed,
        accuracy=round(found.with_all, 4),
        zeta=_rounded(course[-1]),
        course=[_rounded(zeta) for zeta in course],
        open=[round(share * settings.channels / 100) for share in found.kept["fusion"].values()],
        shapley=[round(found.shapley[name], 4) for name in found.modalities],
        alone=[round(found.alone[name], 4) for name in found.modalities],
    )


def fit(model: MaskedNetwork, data: Batch, weight: float, settings: Settings) -> ComplementarityTracker:
    """Train a network under the penalty on its mask, and Omega on other samples than the weights if wanted.

    Args:
        model: Network, which is changed.
        data: Modality name to ``(samples, features)``, and classes, ``(samples,)``.
        weight: Lambda.
        settings: Settings of the training.

    Returns:
        The tracker, with a record after each quarter of the training.
    """
    inputs, target = data
    seen = max(int((1 - settings.held_out) * len(target)), 1)

    def task(first: int, last: int) -> Tensor:
        drawn = torch.randint(first, last, (settings.batch_size,))
        scores = model({name: values[drawn] for name, values in inputs.items()})
        return nn.functional.cross_entropy(scores, target[drawn])

    tracker = ComplementarityTracker(model, collapse_after=None)
    *others, omega = parameter_groups(model, lr=settings.learning_rate, weight_decay=0.0)
    apart = seen < len(target)
    optimizer = torch.optim.AdamW(others if apart else [*others, omega], fused=True)
    held_out = HeldOutMasks(model, torch.optim.AdamW([omega], fused=True)) if apart else None
    for step in range(1, settings.steps + 1):
        loss = task(0, seen) if held_out else task(0, seen) + weight * model.fusion.penalty()
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
        if held_out:
            held_out.step(lambda: task(seen, len(target)) + weight * model.fusion.penalty())
        if step % (settings.steps // QUARTERS) == 0:
            tracker.update(step)
    return tracker


def _perceptron(inputs: int, hidden: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(inputs, hidden), nn.ReLU(), nn.Linear(hidden, outputs))


def _rounded(zeta: float) -> float | None:
    return finite(round(zeta, 4))
