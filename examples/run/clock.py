"""How long networks take for one call."""

from collections.abc import Mapping, Sequence
from statistics import median
from time import perf_counter

import torch
from torch import Tensor, nn


def milliseconds(networks: Sequence[nn.Module], inputs: Mapping[str, Tensor], *, calls: int) -> list[float]:
    """Return the median of some calls of each network in evaluation, one after the other so that noise meets all alike.

    Args:
        networks: Networks that take ``inputs`` as one mapping.
        inputs: Modality name to ``(batch, *shape)``.
        calls: Calls of each that count; one more comes before.
    """
    taken: list[list[float]] = [[] for _ in networks]
    with torch.inference_mode():
        for _ in range(calls + 1):
            for network, times in zip(networks, taken, strict=True):
                start = perf_counter()
                network(inputs)
                times.append(1e3 * (perf_counter() - start))
    return [median(times[1:]) for times in taken]
