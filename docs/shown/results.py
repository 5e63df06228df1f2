"""The tables of comparisons on data that ships with the repository."""

from docs.shown.page import RESULTS, bullets, provenance, say, table
from examples.results import Results, tables

FILES = ("mfeat",)
"""The others have pages of their own."""


def everything() -> None:
    """Show the table of every file, what it says, and what made it."""
    for name in FILES:
        results = Results.read(RESULTS / f"{name}.json")
        drawn = tables.table(results)
        lines = zip(*(column.cells for column in drawn.columns), strict=True)
        say(
            f"**{drawn.title}**",
            table([str(column.header) for column in drawn.columns], lines),
            bullets(tables.findings(results)),
            provenance(results.command, results.seconds, results.machine, results.versions),
        )
