"""What of each modality is heard in the output of a network, with some of its channels closed."""

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor

from maskfusion.mask.example import Example, tensors_in
from maskfusion.mask.mask import ComplementaryMask
from maskfusion.mask.sources import Sources

ROUNDING = 1e-6
"""A change of an entry of the output below this share of its largest number is none."""

DEAF = 1e-5
"""A change below this share of that with every channel open is none."""

Masks = Mapping[str, ComplementaryMask]
Key = tuple[int | str, ...]
"""The way to one tensor in the output."""


@dataclass(frozen=True)
class Heard:
    """The output, and how much each of its tensors changes with the inputs of each modality, relative to its size."""

    output: dict[Key, Tensor]
    changes: dict[str, dict[Key, float]]

    def joint(self, modality: str) -> dict[Key, float]:
        """What changes with a modality and with another one too; where there is nothing, all that changes with it."""
        own = {key: amount for key, amount in self.changes[modality].items() if amount > ROUNDING}
        others = [changes for other, changes in self.changes.items() if other != modality]
        shared = {key: own[key] for key in own if any(each[key] > ROUNDING for each in others)}
        return shared or own

    def lost(self, modality: str, left: "Heard") -> bool:
        """Whether nothing of what changes with a modality here does so in ``left``."""
        joint = self.joint(modality)
        after = left.changes[modality]
        return bool(joint) and all(after.get(key, 1.0) <= DEAF * amount for key, amount in joint.items())

    def broken(self, left: "Heard") -> bool:
        """Whether a number that is finite here is none in ``left``."""
        return any(
            bool((tensor.isfinite() & ~left.output[key].isfinite()).any())
            for key, tensor in self.output.items()
            if key in left.output and left.output[key].shape == tensor.shape
        )


def listen(
    example: Example, sources: Sources, masks: Masks, closed: Collection[tuple[str, str]] = ()
) -> Heard:
    """Exchange the samples of each modality in turn, with modalities closed in some masks, given as path and modality."""
    with closing(masks, closed):
        output = tensors_in(example.run())
        after = {modality: tensors_in(example.exchanged(inputs)) for modality, inputs in sources.items()}
    changes = {
        modality: {key: _change(tensor, changed.get(key)) for key, tensor in output.items()}
        for modality, changed in after.items()
    }
    return Heard(output, changes)


@contextmanager
def closing(masks: Masks, closed: Collection[tuple[str, str]]) -> Iterator[None]:
    """Close these modalities and open all others, whatever the gates and Omegas."""
    before = {path: (mask.gate, mask.min_channels) for path, mask in masks.items()}
    try:
        for path, mask in masks.items():
            parts = [torch.full((n,), float((path, name) not in closed)) for name, n in mask.channels.items()]
            mask.gate, mask.min_channels = _Fixed(torch.cat(parts)), 0
        yield
    finally:
        for path, mask in masks.items():
            mask.gate, mask.min_channels = before[path]


class _Fixed:
    """A gate of these values."""

    def __init__(self, values: Tensor) -> None:
        self.values = values

    def __call__(self, weight: Tensor, threshold: float, training: bool) -> Tensor:
        del threshold, training
        return self.values.to(weight)


def _change(before: Tensor, after: Tensor | None) -> float:
    if after is None or before.shape != after.shape:
        return 1.0
    if not before.numel():
        return 0.0
    if not before.is_floating_point():
        return float((before != after).any())
    size = before.abs().nan_to_num(0.0, 0.0).max().clamp(min=torch.finfo(torch.float32).tiny)
    return float(((before - after).abs().nan_to_num(0.0).max() / size).nan_to_num(0.0))
