"""Tables for the terminal and the plot for the docs, from the numbers and from nothing else."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")
from matplotlib import pyplot as plt
from rich.table import Table

from tests.benchmarks.targets import Entry, Floor, Target


def timings(group: str, entries: Mapping[str, Entry], base: str) -> Table:
    """Time and memory of every case of a group."""
    on_gpu = "device" in entries[base]
    extra = ("GPU ms", f"times {base}", "kernels") if on_gpu else ()
    table = _table(f"{group}: forward and backward", "ms", "min - max", f"times {base}", *extra, "MiB on top")
    for name, entry in entries.items():
        row = [
            short(entry["median"]),
            f"{short(entry['low'])} - {short(entry['high'])}",
            f"{entry['ratio']:.2f}",
        ]
        if on_gpu:
            busy = entry["device"]
            row += [short(busy), f"{busy / entries[base]['device']:.2f}", f"{entry['kernels']:.0f}"]
        table.add_row(name, *row, f"{entry['peak']:.0f}")
    return table


def short(milliseconds: float) -> str:
    """One decimal; three below 10 ms, as on a GPU."""
    return f"{milliseconds:.1f}" if milliseconds >= 10 else f"{milliseconds:.3f}"


def goals(targets: Sequence[Target]) -> Table:
    """Every target, and whether it is met."""
    table = _table("Targets", "what", "at most", "measured", "")
    for target in targets:
        verdict = "met" if target.met else "NOT MET"
        table.add_row(target.group, target.claim, f"{target.limit:.3f}", f"{target.value:.3f}", verdict)
    return table


def floors(counted: Mapping[str, Floor]) -> Table:
    """Operations and bytes of each shape, and how far we are from what they take at least."""
    table = _table("The floor", "10^9 operations", "MB", "ms at least", "ours, times it")
    for group, floor in counted.items():
        numbers = (floor.operations / 1e9, floor.bytes / 1e6, floor.milliseconds)
        table.add_row(group, *map(short, numbers), f"{floor.ratio:.2f}")
    return table


def operations(profiles: Mapping[str, Mapping[str, float]]) -> Table:
    """Where the time of a step goes."""
    table = _table("Operations", *(f"{case}, %" for case in profiles))
    names = {name: None for shares in profiles.values() for name in shares}
    for name in names:
        table.add_row(name, *(f"{shares.get(name, 0):.1f}" for shares in profiles.values()))
    return table


def _table(title: str, *columns: str) -> Table:
    table = Table("", title=title, title_justify="left")
    for column in columns:
        table.add_column(column, justify="right")
    return table


def plot_codebooks(group: Mapping[str, Entry], path: Path) -> None:
    """Time and memory over the number of codes."""
    codes = [int(name.split()[0]) for name in group]
    times = [entry["median"] for entry in group.values()]
    figure, (left, right) = plt.subplots(1, 2, figsize=(8, 3), layout="constrained")
    left.loglog(codes, times, "o-", label="measured")
    left.loglog(
        codes, [times[0] * count / codes[0] for count in codes], ":", color="gray", label="in proportion"
    )
    left.set(xlabel="codes", ylabel="ms a step, 2,048 vectors")
    left.legend(frameon=False)
    right.loglog(codes, [entry["peak"] for entry in group.values()], "o-", label="measured")
    right.loglog(
        codes, [2048 * 4 * count / 2**20 for count in codes], ":", color="gray", label="vectors x codes"
    )
    right.set(xlabel="codes", ylabel="MiB on top")
    right.legend(frameon=False)
    for axes in (left, right):
        axes.set_xticks(codes, [f"{count:,}" for count in codes])
        axes.minorticks_off()
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)
