"""Run the benchmarks, print the tables, write the numbers and a plot for the docs."""

import argparse
import json
import os
import platform
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")
import torch
from matplotlib import pyplot as plt
from rich.console import Console
from rich.table import Table

from tests.benchmarks.contenders import CASES, SHAPES
from tests.benchmarks.measure import Timing, interleaved, peak_memory

RIVALS = (
    "ours",
    "vector-quantize-pytorch",
    "one-hot",
    "bare search",
    "ours, bf16 autocast",
    "ours, compiled",
)
CODEBOOKS = (512, 2048, 8192, 65536)
MASKS = tuple(case for case in CASES if case.startswith("mask: "))


def main() -> None:
    """Run everything."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument(
        "--output", type=Path, default=Path("docs/benchmarks"), help="folder of the numbers and the plot"
    )
    parser.add_argument("--rounds", type=int, default=15, help="interleaved runs of each case")
    parser.add_argument(
        "--cases", nargs="+", default=[*SHAPES, "codebooks", "mask"], help="only these groups"
    )
    options = parser.parse_args()
    groups = {name: {rival: f"{name}: {rival}" for rival in RIVALS} for name in SHAPES}
    groups["codebooks"] = {f"{codes} codes": f"{codes} codes" for codes in CODEBOOKS}
    groups["mask"] = {case.removeprefix("mask: "): case for case in MASKS}
    console = Console()
    results: dict[str, Any] = {"machine": _machine(), "rounds": options.rounds, "groups": {}}
    for group in options.cases:
        timings = interleaved(
            {name: CASES[case]() for name, case in groups[group].items()}, rounds=options.rounds
        )
        peaks = {name: peak_memory(case) for name, case in groups[group].items()}
        base = "multiply by a constant" if group == "mask" else next(iter(timings))
        console.print(_table(group, timings, peaks, base))
        results["groups"][group] = {
            name: {**asdict(timing), "peak": peaks[name], "ratio": timing.median / timings[base].median}
            for name, timing in timings.items()
        }
    options.output.mkdir(parents=True, exist_ok=True)
    (options.output / "benchmarks.json").write_text(json.dumps(results, indent=1) + "\n")
    if "codebooks" in results["groups"]:
        _plot_codebooks(results["groups"]["codebooks"], options.output / "codebooks.svg")
    console.print(f"Written to {options.output}.")


def _table(group: str, timings: dict[str, Timing], peaks: dict[str, float], base: str) -> Table:
    table = Table(title=f"{group}: forward and backward", title_justify="left")
    for column in ("", "ms", "min - max", f"times {base}", "MiB on top"):
        table.add_column(column, justify="left" if not column else "right")
    for name, timing in timings.items():
        ratio = timing.median / timings[base].median
        table.add_row(
            name,
            f"{timing.median:.1f}",
            f"{timing.low:.1f} - {timing.high:.1f}",
            f"{ratio:.2f}",
            f"{peaks[name]:.0f}",
        )
    return table


def _plot_codebooks(group: dict[str, dict[str, float]], path: Path) -> None:
    codes = [int(name.split()[0]) for name in group]
    times = [entry["median"] for entry in group.values()]
    figure, (left, right) = plt.subplots(1, 2, figsize=(8, 3), layout="constrained")
    left.loglog(codes, times, "o-", label="measured")
    left.loglog(
        codes, [times[0] * count / codes[0] for count in codes], ":", color="gray", label="in proportion"
    )
    left.set(xlabel="codes", ylabel="ms a step, 2,048 vectors")
    left.legend(frameon=False)
    right.semilogx(codes, [entry["peak"] for entry in group.values()], "o-")
    right.set(xlabel="codes", ylabel="MiB on top", ylim=(0, None))
    for axes in (left, right):
        axes.set_xticks(codes, [f"{count:,}" for count in codes])
        axes.minorticks_off()
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path)


def _machine() -> dict[str, str]:
    names = ("torch", "vector-quantize-pytorch")
    return {
        "processor": _processor(),
        "cores": str(os.cpu_count()),
        "threads": "1",
        "python": platform.python_version(),
        **{name: version(name) for name in names},
        "blas": "mkl" if torch.backends.mkl.is_available() else "other",
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
