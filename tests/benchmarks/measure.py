"""Medians of interleaved runs in one process; peaks of memory in processes of their own."""

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from tests.benchmarks.contenders import CASES, Step


@dataclass(frozen=True)
class Timing:
    """Milliseconds of processor time of one step, on one thread."""

    median: float
    low: float
    high: float


def interleaved(steps: Mapping[str, Step], *, rounds: int, warm_up: int = 2) -> dict[str, Timing]:
    """Run every step once a round, so that a noisy moment hits all of them alike."""
    torch.set_num_threads(1)
    for _ in range(warm_up):
        for step in steps.values():
            step()
    taken: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(rounds):
        for name, step in steps.items():
            start = time.process_time()
            step()
            taken[name].append(1e3 * (time.process_time() - start))
    return {name: Timing(statistics.median(times), min(times), max(times)) for name, times in taken.items()}


def peak_memory(case: str) -> float:
    """MiB that three steps of a case need on top of its inputs, in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks.measure", case], capture_output=True, text=True, check=True
    )
    return float(json.loads(done.stdout.splitlines()[-1]))


def _peak_here(case: str) -> float:
    torch.set_num_threads(1)
    step = CASES[case]()
    before = _high_water()
    for _ in range(3):
        step()
    return _high_water() - before


def _high_water() -> float:
    """MiB that this program has held at most; the kernel's count, which on Linux starts with the program."""
    status = Path("/proc/self/status").read_text()
    return next(float(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")) / 1024


if __name__ == "__main__":
    print(json.dumps(_peak_here(sys.argv[1])))
