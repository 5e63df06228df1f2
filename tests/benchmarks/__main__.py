"""Run the benchmarks, print the tables, write the numbers and a plot for the docs; exit with 1 where a target is missed."""

import argparse
import json
import os
import platform
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from datetime import date
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from tests.benchmarks import compacted, hooks, report, small
from tests.benchmarks.contenders import (
    CODEBOOKS,
    MASKS,
    MASKS_ON_GPU,
    ON_GPU,
    RIVALS,
    SHAPES,
    changed_by_bf16,
)
from tests.benchmarks.measure import build, busy, ceiling, peak_memory, small_steps
from tests.benchmarks.targets import Entry, floor, targets
from tests.benchmarks.timing import interleaved
from tests.benchmarks.training import PARTS, PUBLISHED, STEPS, operations

GROUPS = {
    **{name: {rival: f"{name}: {rival}" for rival in RIVALS} for name in SHAPES},
    "codebooks": {f"{codes} codes": f"{codes} codes" for codes in CODEBOOKS},
    "mask": {name: f"mask: {name}" for name in MASKS},
    **{group: {} for group in small.GROUPS},
    "training-step": {name: f"training-step: {name}" for name in STEPS},
    "parts": {name: f"parts: {name}" for name in PARTS},
}
GPU_RIVALS = {**dict.fromkeys(SHAPES, ON_GPU), "mask": MASKS_ON_GPU}
APART = ("training-step", "parts")  # minutes by themselves, so only when they are asked for
AT_ONCE = 8
PROFILED = ("ours, channels last", "one-hot, unfused mask, channels last")


def main() -> None:
    """Run everything."""
    options = _options()
    console = Console()
    most = ceiling(options.device, options.threads)
    groups: dict[str, dict[str, Entry]] = {}
    entries: dict[str, Entry]
    met, floors, profiles = [], {}, {}
    for group in options.groups:
        if group in small.GROUPS:
            base, entries = small.BASES[group], small_steps(group, options.rounds, options.threads)
        else:
            base = "multiply by a constant" if group == "mask" else next(iter(GROUPS[group]))
            entries = _measure(group, base, options.rounds, options.device, options.threads)
        groups[group] = entries
        console.print(report.timings(group, entries, base))
        if group in SHAPES:
            floors[group] = floor(group, entries["ours"], most)
        if group == "training-step" and options.device == "cpu":
            profiles = {name: operations(STEPS[name](PUBLISHED)) for name in PROFILED}
            console.print(report.operations(profiles))
        met += targets(group, entries, changed_by_bf16(group, options.device) if group in SHAPES else None)
    if options.device == "cpu":
        met += [hooks.target(), *compacted.targets(options.rounds, options.threads)]
    for table in (report.floors(floors), report.goals(met)):
        if table.row_count:
            console.print(table)
    results: dict[str, Any] = {
        "machine": _machine(options.device, options.threads),
        "ceiling": asdict(most),
        "rounds": options.rounds,
        "groups": groups,
        "profiles": profiles,
        "floors": {group: asdict(counted) for group, counted in floors.items()},
        "targets": [asdict(target) for target in met],
    }
    options.output.mkdir(parents=True, exist_ok=True)
    (options.output / options.name).with_suffix(".json").write_text(json.dumps(results, indent=1) + "\n")
    if "codebooks" in groups:
        report.plot_codebooks(groups["codebooks"], options.output / f"codebooks-{options.device}.svg")
    console.print(f"Written to {options.output}.")
    missed = [f"{target.group}: {target.claim}" for target in met if not target.met]
    if missed:
        sys.exit(f"{len(missed)} of {len(met)} targets missed: {'; '.join(missed)}.")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument(
        "--output", type=Path, default=Path("docs/benchmarks"), help="folder of the numbers and the plot"
    )
    parser.add_argument("--rounds", type=int, default=15, help="interleaved runs of each case")
    usual = [group for group in GROUPS if group not in APART]
    parser.add_argument("--groups", nargs="+", choices=GROUPS, default=usual, help="only these")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--threads", type=int, default=1, help="of the processor")
    parser.add_argument("--name", help="of the file; another one keeps the numbers that are there")
    options = parser.parse_args()
    options.name = options.name or (
        "benchmarks" if options.device == "cpu" else f"benchmarks-{options.device}"
    )
    return options


def _measure(group: str, base: str, rounds: int, device: str, threads: int) -> dict[str, Entry]:
    """Time and memory of every case; memory comes first, while this process holds nothing."""
    cases = dict(GROUPS[group])
    if device != "cpu":
        cases |= {rival: f"{group}: {rival}" for rival in GPU_RIVALS.get(group, ())}
    with ThreadPoolExecutor(
        1 if device == "cpu" else AT_ONCE
    ) as pool:  # a GPU counts the memory of each process by itself
        peaks = dict(zip(cases, pool.map(peak_memory, cases.values(), [device] * len(cases)), strict=True))
    steps = build(cases, device)
    timings = interleaved(steps, rounds=rounds, device=device, threads=threads)
    return {
        name: {
            **asdict(timing),
            "peak": peaks[name],
            "ratio": timing.median / timings[base].median,
            **(busy(steps[name], rounds) if device != "cpu" else {}),
        }
        for name, timing in timings.items()
    }


def _machine(device: str, threads: int) -> dict[str, str]:
    names = ("maskfusion", "torch", "vector-quantize-pytorch")
    return {
        "processor": _processor() if device == "cpu" else torch.cuda.get_device_name(),
        "device": device,
        "cores": str(os.cpu_count()),
        "threads": str(threads),
        "date": date.today().isoformat(),
        "python": platform.python_version(),
        **{name: version(name) for name in names if find_spec(name.replace("-", "_"))},
    }


def _processor() -> str:
    information = Path("/proc/cpuinfo")
    if information.exists():
        for line in information.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor()


if __name__ == "__main__":
    main()
