"""A progress bar over the runs that a command looks at, one after the other."""

from collections.abc import Iterator, Sequence
from typing import TypeVar

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)

T = TypeVar("T")


def watched(items: Sequence[T], doing: str, console: Console) -> Iterator[T]:
    """Yield all items below a progress bar, which is gone in the end; where the output is no terminal there is none.

    Args:
        items: What takes its time, one by one.
        doing: What is done with them.
        console: Console that shows the bar.
    """
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(bar_width=12),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        yield from progress.track(items, description=doing)
