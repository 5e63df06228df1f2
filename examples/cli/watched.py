"""The trained runs that a command looks at, one after the other, below a progress bar."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from jsonargparse import ArgumentParser
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)

from examples.data.place import Place
from examples.run.folder import RunFolder

if TYPE_CHECKING:
    from examples.run.trained import Trained

T = TypeVar("T")


def add_runs_argument(parser: ArgumentParser, of: str) -> None:
    """Let a parser read the folders of trained runs.

    Args:
        parser: Parser that gets it.
        of: What the runs must have in common, for the help.
    """
    parser.add_argument("runs", type=Path, nargs="+", help=f"Folders of trained runs, {of}.")


def each_trained(folders: Sequence[Path], place: Place, doing: str, console: Console) -> Iterator["Trained"]:
    """Yield the trained run of each folder, and name each after its turn.

    Args:
        folders: Folders of trained runs.
        place: Location of the data.
        doing: What is done with them.
        console: Console that shows it.

    Raises:
        UserError: There is no run, checkpoint or data; says what.
    """
    from examples.run.trained import load_trained  # noqa: PLC0415 - takes seconds

    for number, folder in enumerate(watched(folders, doing, console), start=1):
        trained = load_trained(RunFolder(folder), place)
        yield trained
        console.print(
            f"{number}/{len(folders)} runs: {trained.row}, seed {trained.seed}",
            highlight=False,
            soft_wrap=True,
        )


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
