"""The features that a probe reads: those of each modality before the mask, pooled over their grid."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from examples.data.contract import MultimodalData, Samples
from examples.data.splits import PARTS
from examples.errors import UserError
from examples.nets.model import FusionModel
from examples.probes.groups import groups_of

Numbers = NDArray[np.int64]
Values = NDArray[np.float64]

ALL = "all"
"""All parts of a data set; all modalities."""
TARGET = "target"
"""The task's own label, beside the side labels."""
_AT_ONCE = 128  # samples: without gradients they take little memory


@dataclass(frozen=True)
class Read:
    """What is known of the samples of one part.

    Args:
        features: Modality name to ``(samples, channels)``, mean over the grid; before the mask.
        labels: Name to numbers, ``(samples,)``; `TARGET` is one of them; below 0 is not known.
        groups: Groups that folds keep together, ``(samples,)``.
    """

    features: dict[str, Values]
    labels: dict[str, Numbers]
    groups: Numbers


def parts_of(data: MultimodalData, part: str) -> list[tuple[Samples, Numbers]]:
    """Return the samples of a part and their positions in the whole data set.

    Args:
        data: All parts.
        part: A name in `PARTS`, or `ALL`.

    Raises:
        UserError: There is no such part.
    """
    if part not in (*PARTS, ALL):
        raise UserError(f"`part` (='{part}') must be one of {[*PARTS, ALL]}.")
    names = PARTS if part == ALL else (part,)
    found = [(getattr(data, name), getattr(data.split, name)) for name in names]
    there = [(samples, positions) for samples, positions in found if samples is not None]
    if not there:
        raise UserError(f"`part` (='{part}') is empty: '{data.name}' is split without one.")
    return there


def labels_of(data: MultimodalData, part: str) -> dict[str, Numbers]:
    """Return the side labels of a part and its targets.

    Raises:
        UserError: There is no such part, or a target is not one class per sample.
    """
    if data.task != "classification":
        raise UserError(f"`data` (='{data.name}') must have one class per sample; its task is {data.task}.")
    parts = [samples for samples, _ in parts_of(data, part)]
    labels = {name: np.concatenate([each.labels[name].numpy() for each in parts]) for name in parts[0].labels}
    target = np.concatenate([each.target.numpy() for each in parts])
    return {name: values.astype(np.int64) for name, values in {**labels, TARGET: target}.items()}


def read(model: FusionModel, data: MultimodalData, part: str) -> Read:
    """Run a part of the data through a network, which is in evaluation mode, and pool what comes out.

    Each modality is pooled over its own grid, which is the mean over the fused grid as well, because the fusion only
    repeats values.

    Args:
        model: A trained network.
        data: The modalities that it sees.
        part: A name in `PARTS`, or `ALL`.
    """
    labels, parts = labels_of(data, part), parts_of(data, part)
    together = [groups_of(data, samples, positions) for samples, positions in parts]
    starts = np.cumsum([0, *(groups.max() + 1 for groups in together)])[:-1]  # parts share nothing
    pooled = [_pooled(model, samples) for samples, _ in parts]
    features = {name: np.concatenate([each[name] for each in pooled]) for name in model.channels}
    groups = np.concatenate([groups + start for groups, start in zip(together, starts, strict=True)])
    return Read(features, labels, groups)


@torch.no_grad()
def _pooled(model: FusionModel, samples: Samples) -> dict[str, Values]:
    pooled: dict[str, list[Values]] = {name: [] for name in model.channels}
    for batch in samples.loader(_AT_ONCE):
        for name, maps in model(batch.inputs).features.items():
            pooled[name].append(maps.double().mean(dim=(2, 3)).numpy())
    return {name: np.concatenate(values) for name, values in pooled.items()}


def halves(model: FusionModel, modality: str) -> Mapping[str, NDArray[np.bool_]]:
    """Return which channels of a modality, or of `ALL`, are complementary, and which contradictory.

    A network without a mask has every channel open.

    Args:
        model: A network.
        modality: Name, or `ALL`.
    """
    total = sum(model.channels.values())
    mask = model.mask
    kept = np.ones(total, dtype=np.bool_) if mask is None else mask.kept.numpy()
    ends = dict(zip(model.channels, np.cumsum(list(model.channels.values())), strict=True))
    if modality != ALL:
        kept = kept[ends[modality] - model.channels[modality] : ends[modality]]
    return {"complementary": kept, "contradictory": ~kept}
