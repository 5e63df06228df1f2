"""How long calls of networks take."""

import random
from collections.abc import Callable, Sequence
from statistics import median
from time import perf_counter, process_time

import torch


def milliseconds(steps: Sequence[Callable[[], object]], *, calls: int) -> list[float]:
    """Return the median time of each step, in inference mode; processor time on one thread, else time until it is done.

    Each is called once a round, so that a noisy moment meets all alike, in an order drawn anew each time.

    Args:
        steps: Calls of networks in evaluation mode.
        calls: Calls of each that count; one more comes before.
    """
    clock = process_time if torch.get_num_threads() == 1 else perf_counter
    taken: list[list[float]] = [[] for _ in steps]
    order, shuffle = list(range(len(steps))), random.Random(0).shuffle
    with torch.inference_mode():
        for _ in range(calls + 1):
            shuffle(order)
            for place in order:
                start = clock()
                steps[place]()
                taken[place].append(1e3 * (clock() - start))
    return [median(times[1:]) for times in taken]
