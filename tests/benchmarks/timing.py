"""Medians of interleaved runs in one process."""

import random
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch

Step = Callable[[], object]


@dataclass(frozen=True)
class Timing:
    """Milliseconds of one step: processor time of one thread; with several, or on an accelerator, time until it is done."""

    median: float
    low: float
    high: float


def interleaved(
    steps: Mapping[str, Step], *, rounds: int, device: str = "cpu", threads: int = 1, warm_up: int = 2
) -> dict[str, Timing]:
    """Run every step once a round, so that a noisy moment hits all of them alike, in an order drawn anew each time.

    In one order a step would always find the cache and the memory that the same other step has left.
    """
    torch.set_num_threads(threads)
    torch.compiler.reset()  # shapes of another group would make this one's compiled code a general one
    clock = _clock(device, threads)
    for _ in range(warm_up):
        for step in steps.values():
            step()
    taken: dict[str, list[float]] = {name: [] for name in steps}
    order, shuffle = list(steps), random.Random(0).shuffle
    for _ in range(rounds):
        shuffle(order)
        for name in order:
            start = clock()
            steps[name]()
            taken[name].append(1e3 * (clock() - start))
    return {name: Timing(statistics.median(times), min(times), max(times)) for name, times in taken.items()}


def _clock(device: str, threads: int) -> Callable[[], float]:
    """Seconds, to be taken before and after a step."""
    if device == "cpu":
        return time.process_time if threads == 1 else time.perf_counter

    def after_all_work() -> float:
        torch.accelerator.synchronize()
        return time.perf_counter()

    return after_all_work
