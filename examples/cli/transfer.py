"""The command ``python -m examples transfer``: train rows from the weights of other runs, and from scratch."""

import shlex
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from jsonargparse import ArgumentParser, Namespace
from rich.console import Console

from examples.cli.options import add_place_arguments, parsed_place
from examples.compare.study import Study, compare
from examples.recipes import add_recipe_arguments, build_recipe, recipe_path
from examples.results.tables import show
from examples.run.hardware import Hardware
from examples.run.start import Part
from examples.transfer.findings import sentences
from examples.transfer.plan import plan_transfer

_ANY = "mfeat"  # so that a wrong order of words gets that far that it can be named
_CARRIED: list[Part] = ["encoders", "quantizers", "decoders"]


def transfer_parser(arguments: Sequence[str]) -> ArgumentParser:
    """Return the parser of the command's own arguments; the keys of a recipe start with the values of STUDY.

    Args:
        arguments: What was typed after ``python -m examples``.
    """
    parser = ArgumentParser(default_config_files=[str(recipe_path(_named(arguments) or _ANY))])
    parser.add_argument(
        "source", type=Path, help="Folder of a run, or of a comparison with runs of the same rows."
    )
    parser.add_argument("study", type=str, help="Recipe of the target: a name or a file.")
    parser.add_argument(
        "--carry", type=Part, nargs="+", default=_CARRIED, help="Parts of the network that are carried."
    )
    parser.add_argument(
        "--rows", type=str, nargs="+", default=None, help="Rows that are carried (default: all)."
    )
    parser.add_argument(
        "--scratch",
        type=str,
        nargs="+",
        default=None,
        help="Rows from scratch (default: those that are carried).",
    )
    add_place_arguments(parser)
    parser.add_argument("--output", type=Path | None, default=None, help="Folder to write to.")
    parser.add_argument("--fresh", action="store_true", help="Start anew what is finished or was cut short.")
    parser.add_argument("--keep", action="store_true", help="Keep the checkpoints of finished runs.")
    parser.add_argument("--accelerator", type=str, default="cpu", help="What Lightning runs on.")
    parser.add_argument(
        "--workers", type=int | None, default=None, help="Processes (default: one for each core)."
    )
    add_recipe_arguments(parser)
    return parser


def transfer(parser: ArgumentParser, parsed: Namespace, arguments: Sequence[str]) -> int:
    """Run the command and return the exit status.

    Args:
        parser: From `transfer_parser`.
        parsed: What it parsed.
        arguments: What was typed after ``python -m examples``.

    Raises:
        FileNotFoundError: There is no source, no checkpoint or no data.
        ValueError: An argument is wrong, or a part does not fit; says what.
    """
    if parsed.study != _named(arguments):
        raise ValueError(f"`source` and `study` (='{parsed.study}') must come right after the command.")
    console, recipe = Console(), build_recipe(parser, parsed)
    folder = parsed.output or Path("runs") / f"{Path(parsed.study).stem}-transfer"
    plan = plan_transfer(parsed.source, recipe, parsed.rows, parsed.scratch, parsed.carry)
    study = Study(
        plan.recipe,
        folder,
        parsed_place(parsed),
        hardware=Hardware(parsed.accelerator),
        keep=parsed.keep,
        fresh=parsed.fresh,
        start=plan.start,
    )
    plan.check(study.data())
    command = shlex.join(["python", "-m", "examples", *arguments])
    try:
        results = compare(study, workers=parsed.workers, command=command, console=console)
    except KeyboardInterrupt:
        Console(stderr=True).print("Stopped; the same command goes on from here.")
        return 130
    results = replace(results, recipe={**results.recipe, "transfer": plan.described()})
    results.write(folder / "results.json")
    results.small().write(folder / "summary.json")
    show(results, console)
    for sentence in sentences(results):
        console.print(sentence, highlight=False)
    console.print(f"\nIn {folder / 'results.json'}", highlight=False, soft_wrap=True)
    return 0


def _named(arguments: Sequence[str]) -> str | None:
    """Return STUDY, the second word after the command."""
    words = list(arguments[1:3])
    there = (
        arguments[:1] == ["transfer"] and len(words) == 2 and not any(word.startswith("-") for word in words)
    )
    return words[1] if there else None
