"""The table of ``python -m examples data check``."""

from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Table

from examples.data.place import Finding


def checked(name: str, findings: Sequence[Finding]) -> Table:
    """Return what `data check` found, one line each."""
    made = Table(title=f"{name}: what is there", box=SIMPLE_HEAD, pad_edge=False, title_justify="left")
    for column in ("", "expected", "found", ""):
        made.add_column(column, overflow="fold")
    for finding in findings:
        made.add_row(*map(escape, finding[:3]), "ok" if finding.good else "[bold red]wrong[/]")
    return made
