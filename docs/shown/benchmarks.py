"""The tables of the benchmarks, and the ratios that the page speaks of, from the files in `docs/benchmarks`."""

import json
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from docs.shown.claims import claim
from docs.shown.page import say, table, vector

FOLDER = Path(__file__).parents[1] / "benchmarks"
CAPTURED = "ours, CUDA graphs"
LAST, TEXTBOOK = "ours, channels last", "one-hot, unfused mask, channels last"
Group = Mapping[str, Mapping[str, float]]
"""The cases of a group by name, each with its numbers."""


@cache
def read(name: str) -> dict[str, Any]:
    """Return what one run of the benchmarks measured."""
    found: dict[str, Any] = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    return found


def everything() -> None:
    """Show every file, the processor's first."""
    files = {path.stem: read(path.stem) for path in sorted(FOLDER.glob("*.json"))}
    for name, results in sorted(files.items(), key=lambda item: item[1]["machine"]["device"]):
        _run(name, results)


def _run(name: str, results: Mapping[str, Any]) -> None:
    machine, ceiling = results["machine"], results["ceiling"]
    facts = ", ".join(f"{name} {value}" for name, value in machine.items() if name != "processor")
    say(
        f"## {name.replace('-', ' ').capitalize()}: {machine['processor']}",
        f"{results['rounds']} rounds; {facts}. It multiplies at {ceiling['operations'] / 1e9:,.0f} 10⁹ operations a second "
        f"and copies at {ceiling['bytes'] / 1e9:,.1f} GB a second.",
        *(part for group, entries in results["groups"].items() for part in (f"**{group}**", _times(entries))),
        *(
            part
            for case, shares in results.get("profiles", {}).items()
            for part in (f"**Operations: {case}**", _shares(shares))
        ),
    )
    plot = FOLDER / f"codebooks-{machine['device']}.svg"
    if "codebooks" in results["groups"] and plot.exists():
        vector(plot.read_text(encoding="utf-8"))
    if results["targets"]:
        floors, targets = _floors(results["floors"]), _targets(results["targets"])
        say("**Against the floor**", floors, "**Against the targets**", targets)


def _times(entries: Group) -> str:
    base = next(name for name, entry in entries.items() if entry["ratio"] == 1)
    on_gpu = "device" in entries[base]
    lines = []
    for name, entry in entries.items():
        span = f"{_short(entry['low'])} - {_short(entry['high'])}"
        line = [name, _short(entry["median"]), span, f"{entry['ratio']:.2f}"]
        if on_gpu:
            busy = entry["device"]
            line += [_short(busy), f"{busy / entries[base]['device']:.2f}", f"{entry['kernels']:.0f}"]
        lines.append([*line, f"{entry['peak']:.0f}" if entry["peak"] else "-"])
    extra = ["GPU ms", f"times {base}", "kernels"] if on_gpu else []
    return table(["", "ms", "min - max", f"times {base}", *extra, "MiB on top"], lines)


def _shares(shares: Mapping[str, float]) -> str:
    return table(["", "%"], ([f"`{operation}`", f"{share:.1f}"] for operation, share in shares.items()))


def _floors(floors: Group) -> str:
    return table(
        ["", "10⁹ operations", "MB", "ms at least", "ours, times it"],
        (
            [
                group,
                f"{floor['operations'] / 1e9:.1f}",
                f"{floor['bytes'] / 1e6:.0f}",
                _short(floor["milliseconds"]),
                f"{floor['ratio']:.2f}",
            ]
            for group, floor in floors.items()
        ),
    )


def _targets(targets: Iterable[Mapping[str, Any]]) -> str:
    return table(
        ["", "what", "at most", "measured", ""],
        (
            [
                each["group"],
                each["claim"],
                f"{each['limit']:.3f}",
                f"{each['value']:.3f}",
                "met" if each["met"] else "**not met**",
            ]
            for each in targets
        ),
        words=2,
    )


