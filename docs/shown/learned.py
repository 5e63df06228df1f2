"""Probes and transfer: what the channels hold, and what carries over."""

from functools import cache

from docs.shown.claims import claim
from docs.shown.page import NOTHING, RESULTS, bullets, provenance, say, table
from examples.probes import table as probed
from examples.probes.records import ProbeResults
from examples.results import Results, paired_difference, tables
from examples.results.tables import signed
from examples.transfer.findings import gains, sentences

MASK, PLAIN, RIVAL = "mask-carried", "mask-no-penalty-carried", "ogm-ge-carried"
HELPED = ("av-digits", "fsdd", "utd-mhad")
"""Targets on which what was carried helps the mask beyond the interval."""


@cache
def probes() -> list[ProbeResults]:
    """Return what was probed, one file per data set."""
    return [ProbeResults.read(path) for path in sorted(RESULTS.glob("probes-*.json"))]


@cache
def transfers() -> dict[str, Results]:
    """Return what was carried, by target."""
    return {
        path.stem.removeprefix("transfer-"): Results.read(path)
        for path in sorted(RESULTS.glob("transfer-*.json"))
    }


def leads() -> None:
    """Show how much more of the side label the contradictory channels tell than the complementary ones."""
    lines = []
    for results in probes():
        wide = probed.leads(results, "accuracy")
        for (label, modality, row), equal in probed.leads(results, "matched").items():
            found = (wide[label, modality, row], equal)
            cells = (NOTHING if value is None else signed(value) for value in found)
            lines.append([results.data, label, modality, row, *cells])
    say(table(["data", "label", "channels of", "row", "as they are", "same width"], lines))


def details() -> None:
    """Show every probe."""
    for results in probes():
        parts = [f"**{probed.title(results)}**"]
        for label in probed.labels(results):
            parts.append(f"{probed.heading(results, label)}:")
            parts.append(table(probed.COLUMNS, probed.lines(results, label)))
        say(*parts, provenance(results.command, results.seconds, results.machine, results.versions))


def carried() -> None:
    """Show what carrying brings, and how carried networks compare."""
    head = [
        "target",
        "seeds",
        "mask: carried, more than from scratch",
        "OGM-GE: the same",
        "mask, more than without penalty",
        "mask, more than OGM-GE",
    ]
    lines = []
    for name, results in transfers().items():
        rows, gained = results.rows(), gains(results)
        rival = gained.get((RIVAL, "ogm-ge"))
        lines.append(
            [
                name,
                results.recipe["seeds"],
                signed(gained[MASK, "mask"]),
                NOTHING if rival is None else signed(rival),
                *(signed(paired_difference(rows[MASK], rows[base])) for base in (PLAIN, RIVAL)),
            ]
        )
    say(table(head, lines))


def without_quantisers() -> str:
    """Return how much better the network without quantisers is on `fsdd` from scratch, points."""
    rows = transfers()["fsdd"].rows()
    return signed(paired_difference(rows["ogm-ge"], rows["mask"]))


def targets() -> None:
    """Show every row of every target."""
    for name, results in transfers().items():
        drawn = tables.table(results)
        lines = zip(*(column.cells for column in drawn.columns), strict=True)
        asked = {"source": results.recipe["transfer"]["source_recipe"], "target": results.recipe}
        settings = (
            f"{word}: {recipe['data_options']}, {recipe['epochs']} epochs" for word, recipe in asked.items()
        )
        say(
            f"**{name}** ({drawn.title})",
            f"{'; '.join(settings)}.",
            table([str(column.header) for column in drawn.columns], lines),
            bullets(sentences(results)),
            provenance(results.command, results.seconds, results.machine, results.versions),
        )


def claims() -> None:
    """Hold what the page says without a number."""
    for name, results in transfers().items():
        found = gains(results)[MASK, "mask"]
        claim(f"carrying helps the mask on `{name}`", (found.mean > found.half_width) == (name in HELPED))
        without = paired_difference(results.rows()[MASK], results.rows()[PLAIN])
        claim(f"every interval holds zero: {name}", abs(without.mean) <= without.half_width)
    for probe in probes():
        for (_, modality, row), lead in probed.leads(probe, "matched").items():
            if lead is not None and modality != "all":
                claim(f"no single modality has a lead: {modality}, {row}", abs(lead.mean) <= lead.half_width)
