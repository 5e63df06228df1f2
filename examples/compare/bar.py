"""One progress bar over all epochs of all runs; plain lines where the output is no terminal."""

from typing import NamedTuple

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from typing_extensions import Self

from examples.results import Failure, Run


class Epoch(NamedTuple):
    """One epoch of one run is done."""

    row: str
    seed: int
    loss: float


class Bar:
    """The bar.

    Args:
        runs: Number of runs.
        epochs: Number of epochs of each.
        console: Console that shows it.
    """

    def __init__(self, runs: int, epochs: int, console: Console) -> None:
        self._runs, self._epochs, self._finished, self._console = runs, epochs, 0, console
        self._progress = Progress(
            TextColumn("{task.fields[finished]}/{task.fields[runs]} runs"),
            BarColumn(bar_width=12),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("left,"),
            TextColumn("{task.description}"),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._task = self._progress.add_task("starting", total=runs * epochs, finished=0, runs=runs)

    def __enter__(self) -> Self:
        """Show the bar."""
        self._progress.start()
        return self

    def __exit__(self, *error: object) -> None:
        """Take the bar away."""
        self._progress.stop()

    def skip(self, done: int, runs: int) -> None:
        """Count what is finished already, and say so."""
        if done:
            self._console.print(
                f"{done} of {runs} runs are finished already; --fresh runs them again.", highlight=False
            )
            self._finished += done
            self._progress.update(self._task, advance=done * self._epochs, finished=self._finished)

    def show_epoch(self, epoch: Epoch) -> None:
        """Show one epoch more."""
        words = f"{epoch.row}, seed {epoch.seed}, loss {epoch.loss:.3f}"
        self._progress.update(self._task, advance=1, description=words)

    def show_run(self, row: str, seed: int, outcome: Run | Failure) -> None:
        """Show one run more."""
        self._finished += 1
        # Not the sum of the epochs shown: rows may have more of them, or fewer.
        done = self._finished * self._epochs
        self._progress.update(self._task, completed=done, finished=self._finished)
        failed = isinstance(outcome, Failure)
        what = f"failed, {outcome.error}" if isinstance(outcome, Failure) else f"{outcome.score:.1f} %"
        if failed or not self._console.is_terminal:
            self._console.print(
                f"{self._finished}/{self._runs} runs: {row}, seed {seed}, {what}",
                highlight=False,
                markup=False,
            )
