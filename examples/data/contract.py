"""The data contract: a batch is a mapping of modality name to tensor, and a target."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, NamedTuple, TypeAlias

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from examples.data.batches import Batches, Draw
from examples.data.columns import Column, Some, Standardised, Whole, statistics
from examples.data.splits import Split
from examples.errors import UserError

Kind: TypeAlias = Literal["image", "sequence", "vector"]
Task: TypeAlias = Literal["classification", "segmentation"]

UNSCORED = -100  # a target that neither loss nor score counts, as in torch's cross entropy
_RANK: dict[Kind, int] = {"image": 3, "sequence": 2, "vector": 1}


@dataclass(frozen=True)
class Modality:
    """What one modality looks like.

    Args:
        kind: Decides which encoder and decoder it gets.
        shape: Axes of one sample: ``(channels, height, width)`` for an image, ``(channels, length)`` for a
            sequence, ``(features,)`` for a vector.
    """

    kind: Kind
    shape: tuple[int, ...]

    def __post_init__(self) -> None:
        """Refuse a shape that does not fit the kind."""
        if len(self.shape) != _RANK[self.kind]:
            raise ValueError(
                f"`shape` (={self.shape}) of a modality of kind '{self.kind}' must have {_RANK[self.kind]} axes."
            )


class Batch(NamedTuple):
    """What every network and every method gets.

    Attributes:
        inputs: Modality name to float32 tensor, ``(batch, *shape)``.
        target: Class numbers, int64, ``(batch,)``, or ``(batch, height, width)`` where the task is segmentation.
    """

    inputs: dict[str, Tensor]
    target: Tensor


class Samples(Dataset[Batch]):
    """One part of a data set, indexed by a whole batch at a time.

    Args:
        inputs: Modality name to column; a tensor ``(samples, *shape)`` is one that is in memory.
        target: Class numbers, ``(samples,)`` or ``(samples, height, width)``, any integer dtype.
        labels: Other facts about each sample, such as the speaker, by name: ``(samples,)``.
    """

    def __init__(
        self,
        inputs: Mapping[str, Column | Tensor],
        target: Tensor,
        labels: Mapping[str, Tensor] | None = None,
    ) -> None:
        self.inputs: dict[str, Column] = {
            name: Whole(column) if isinstance(column, Tensor) else column for name, column in inputs.items()
        }
        lengths = {name: len(column) for name, column in self.inputs.items()}
        if set(lengths.values()) != {len(target)}:
            raise ValueError(f"`inputs` (samples by modality: {lengths}) must match {len(target)} targets.")
        self.target = target
        self.labels = dict(labels or {})

    def __len__(self) -> int:
        """Return the number of samples."""
        return len(self.target)

    def __getitem__(self, draw: Draw) -> Batch:
        """Return the samples of one draw as one batch."""
        index = np.asarray(draw.positions, dtype=np.int64)
        generator = None if draw.seed is None else torch.Generator().manual_seed(draw.seed)
        inputs = {name: column.take(index, generator) for name, column in self.inputs.items()}
        return Batch(inputs, self.target[index].long())

    def part(self, positions: Tensor) -> "Samples":
        """Return some of the samples, in the order of `positions`."""
        index = positions.numpy()
        inputs = {name: Some(column, index) for name, column in self.inputs.items()}
        labels = {name: values[positions] for name, values in self.labels.items()}
        return Samples(inputs, self.target[positions], labels)

    def everything(self) -> Batch:
        """Return all samples as one batch, nothing drawn."""
        return self[Draw(list(range(len(self))), None)]

    def loader(
        self, batch_size: int, *, seed: int | None = None, rank: int = 0, world: int = 1, workers: int = 0
    ) -> DataLoader[Batch]:
        """Return batches in order, or shuffled when a `seed` is given, see `Batches`.

        Args:
            batch_size: Samples in a batch, over all processes.
            seed: Seed of order and draws.
            rank: Number of this process.
            world: Number of processes that share each batch.
            workers: Processes that read ahead; 0 where the samples are in memory.
        """
        order = Batches(len(self), batch_size, seed=seed, rank=rank, world=world)
        return DataLoader(
            self, sampler=order, batch_size=None, num_workers=workers, persistent_workers=workers > 0
        )


@dataclass(frozen=True)
class MultimodalData:
    """One data set, split and standardised.

    Args:
        name: Name on the command line.
        modalities: Form of each modality, in the order in which their features are concatenated.
        classes: Names of the classes; a target is a position in this tuple, or `UNSCORED`.
        train: Samples that the network learns from.
        validation: Chooses the epoch; None where the protocol has no such part.
        test: Scored once, by the chosen weights.
        task: One class for a sample, or one for each of its pixels.
        split: Positions of the samples of each part in the whole data set.
        names: Names of the samples of the whole data set, for the split as a file; empty where they have none.
        scales: Modality name to mean and standard deviation that were taken out, each broadcasts to a batch.
        values: Label to the words for its numbers from 0; numbers of other labels speak for themselves.
        left_out: Samples of the data set that are in no part, by name, with the reason.
        notes: How the files were read, where nobody has read them before: what it is about, and what is to say of it.
    """

    name: str
    modalities: Mapping[str, Modality]
    classes: tuple[str, ...]
    train: Samples
    validation: Samples | None
    test: Samples
    task: Task
    split: Split
    names: tuple[str, ...] = field(default=(), repr=False)
    scales: Mapping[str, tuple[Tensor, Tensor]] = field(default_factory=dict, repr=False)
    values: Mapping[str, Sequence[str]] = field(default_factory=dict, repr=False)
    left_out: Mapping[str, str] = field(default_factory=dict, repr=False)
    notes: tuple[tuple[str, str], ...] = field(default=(), repr=False)

    def in_units(self, modality: str, values: Tensor) -> Tensor:
        """Return standardised values ``(batch, *shape)`` in the units of the data set."""
        if modality not in self.scales:
            return values
        mean, std = self.scales[modality]
        return values * std + mean

    def scoring(self, classes: Sequence[str]) -> "MultimodalData":
        """Return the same with every target of a class that is not among `classes` `UNSCORED`, in all parts.

        Raises:
            UserError: No class would be left.
        """
        counted = torch.tensor([name in classes for name in self.classes])
        if not counted.any():
            raise UserError(
                f"`classes` (={list(classes)}) must hold some of those of '{self.name}': {list(self.classes)}."
            )

        def part(samples: Samples) -> Samples:
            target = samples.target.long()
            counts = counted[target.clamp(min=0)] & (target != UNSCORED)
            return Samples(samples.inputs, torch.where(counts, target, UNSCORED), samples.labels)

        return replace(
            self,
            train=part(self.train),
            validation=None if self.validation is None else part(self.validation),
            test=part(self.test),
        )

    def select(self, names: Sequence[str]) -> "MultimodalData":
        """Return the same splits with some of the modalities only."""
        unknown = sorted(set(names) - set(self.modalities))
        if unknown:
            raise UserError(f"Unknown modality {unknown} of '{self.name}'; it has {list(self.modalities)}.")

        def part(samples: Samples) -> Samples:
            return Samples({name: samples.inputs[name] for name in names}, samples.target, samples.labels)

        return replace(
            self,
            modalities={name: self.modalities[name] for name in names},
            train=part(self.train),
            validation=None if self.validation is None else part(self.validation),
            test=part(self.test),
        )


def split_and_standardise(
    name: str,
    inputs: Mapping[str, Tensor | Column],
    target: Tensor,
    *,
    kinds: Mapping[str, Kind],
    classes: tuple[str, ...],
    split: Split,
    task: Task = "classification",
    standardise: bool = True,
    in_proportion: Collection[str] = (),
    labels: Mapping[str, Tensor] | None = None,
    names: Sequence[str] = (),
    values: Mapping[str, Sequence[str]] | None = None,
    left_out: Mapping[str, str] | None = None,
) -> MultimodalData:
    """Cut a data set into its parts and standardise all of them by the statistics of the training part.

    Images and sequences are standardised by channel, vectors by feature. Tensors are standardised here and now,
    other columns when they are read.

    Args:
        name: Name of the data set.
        inputs: Modality name to tensor ``(samples, *shape)`` of any numeric dtype, or to column.
        target: Class numbers, ``(samples,)`` or ``(samples, height, width)``.
        kinds: Modality name to kind.
        classes: Names of the classes.
        split: Positions of the samples of each part.
        task: Kind of target.
        standardise: Whether to standardise; False keeps the values as they are, in the units of the data set.
        in_proportion: Modalities whose channels are divided by one deviation, the root mean square of theirs, so that small
            movements stay small beside large ones.
        labels: Other facts about each sample, ``(samples,)`` each.
        names: Names of the samples.
        values: Label to the words for its numbers from 0.
        left_out: Samples that are not among them, by name, with the reason.
    """
    columns = {key: Whole(values) if isinstance(values, Tensor) else values for key, values in inputs.items()}
    scales = {
        key: statistics(column, split.train) if standardise else (torch.zeros(()), torch.ones(()))
        for key, column in columns.items()
    }

    for key in in_proportion:
        mean, std = scales[key]
        scales[key] = mean, std.square().mean().sqrt().expand_as(std)

    def part(positions: np.ndarray[tuple[int], np.dtype[np.int64]]) -> Samples:
        cut: dict[str, Column | Tensor] = {}
        for key, column in columns.items():
            scaled = Standardised(column, positions, *scales[key])
            in_memory = isinstance(inputs[key], Tensor)
            cut[key] = scaled.take(np.arange(len(positions)), None) if in_memory else scaled
        chosen = torch.as_tensor(positions)
        return Samples(cut, target[chosen], {key: values[chosen] for key, values in (labels or {}).items()})

    return MultimodalData(
        name=name,
        modalities={key: Modality(kinds[key], column.shape) for key, column in columns.items()},
        classes=classes,
        train=part(split.train),
        validation=part(split.validation) if len(split.validation) else None,
        test=part(split.test),
        task=task,
        split=split,
        names=tuple(names),
        scales=scales,
        values=dict(values or {}),
        left_out=dict(left_out or {}),
    )
