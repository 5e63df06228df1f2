"""The data contract: a batch is a mapping of modality name to tensor, and a target."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias

import torch
from torch import Tensor
from torch.utils.data import BatchSampler, DataLoader, Dataset, RandomSampler, SequentialSampler

Kind: TypeAlias = Literal["image", "sequence", "vector"]

_RANK: dict[Kind, int] = {"image": 3, "sequence": 2, "vector": 1}


@dataclass(frozen=True)
class Modality:
    """What one modality looks like.

    Args:
        kind: Decides which encoder and decoder it gets.
        shape: Of one sample: ``(channels, height, width)`` for an image, ``(channels, length)`` for a
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
        inputs: Modality name to tensor, ``(batch, *shape)``.
        target: Class numbers, ``(batch,)``.
    """

    inputs: dict[str, Tensor]
    target: Tensor


class Samples(Dataset[Batch]):
    """Samples held in memory, indexed by a whole batch at a time.

    Args:
        inputs: Modality name to tensor, ``(samples, *shape)``.
        target: Class numbers, ``(samples,)``.
    """

    def __init__(self, inputs: Mapping[str, Tensor], target: Tensor) -> None:
        lengths = {name: len(values) for name, values in inputs.items()}
        if set(lengths.values()) != {len(target)}:
            raise ValueError(f"`inputs` (samples by modality: {lengths}) must match {len(target)} targets.")
        self.inputs = dict(inputs)
        self.target = target

    def __len__(self) -> int:
        """Return the number of samples."""
        return len(self.target)

    def __getitem__(self, index: Sequence[int]) -> Batch:
        """Return the samples of `index` as one batch."""
        chosen = torch.as_tensor(index)
        return Batch({name: values[chosen] for name, values in self.inputs.items()}, self.target[chosen])

    def loader(self, batch_size: int, *, generator: torch.Generator | None = None) -> DataLoader[Batch]:
        """Return batches in order, or shuffled when a `generator` is given.

        A shuffled loader leaves out the last, smaller batch: each epoch leaves out other samples, and
        batch norm never sees a batch of one.
        """
        size = min(batch_size, len(self))
        order = SequentialSampler(self) if generator is None else RandomSampler(self, generator=generator)
        batches = BatchSampler(order, size, drop_last=generator is not None)
        return DataLoader(self, sampler=batches, batch_size=None)


@dataclass(frozen=True)
class MultimodalData:
    """One data set, split and standardised.

    Args:
        name: As on the command line.
        modalities: In the order in which their features are concatenated.
        classes: Names of the classes; a target is a position in this tuple.
        train: What the network learns from.
        test: Scored once, by the final weights.
    """

    name: str
    modalities: Mapping[str, Modality]
    classes: tuple[str, ...]
    train: Samples
    test: Samples

    def select(self, names: Sequence[str]) -> "MultimodalData":
        """Return the same splits with some of the modalities only."""
        unknown = sorted(set(names) - set(self.modalities))
        if unknown:
            raise ValueError(f"Unknown modality {unknown} of '{self.name}'; it has {list(self.modalities)}.")
        train = Samples({name: self.train.inputs[name] for name in names}, self.train.target)
        test = Samples({name: self.test.inputs[name] for name in names}, self.test.target)
        modalities = {name: self.modalities[name] for name in names}
        return MultimodalData(self.name, modalities, self.classes, train, test)


def split_and_standardise(
    name: str,
    inputs: Mapping[str, Tensor],
    target: Tensor,
    *,
    kinds: Mapping[str, Kind],
    classes: tuple[str, ...],
    train: Tensor,
    test: Tensor,
) -> MultimodalData:
    """Cut a data set in two and standardise both parts by the statistics of the training part.

    Images and sequences are standardised by channel, vectors by feature.

    Args:
        name: Of the data set.
        inputs: Modality name to tensor, ``(samples, *shape)``, any numeric dtype.
        target: Class numbers, ``(samples,)``.
        kinds: Modality name to kind.
        classes: Names of the classes.
        train: Positions of the training samples.
        test: Positions of the test samples.
    """
    parts: tuple[dict[str, Tensor], dict[str, Tensor]] = ({}, {})
    for key, raw in inputs.items():
        values = raw.float()
        axes = [0, *range(2, values.ndim)]
        std, mean = torch.std_mean(values[train], dim=axes, keepdim=True)
        scaled = (values - mean) / torch.where(std > 1e-6, std, 1.0)
        parts[0][key], parts[1][key] = scaled[train], scaled[test]
    modalities = {key: Modality(kinds[key], tuple(values.shape[1:])) for key, values in inputs.items()}
    target = target.long()
    return MultimodalData(
        name, modalities, classes, Samples(parts[0], target[train]), Samples(parts[1], target[test])
    )
