"""Make the networks of trained runs smaller, and measure what is left."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

import maskfusion as mf
from examples.run.clock import milliseconds
from examples.run.trained import Trained
from examples.trade.records import Size


@dataclass(frozen=True)
class _Small:
    call: Callable[[], object]
    unread: tuple[str, ...]
    parameters: int
    multiply_adds: int


def measure(runs: Iterable[Trained], *, batch: int, calls: int) -> list[Size]:
    """Return the size of each run's network without its closed channels, and its time on one thread.

    Networks of one shape, with as many open channels of each modality, are made and timed once.

    Args:
        runs: Trained runs of one comparison, one at a time.
        batch: Samples in a call.
        calls: Calls of each network that the median is taken over.

    Raises:
        UserError: A network has no part that could be cut, or the test part is smaller than the batch; says what.
    """
    made: dict[str, _Small] = {}
    found = []
    for trained in runs:
        channels = open_channels(trained)
        key = repr((trained.recipe.network, channels))
        if key not in made:
            made[key] = _shrunk(trained, batch)
        found.append((trained.row, trained.seed, channels, key))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        times = milliseconds([small.call for small in made.values()], calls=calls)
    finally:
        torch.set_num_threads(threads)
    taken = dict(zip(made, times, strict=True))
    return [
        Size(
            row=row,
            seed=seed,
            channels=channels,
            unread=list(made[key].unread),
            parameters=made[key].parameters,
            multiply_adds=made[key].multiply_adds,
            milliseconds=float(f"{taken[key]:.4g}"),
        )
        for row, seed, channels, key in found
    ]


def open_channels(trained: Trained) -> dict[str, int]:
    """Return how many channels of each modality are open; all of them without a mask."""
    model = trained.model
    if model.mask is None:
        return dict(model.channels)
    parts = torch.split(model.mask.kept, list(model.channels.values()))
    return {name: int(kept.sum()) for name, kept in zip(model.channels, parts, strict=True)}


def _shrunk(trained: Trained, batch: int) -> _Small:
    model, inputs = trained.model, trained.first_of_test(batch)
    if model.mask is None:  # so that what else becomes faster without training does so for all
        model.fusion = mf.ComplementaryMask(model.channels, fusion=model.fusion)
    small = mf.compact(model, inputs, entry="prediction")
    total = small.report.total
    needed: Mapping[str, Tensor] = {
        name: values for name, values in inputs.items() if name not in small.unread
    }
    return _Small(
        partial(small, needed), small.unread, total.parameters[1], round(total.multiply_adds[1] / batch)
    )
