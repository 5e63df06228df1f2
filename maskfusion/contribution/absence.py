"""What replaces a modality that is taken away."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

Absence = Callable[[str, Tensor, range], Tensor | None]
"""``(name of the input, its values, positions of these samples in the set) -> values in their place``, in the same shape; None for none."""

Batches = Iterable[Any]
"""Pairs ``(inputs, target)``; the inputs are a mapping of name to tensor, or a sequence of tensors, named "0", "1", ..."""


def zeroed(name: str, values: Tensor, rows: range) -> Tensor:
    """Replace what is absent by zeros.

    Zero is the mean only if the inputs are standardised; otherwise prefer ``mean_replaced``.

    Examples:
        >>> zeroed("image", torch.ones(2, 3), range(2))
        tensor([[0., 0., 0.],
                [0., 0., 0.]])
    """
    del name, rows
    return torch.zeros_like(values)


def left_out(name: str, values: Tensor, rows: range) -> None:
    """Omit what is absent, for networks that allow it: no key, no argument, or None by position.

    The network has to allow it for all inputs at once too, since the score with none is part of the measure.

    Examples:
        >>> left_out("image", torch.ones(2, 3), range(2))
    """
    del name, values, rows


def mean_replaced(batches: Batches) -> Absence:
    """Return a function that replaces each sample by the mean over a data set.

    Reads the batches once and holds a sum in float64 for each input. The training set is the usual choice.

    Args:
        batches: Batches as for ``measure_contributions``.

    Raises:
        TypeError: If a batch is no pair, or, on use, if the input has no floating-point values.
        ValueError: If samples differ in shape or there are none.

    Examples:
        >>> absent = mean_replaced([({"image": torch.tensor([[0.0], [4.0]])}, torch.zeros(2))])
        >>> absent("image", torch.ones(3, 1), range(3)).flatten()
        tensor([2., 2., 2.])
    """
    sums: dict[str, Tensor] = {}
    counts: dict[str, int] = {}
    for name, values in _tensors(batches):
        counts[name] = counts.get(name, 0) + len(values)
        if values.is_floating_point():
            total = values.detach().cpu().sum(0, dtype=torch.float64)
            _expect_shape(name, total, sums.get(name, total))
            sums[name] = sums[name] + total if name in sums else total
    _expect_samples(counts)
    means = {name: total / counts[name] for name, total in sums.items()}

    def replace(name: str, values: Tensor, rows: range) -> Tensor:
        del rows
        if not values.is_floating_point():
            raise TypeError(f"`{name}` of dtype {values.dtype} must be floating point to have a mean.")
        mean = _known(name, means).to(values)
        return mean.expand(len(values), *mean.shape)

    replace.__name__ = mean_replaced.__name__
    return replace


def permuted(batches: Batches, generator: torch.Generator | None = None) -> Absence:
    """Return a function that replaces each sample by another one of a data set.

    The samples are shuffled once, in the same order for all inputs: all absent inputs of a sample come from one
    other sample, in every coalition. The values stay real; only their combination is new.
    Reads the batches once and keeps all their inputs in memory, on their device. Pass the samples that are measured, or the
    training set; if there are fewer than are measured, they are reused.

    Args:
        batches: Batches as for ``measure_contributions``.
        generator: Source of the random order; PyTorch's own if None.

    Raises:
        TypeError: If a batch is no pair.
        ValueError: If samples differ in shape or there are none.

    Examples:
        >>> absent = permuted([({"image": torch.arange(4)}, torch.zeros(4))], torch.Generator().manual_seed(1))
        >>> sorted(absent("image", torch.arange(4), range(4)).tolist())
        [0, 1, 2, 3]
    """
    parts: dict[str, list[Tensor]] = {}
    for name, values in _tensors(batches):
        same = parts.setdefault(name, [])
        same.append(values.detach())
        _expect_shape(name, values[:0], same[0][:0])
    pool = {name: torch.cat(same) for name, same in parts.items()}
    counts = {name: len(samples) for name, samples in pool.items()}
    _expect_samples(counts)
    count = max(counts.values())
    if set(counts.values()) != {count}:
        raise ValueError(f"`batches` gives inputs with {counts} samples; they must have the same number.")
    device = None if generator is None else generator.device
    order = torch.randperm(count, generator=generator, device=device).cpu()

    def replace(name: str, values: Tensor, rows: range) -> Tensor:
        samples = _known(name, pool)
        donors = order[torch.arange(rows.start, rows.stop) % count]
        return samples[donors.to(samples.device)].to(values)

    replace.__name__ = permuted.__name__
    return replace


def named(inputs: object) -> dict[str, Any]:
    """The inputs of a batch by name; a sequence is named by position."""
    if isinstance(inputs, Mapping):
        return dict(inputs)
    if isinstance(inputs, tuple | list):
        return {str(position): values for position, values in enumerate(inputs)}
    raise TypeError(
        f"`batches` gives inputs of type {type(inputs).__name__}; they must be a mapping of name to tensor, or a sequence of tensors."
    )


def pairs(batches: Batches) -> Iterator[tuple[Any, Any]]:
    """Inputs and target of each batch."""
    for batch in batches:
        if not isinstance(batch, tuple | list) or len(batch) != 2:
            size = f" of {len(batch)}" if isinstance(batch, tuple | list) else ""
            raise TypeError(
                f"`batches` gives a {type(batch).__name__}{size}; it must give pairs (inputs, target)."
            )
        inputs, target = batch
        yield inputs, target


def _tensors(batches: Batches) -> Iterator[tuple[str, Tensor]]:
    """Every input tensor that has samples, with its name."""
    for inputs, _ in pairs(batches):
        yield from (item for item in named(inputs).items() if isinstance(item[1], Tensor) and item[1].ndim)


def _expect_shape(name: str, found: Tensor, wanted: Tensor) -> None:
    if found.shape != wanted.shape:
        raise ValueError(
            f"`batches` gives samples of {name!r} in different shapes; they must have one shape."
        )


def _expect_samples(counts: Mapping[str, int]) -> None:
    if not any(counts.values()):
        raise ValueError("`batches` is empty; it must hold at least one sample.")


def _known(name: str, tensors: Mapping[str, Tensor]) -> Tensor:
    if name not in tensors:
        raise ValueError(f"`absent` was made of {list(tensors)}; it cannot replace {name!r}.")
    return tensors[name]
