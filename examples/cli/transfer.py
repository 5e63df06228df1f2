"""``python -m examples transfer``: train rows from the weights of other runs, and from scratch."""

from dataclasses import replace
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
from examples.compare.study import Study, compare
from examples.results.tables import show
from examples.run.hardware import Hardware
from examples.run.start import Part
from examples.transfer.findings import sentences
from examples.transfer.plan import plan_transfer

_CARRIED: list[Part] = ["encoders", "quantizers", "decoders"]


def arguments() -> ArgumentParser:
    """Return the parser of the command's own arguments."""
    parser = ArgumentParser(usage="%(prog)s source study [options]")
    parser.add_argument(
        "source", type=Path, help="Folder of a run, or of a comparison with runs of the same rows."
    )
    parser.add_argument("study", type=str, help="Recipe of the target: a name or a file.")
    parser.add_argument(
        "--carry", type=Part, nargs="+", default=_CARRIED, help="Parts of the network that are carried."
    )
    parser.add_argument(
        "--scratch",
        type=str,
        nargs="+",
        default=None,
        help="Rows from scratch (default: those that are carried).",
    )
    add_place_arguments(parser)
    add_run_arguments(parser)
    add_spread_arguments(parser)
    add_recipe_arguments(parser)
    return parser


def run(parsed: Namespace, typed: str) -> int:
    """Run the command.

    Raises:
        UserError: There is no source, checkpoint or data, an argument is wrong, or a part does not fit; says what.
    """
    console, recipe = Console(), parsed_recipe(parsed)
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
    results = compare(study, workers=parsed.workers, command=typed, console=console)
    results = replace(results, recipe={**results.recipe, "transfer": plan.described()})
    results.write(folder / "results.json")
    results.small().write(folder / "summary.json")
    show(results, console)
    for sentence in sentences(results):
        console.print(sentence, highlight=False)
    console.print(f"\nIn {folder / 'results.json'}", highlight=False, soft_wrap=True)
    return 0
