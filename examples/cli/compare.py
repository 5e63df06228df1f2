"""``python -m examples compare``: train every row of a recipe with every seed."""

from pathlib import Path

from jsonargparse import ArgumentParser, Namespace
from rich.console import Console

from examples.cli.options import (
    add_place_arguments,
    add_recipe_arguments,
    add_run_arguments,
    add_spread_arguments,
    parsed_place,
    parsed_recipe,
)
from examples.cli.show import present
from examples.compare.study import Study, compare
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
    add_recipe_arguments(parser)
    return parser


def run(parsed: Namespace, typed: str) -> int:
    """Run the command and return the exit status.

    Args:
        parsed: Arguments from the parser.
        typed: The whole command, for the record.

    Raises:
        UserError: The recipe, an option or the data is wrong; says what.
    """
    console, recipe = Console(), parsed_recipe(parsed)
    folder = parsed.output or Path("runs") / Path(parsed.study or recipe.data).stem
    study = Study(
        recipe,
        folder,
        parsed_place(parsed),
        rows=parsed.rows,
        hardware=Hardware(parsed.accelerator),
        keep=parsed.keep,
        fresh=parsed.fresh,
    )
    results = compare(study, workers=parsed.workers, command=typed, console=console)
    results.write(folder / "results.json")
    results.small().write(folder / "summary.json")
    present(folder, console)
    return 1 if results.failures else 0
