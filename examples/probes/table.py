"""The table of the probes, and the few sentences under it, from their results and from nothing else."""

from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from examples.probes.records import Probe, ProbeResults
from examples.results import Interval, interval
from examples.results.tables import score, signed

EMPTY = "no channels"
COLUMNS = ("of", "row", "part", "n", "accuracy", "same width", "control")
LEGEND = (
    "accuracy: percent, mean and 95 % interval over seeds (Student's t). n: how many channels, mean. same width: accuracy with as "
    "many channels as the smaller part has. control: accuracy on random labels, one for each pair of target and side label; "
    "what accuracy has above it is the selectivity. chance: the most frequent label."
)


def show(results: ProbeResults, console: Console) -> None:
    """Print a table for each label, what its columns are, and what they say."""
    console.print()
    console.print(title(results), highlight=False)
    for label in labels(results):
        made = Table(
            title=heading(results, label),
            box=SIMPLE_HEAD,
            pad_edge=False,
            padding=(0, 1, 0, 0),
            title_justify="left",
        )
        for number, column in enumerate(COLUMNS):
            made.add_column(column, justify="left" if number < 3 else "right", no_wrap=True)
        for line in lines(results, label):
            made.add_row(*line)
        console.print()
        console.print(made)
    console.print(LEGEND, style="dim", highlight=False)
    console.print()
    for sentence in findings(results):
        console.print(sentence, highlight=False)


def title(results: ProbeResults) -> str:
    """Return what was probed, in a line."""
    seeds = len({probe.seed for probe in results.probes})
    seen = (
        "with samples that the networks learned from"
        if results.learned
        else "of samples that no network learned from"
    )
    first = results.probes[0]
    return (
        f"{results.data}, part '{results.part}': {first.samples:,} samples in {first.groups:,} independent groups, {seen}; "
        f"{seeds} {'seed' if seeds == 1 else 'seeds'}"
    )


def labels(results: ProbeResults) -> list[str]:
    """Return what was asked, in order."""
    return list(dict.fromkeys(probe.label for probe in results.probes))


def heading(results: ProbeResults, label: str) -> str:
    """Return what was asked, how many answers there are, and what is right by chance."""
    asked = [probe for probe in results.probes if probe.label == label]
    by_chance = interval([probe.chance for probe in asked]).mean
    return f"{label}: {asked[0].classes} values, chance {by_chance:.1f} %"


def lines(results: ProbeResults, label: str) -> list[tuple[str, ...]]:
    """Return a line for each modality, row and part of the channels: the cells under `COLUMNS`."""
    made = []
    for (modality, row, part), probes in _grouped(results, label).items():
        counts = interval([probe.count for probe in probes]).mean
        cells = [_cell([getattr(probe, key) for probe in probes]) for key in ("accuracy", "matched")]
        control = _cell([probe.control for probe in probes], bare=True)
        made.append((modality, row, part[:5], f"{counts:.1f}", *cells, control))
    return made


def _grouped(results: ProbeResults, label: str) -> dict[tuple[str, str, str], list[Probe]]:
    """Return the probes of a label over seeds, by modality, row and part of the channels, the rows side by side."""
    asked = [probe for probe in results.probes if probe.label == label]
    modalities = list(dict.fromkeys(probe.modality for probe in asked))
    found: dict[tuple[str, str, str], list[Probe]] = {}
    for probe in sorted(asked, key=lambda probe: modalities.index(probe.modality)):
        found.setdefault((probe.modality, probe.row, probe.channels), []).append(probe)
    return found


def lead(probes: Sequence[Probe], key: str) -> Interval | None:
    """Return how much more the contradictory part gets right than the complementary one, points, over seeds.

    Args:
        probes: Probes of one row, label and modality.
        key: "accuracy", or "matched", with equally many channels.

    Returns:
        None where no run has both parts.
    """
    by_seed: dict[int, dict[str, float]] = {}
    for probe in probes:
        value = getattr(probe, key)
        if value is not None:
            by_seed.setdefault(probe.seed, {})[probe.channels] = value
    both = [found for found in by_seed.values() if len(found) == 2]
    return interval([found["contradictory"] - found["complementary"] for found in both]) if both else None


def leads(results: ProbeResults, key: str) -> dict[tuple[str, str, str], Interval | None]:
    """Return `lead` for each side label, modality and row, in the order of the tables.

    Args:
        results: Results of all runs.
        key: Key as in `lead`.
    """
    found = {}
    for label in (label for label in labels(results) if label != "target"):
        for modality, row in dict.fromkeys(names[:2] for names in _grouped(results, label)):
            asked = (probe for probe in results.probes if probe.label == label and probe.row == row)
            found[label, modality, row] = lead([probe for probe in asked if probe.modality == modality], key)
    return found


def findings(results: ProbeResults) -> list[str]:
    """Return a sentence for each side label, modality and row: which of two equally wide parts says more of it."""
    return [
        f"{label} from {modality}, {row}: contradictory less complementary channels, equally many: {points(found)}."
        for (label, modality, row), found in leads(results, "matched").items()
    ]


def points(found: Interval | None) -> str:
    """Return a `lead` in words."""
    return f"{signed(found)} points, {_count(found)}" if found else "one of them is empty in every run"


def _count(found: Interval) -> str:
    return f"{found.count} {'run' if found.count == 1 else 'runs'}"


def _cell(values: Sequence[float | None], *, bare: bool = False) -> str:
    there = [value for value in values if value is not None]
    if not there:
        return EMPTY
    found = interval(there)
    words = f"{found.mean:.1f}" if bare else score(found)
    return words if len(there) == len(values) else f"{words} ({len(there)} of {len(values)})"
