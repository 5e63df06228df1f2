"""What is measured; peaks of memory in processes of their own; how long a GPU is busy."""

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch
from torch.profiler import ProfilerActivity, profile

from tests.benchmarks import contenders, small, training
from tests.benchmarks.contenders import Step
from tests.benchmarks.timing import interleaved


class Case(Protocol):
    """What is measured."""

    def step(self) -> Step:
        """Make the step."""

    def small_step(self) -> Step:
        """Make one that loads the same code and takes next to no memory."""


SMALL_ROUNDS = 40

CASES: Mapping[str, Case] = {**contenders.CASES, **training.CASES}


@dataclass(frozen=True)
class Ceiling:
    """What the machine does at most, found out on the spot."""

    operations: float
    """Of float32 a second, in a matrix product; on a GPU as they are or as three products of TensorFloat-32, if that is faster."""
    bytes: float
    """A second, read and written, in a copy of 256 MiB."""


def build(cases: Mapping[str, str], device: str) -> dict[str, Step]:
    """Make the step of each case on the device."""
    with torch.device(device):
        return {name: CASES[case].step() for name, case in cases.items()}


def ceiling(device: str, threads: int = 1) -> Ceiling:
    """Measure what the machine does at most; the best of nine tries."""
    side = 2048 if device == "cpu" else 8192
    with torch.device(device):
        square, target = torch.randn(side, side), torch.empty(side, side)
        long, copy = torch.zeros(1 << 26), torch.zeros(1 << 26)

    def product() -> None:
        torch.mm(square, square, out=target)

    def in_tf32() -> None:
        torch.backends.cuda.matmul.allow_tf32 = True
        product()
        torch.backends.cuda.matmul.allow_tf32 = False

    steps: dict[str, Step] = {"product": product, "copy": lambda: copy.copy_(long)}
    if device != "cpu":
        steps["in tf32"] = in_tf32
    quickest = interleaved(steps, rounds=9, device=device, threads=threads)
    seconds = quickest["product"].low, *([3 * quickest["in tf32"].low] if device != "cpu" else [])
    return Ceiling(
        operations=2 * side**3 / (1e-3 * min(seconds)),
        bytes=2 * long.nbytes / (1e-3 * quickest["copy"].low),
    )


def small_steps(group: str, rounds: int, threads: int) -> dict[str, Mapping[str, float]]:
    """Time a group of small steps in a process of its own, with many more rounds; their ratio is that of the quickest runs.

    What else a process has imported, and what else a machine does, is more than a part of such a step.
    """
    command = [
        sys.executable,
        "-m",
        "tests.benchmarks.small",
        group,
        str(SMALL_ROUNDS * rounds),
        str(threads),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    timings: dict[str, dict[str, float]] = json.loads(done.stdout.splitlines()[-1])
    base = timings[small.BASES[group]]["low"]
    return {name: {**timing, "ratio": timing["low"] / base, "peak": 0.0} for name, timing in timings.items()}


def busy(step: Step, rounds: int) -> dict[str, float]:
    """Milliseconds of one step in which a GPU works, and the kernels that it runs; without the time between them."""
    step()
    torch.accelerator.synchronize()
    with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA], acc_events=True) as seen:
        for _ in range(rounds):
            step()
        torch.accelerator.synchronize()
    kernels = [event for event in seen.key_averages() if event.device_type.name == "CUDA"]
    return {
        "device": sum(event.self_device_time_total for event in kernels) / (1e3 * rounds),
        "kernels": sum(event.count for event in kernels) / rounds,
    }


def peak_memory(case: str, device: str = "cpu") -> float:
    """MiB that three steps of a case need on top of its inputs, in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks.measure", case, device],
        capture_output=True,
        text=True,
        check=True,
    )
    return float(json.loads(done.stdout.splitlines()[-1]))


def _peak_here(case: str, device: str) -> float:
    torch.set_num_threads(1)
    with torch.device(device):
        CASES[case].small_step()()  # loads the code that runs, which is not memory of a step
        torch.compiler.reset()
        step = CASES[case].step()
    before = _held_now(device)
    for _ in range(3):
        step()
    return _held_at_most(device) - before


def _held_now(device: str) -> float:
    """MiB held; what counts as most starts from here."""
    if device != "cpu":
        torch.cuda.reset_peak_memory_stats()
        return torch.cuda.memory_allocated() / 2**20
    Path("/proc/self/clear_refs").write_text("5")  # Linux: forget the high-water mark
    return _status("VmRSS")


def _held_at_most(device: str) -> float:
    return _status("VmHWM") if device == "cpu" else torch.cuda.max_memory_allocated() / 2**20


def _status(field: str) -> float:
    """MiB of one line of what Linux says of this process."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith(field)) / 1024


if __name__ == "__main__":
    print(json.dumps(_peak_here(*sys.argv[1:])))
