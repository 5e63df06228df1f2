"""``python -m examples trade``: make every network of a comparison smaller, and write down what is left of it."""

import time
from pathlib import Path

from jsonargparse import ArgumentParser, Namespace
from rich.console import Console

from examples.cli.options import add_place_arguments, parsed_place
from examples.cli.watched import each_trained
from examples.errors import UserError
from examples.results import Results
from examples.results.origin import machine, origin
from examples.run.hardware import instructions
from examples.trade.records import TradeResults

_FILE = "trade.json"


def arguments() -> ArgumentParser:
    """Return the parser of the command's own arguments."""
    parser = ArgumentParser()
    parser.add_argument(
        "comparison", type=Path, help="Folder that `compare --keep` wrote, such as runs/NAME."
    )
    add_place_arguments(parser)
    parser.add_argument(
        "--output",
        type=Path | None,
        default=None,
        help="Folder to write to (default: that of the comparison).",
    )
    parser.add_argument("--batch", type=int, default=32, help="How many samples are in a call that is timed.")
    parser.add_argument("--calls", type=int, default=30, help="How many calls of each network are timed.")
    return parser


def run(parsed: Namespace, typed: str) -> int:
    """Run the command.

    Raises:
        UserError: There is no comparison, its checkpoints were not kept, or an argument is wrong; says what.
    """
    from examples.trade.measure import measure  # noqa: PLC0415 - takes seconds

    for name, least in (("batch", 2), ("calls", 1)):
        if parsed[name] < least:
            raise UserError(f"`{name}` (={parsed[name]}) must be at least {least}.")
    start, console, place = time.perf_counter(), Console(), parsed_place(parsed)
    results = Results.read(parsed.comparison / "results.json")
    folders = [parsed.comparison / run.row / f"seed-{run.seed}" for run in results.runs]
    trained = each_trained(folders, place, "making networks smaller", console)
    sizes = measure(trained, batch=parsed.batch, calls=parsed.calls)
    path = (parsed.comparison if parsed.output is None else parsed.output) / _FILE
    TradeResults(
        data=results.data,
        batch=parsed.batch,
        calls=parsed.calls,
        sizes=sizes,
        **origin(typed, time.perf_counter() - start, machine(1, instructions())),
    ).write(path)
    console.print(f"In {path}", highlight=False, soft_wrap=True)
    return 0
