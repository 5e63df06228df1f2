"""``python -m examples compare``: train every row of a recipe with every seed."""

import os
from collections.abc import Sequence
from pathlib import Path

from jsonargparse import ArgumentParser, Namespace
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from examples.cli.options import (
    add_place_arguments,
    add_recipe_arguments,
    add_run_arguments,
    add_spread_arguments,
    parsed_place,
    parsed_recipe,
    run_name,
)
from examples.cli.report import write_report
from examples.cli.show import present
from examples.compare.estimate import estimate, in_words
from examples.compare.study import Study, compare
from examples.data import find
from examples.run.hardware import Hardware


def arguments() -> ArgumentParser:
    """Return the parser of the command's own arguments."""
    parser = ArgumentParser(usage="%(prog)s [study] [options]")
    parser.add_argument(
        "study",
        type=str | None,
        nargs="?",
        default=None,
        help="Recipe: a name or a file (default: that of --data).",
    )
    add_place_arguments(parser)
    add_run_arguments(parser)
    add_spread_arguments(parser)
    parser.add_argument(
        "--report",
        type=bool | None,
        default=None,
        help="Write report.html too (default: of data of your own).",
    )
    add_recipe_arguments(parser)
    return parser


def run(parsed: Namespace, typed: str) -> int:
    """Run the command.

    Raises:
        UserError: The recipe, an option or the data is wrong; says what.
    """
    console, recipe = Console(), parsed_recipe(parsed)
    folder = parsed.output or Path("runs") / run_name(parsed, recipe)
    place, workers = parsed_place(parsed), parsed.workers or os.cpu_count() or 1
    reports = find(recipe.data).identify is not None if parsed.report is None else parsed.report
    study = Study(
        recipe,
        folder,
        place,
        rows=parsed.rows,
        hardware=Hardware(parsed.accelerator),
        keep=parsed.keep or reports,
        fresh=parsed.fresh,
    )
    if study.data().notes:
        console.print(_notes(study.data().notes))
    if parsed.accelerator == "cpu":
        seconds = estimate(study, workers)
        at_once = "one run" if workers == 1 else f"{workers} runs"
        if seconds:
            console.print(f"This will take about {in_words(seconds)}, {at_once} at a time.", highlight=False)
    results = compare(study, workers=workers, command=typed, console=console)
    results.write(folder / "results.json")
    results.small().write(folder / "summary.json")
    present(folder, console)
    if reports and results.runs:
        write_report([folder], place, folder / "report.html", command=typed, console=console)
    return 1 if results.failures else 0


def _notes(notes: Sequence[tuple[str, str]]) -> Table:
    made = Table.grid(padding=(0, 2, 0, 0))
    for note in notes:
        made.add_row(*map(escape, note))
    return made
