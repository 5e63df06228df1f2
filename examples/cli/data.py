"""``python -m examples data check``: look at the files of a data set before anything waits for them."""

from collections.abc import Sequence
from typing import get_type_hints

from jsonargparse import ArgumentParser, Namespace
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from examples.cli.options import add_place_arguments, parsed_place
from examples.data import DATA_SETS, check, find
from examples.data.place import Finding
from examples.recipes import Recipe, is_recipe, load_recipe, recipe_path


def arguments() -> ArgumentParser:
    """Return the parser of the command's own arguments."""
    parser, checks = ArgumentParser(), ArgumentParser()
    checks.add_argument("name", type=str, help=f"One of {', '.join(DATA_SETS)}, or a recipe of one.")
    add_place_arguments(checks)
    checks.add_argument(
        "--data_options",
        type=get_type_hints(Recipe)["data_options"],
        default={},
        help="Arguments of the data set's loader, over those of the recipe.",
    )
    parser.add_subcommands(required=True).add_subcommand("check", checks, help="Verify layout and counts.")
    return parser


def run(parsed: Namespace, typed: str) -> int:
    """Run the command and return the exit status.

    Args:
        parsed: Arguments from the parser.
        typed: The whole command.

    Raises:
        UserError: There is no such data set, or a file of it is missing or damaged; says what.
    """
    del typed
    console, name, options = Console(), parsed.check.name, parsed.check.data_options
    if name not in DATA_SETS and is_recipe(name):
        recipe = load_recipe(recipe_path(name))
        name, options = recipe.data, {**recipe.data_options, **options}
    findings = check(name, parsed_place(parsed.check), options=options)
    console.print(_table(name, findings))
    if all(finding.good for finding in findings):
        console.print("All there.")
        return 0
    console.print(find(name).source, highlight=False)
    return 1


def _table(name: str, findings: Sequence[Finding]) -> Table:
    made = Table(title=f"{name}: what is there", box=SIMPLE_HEAD, pad_edge=False, title_justify="left")
    knows = any(finding.expected for finding in findings)  # of arrays of your own nothing is expected
    for column in ("", *(["expected"] if knows else []), "found", ""):
        made.add_column(column, overflow="fold")
    for finding in findings:
        words = [finding.what, *([finding.expected] if knows else []), finding.found]
        made.add_row(*map(escape, words), "ok" if finding.good else "[bold red]wrong[/]")
    return made
