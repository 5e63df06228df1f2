"""``python -m examples show``: print the table and draw the figures again, from results.json."""

from pathlib import Path

from jsonargparse import ArgumentParser, Namespace
from rich.console import Console
from rich.markup import escape

from examples.report.question import answer
from examples.results import Results
from examples.results.tables import show


def arguments() -> ArgumentParser:
    """Return the parser of the command's own arguments."""
    parser = ArgumentParser()
    parser.add_argument("folder", type=Path, help="Where a comparison wrote its results.json.")
    return parser


def run(parsed: Namespace, typed: str) -> int:
    """Run the command and return the exit status.

    Args:
        parsed: Arguments from the parser.
        typed: The whole command.

    Raises:
        UserError: There are no results.
    """
    del typed
    present(parsed.folder, Console())
    return 0


def present(folder: Path, console: Console) -> None:
    """Print the table of a comparison and its answer, draw its figures, and say where all of it lies.

    Args:
        folder: Folder of its results.json, and of the figures.
        console: Console to print to.
    """
    from examples.results.figures.scores import draw_scores  # noqa: PLC0415 - takes a second, and few commands draw
    from examples.results.figures.training import draw  # noqa: PLC0415

    results = Results.read(folder / "results.json")
    show(results, console)
    verdict = answer(results, {})
    if verdict.told:
        console.print(f"\n[bold]{escape(verdict.question)}[/] {escape(verdict.sentence)}", highlight=False)
    drawn = [*draw_scores(results, folder, title=verdict.question), *draw(results, folder)]
    pictures = "".join(f", {path}" for path in drawn)
    console.print(f"\nIn {folder / 'results.json'}{pictures}", highlight=False, soft_wrap=True)