def _short(milliseconds: float) -> str:
    return f"{milliseconds:.1f}" if milliseconds >= 10 else f"{milliseconds:.3f}"


def shapes() -> list[Group]:
    """Return the three shapes that were measured on the GPU with a textbook quantiser beside ours."""
    return [group for group in read("benchmarks-cuda")["groups"].values() if "one-hot" in group]


def ratio(of: str, field: str, ours: str = "ours") -> str:
    """Return the least and the largest ratio of ours to another case over the shapes.

    Args:
        of: Name of the other case.
        field: "median", by the clock, or "device", while the GPU works.
        ours: Name of our case.
    """
    return _span([group[ours][field] / group[of][field] for group in shapes()])


def slower_compiled() -> str:
    """Return by how much compiling slows a step down, percent, by the clock."""
    ratios = [group["ours, compiled"]["median"] / group["ours"]["median"] for group in shapes()]
    return f"{100 * min(ratios) - 100:.0f} to {100 * max(ratios) - 100:.0f} %"


def waits() -> str:
    """Return how many times as long as the GPU's work a step takes."""
    ratios = [group["ours"]["median"] / group["ours"]["device"] for group in shapes()]
    return f"{min(ratios):.0f} to {max(ratios):.0f}"


def clock() -> str:
    """Return the milliseconds of a step by the clock."""
    times = [group["ours"]["median"] for group in shapes()]
    return f"{min(times):.1f} to {max(times):.1f}"


def kernels() -> str:
    """Return how many kernels one step launches."""
    counts = {round(group["ours"]["kernels"]) for group in shapes()}
    return " or ".join(map(str, sorted(counts)))


def memory(case: str) -> str:
    """Return the MiB that a step of the largest shape adds."""
    return f"{max(group[case]['peak'] for group in shapes()):,.0f}"


def mask(field: str, graphs: str = "") -> str:
    """Return the mask's time over a multiply's; ``graphs`` is ", CUDA graphs" for the captured ones."""
    group = read("benchmarks-cuda")["groups"]["mask"]
    return f"{group[f'ours{graphs}'][field] / group[f'multiply by a constant{graphs}'][field]:.1f}"


def network(case: str, field: str) -> str:
    """Return the milliseconds of a training step of the whole network."""
    return f"{read('training-step-cuda')['groups']['training-step'][case][field]:.1f}"


def network_kernels() -> str:
    """Return how many kernels a training step of the whole network starts, to the next fifty."""
    count = read("training-step-cuda")["groups"]["training-step"][LAST]["kernels"]
    return f"{50 * round(count / 50)}"


def host() -> str:
    """Return by how many milliseconds a quantiser, or the mask, takes the host longer than its textbook form."""
    parts = read("training-step-cuda")["groups"]["parts"]
    pairs = {"one quantiser": "one quantiser, one-hot", "fusion and mask": "fusion and mask, unfused"}
    longer = {f"{parts[ours]['median'] - parts[plain]['median']:.1f}" for ours, plain in pairs.items()}
    return " or ".join(sorted(longer))


def claims() -> None:
    """Hold what the page says of the GPU without a number."""
    groups, rival = shapes(), "vector-quantize-pytorch"
    for field in ("device", "median"):
        for ours in ("ours", CAPTURED):
            claim("faster than vector-quantize-pytorch", *(g[ours][field] < g[rival][field] for g in groups))
    claim("slower than the textbook at the smaller shapes", sum(_over(g, "one-hot") > 1 for g in groups) == 2)
    claim("as fast by the GPU", *(abs(_over(g, "ours, compiled", "device") - 1) < 0.1 for g in groups))
    cpu = read("training-step")["profiles"][LAST]
    claim("more than four fifths", sum(share for name, share in cpu.items() if "convolution" in name) > 80)


def _over(group: Group, other: str, field: str = "median") -> float:
    return group["ours"][field] / group[other][field]


def _span(ratios: list[float]) -> str:
    return f"{min(ratios):.2f} to {max(ratios):.2f}"
