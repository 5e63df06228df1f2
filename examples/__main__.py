"""The command line: ``python -m examples compare`` and ``python -m examples show``."""

import shlex
import sys
from argparse import ArgumentParser as PlainParser
from collections.abc import Sequence
from pathlib import Path

from jsonargparse import ArgumentParser, Namespace
from rich.console import Console

from examples.compare import compare, plan
from examples.plots import draw
from examples.recipe import add_recipe_arguments, build_recipe, recipe_path
from examples.results import Results
from examples.tables import show


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return the exit status; wrong input is status 2 and one sentence."""
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    parser = ArgumentParser(prog="python -m examples", description="The paper rebuilt on top of maskfusion.")
    commands = parser.add_subcommands(required=True)
    compare_parser = _compare_parser(arguments)
    commands.add_subcommand("compare", compare_parser, help="Train every row of a recipe with every seed.")
    show_parser = ArgumentParser()
    show_parser.add_argument("folder", type=Path, help="Where a comparison wrote its results.json.")
    commands.add_subcommand(
        "show", show_parser, help="Print the table and draw the pictures again, from results.json."
    )
    parsed = parser.parse_args(arguments)
    if parsed.subcommand == "show":
        return _show(parsed.show.folder)
    return _compare(compare_parser, parsed.compare, arguments)


def _compare_parser(arguments: Sequence[str]) -> ArgumentParser:
    first = PlainParser(add_help=False, allow_abbrev=False)
    first.add_argument("--data", default="mfeat")
    data: str = first.parse_known_args(arguments)[0].data
    parser = ArgumentParser(default_config_files=[str(recipe_path(data))])
    parser.add_argument("--root", type=Path | None, default=None, help="Folder of the data files.")
    parser.add_argument("--rows", type=str, nargs="+", default=None, help="Only these rows of the recipe.")
    parser.add_argument(
        "--output", type=Path | None, default=None, help="Folder to write to (default: runs/DATA)."
    )
    parser.add_argument(
        "--workers", type=int | None, default=None, help="Processes (default: one for each core)."
    )
    parser.add_argument("--accelerator", type=str, default="cpu", help="What Lightning runs on.")
    add_recipe_arguments(parser)
    return parser


def _compare(parser: ArgumentParser, parsed: Namespace, arguments: Sequence[str]) -> int:
    console, errors = Console(), Console(stderr=True)
    try:
        recipe = build_recipe(parser, parsed)
        jobs = plan(recipe, root=parsed.root, rows=parsed.rows, accelerator=parsed.accelerator)
    except (FileNotFoundError, ValueError) as error:
        errors.print(f"[bold red]error:[/] {error}", highlight=False)
        return 2
    command = shlex.join(["python", "-m", "examples", *arguments])
    folder = parsed.output or Path("runs") / recipe.data
    try:
        results = compare(jobs, workers=parsed.workers, command=command, console=console)
    except KeyboardInterrupt:
        errors.print("Stopped; nothing was written.")
        return 130
    results.write(folder / "results.json")
    return _show(folder)


def _show(folder: Path) -> int:
    console, errors = Console(), Console(stderr=True)
    try:
        results = Results.read(folder / "results.json")
    except (FileNotFoundError, ValueError) as error:
        errors.print(f"[bold red]error:[/] {error}", highlight=False)
        return 2
    show(results, console)
    pictures = "".join(f", {path}" for path in draw(results, folder))
    console.print(f"\nIn {folder / 'results.json'}{pictures}", highlight=False, soft_wrap=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
