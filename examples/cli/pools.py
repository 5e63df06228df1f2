"""``python -m examples pools``: load trained runs, pool their heads in other ways, note the scores."""

import time
from pathlib import Path

from jsonargparse import ArgumentParser, Namespace
from rich.console import Console

from examples.cli.options import add_place_arguments, parsed_place
from examples.cli.watched import add_runs_argument, each_trained
from examples.errors import UserError
from examples.pools.records import Pooled, PoolResults
from examples.results import METRICS
from examples.results.origin import machine, origin
from examples.run.folder import RunFolder
from examples.run.hardware import instructions


def arguments() -> ArgumentParser:
    """Return the parser of the command's own arguments."""
    parser = ArgumentParser()
    add_runs_argument(parser, "of one data set")
    add_place_arguments(parser)
    parser.add_argument("--output", type=Path, default=Path("runs/pools.json"), help="File to write to.")
    return parser


def run(parsed: Namespace, typed: str) -> int:
    """Run the command.

    Raises:
        UserError: There is no run, checkpoint or data, or a run pools nothing; says what.
    """
    from examples.pools.experiment import pool_again  # noqa: PLC0415 - takes seconds

    start, console, place = time.perf_counter(), Console(), parsed_place(parsed)
    plans = [RunFolder(path).read_plan() for path in parsed.runs]
    names = sorted({plan["data"] for plan in plans})
    if len(names) > 1:
        raise UserError(f"`runs` must be of one data set; these are of {names}.")
    found: list[Pooled] = []
    for trained in each_trained(parsed.runs, place, "pooling", console):
        found.append(pool_again(trained))
    results = PoolResults(
        data=trained.data.name,
        metric=METRICS[trained.data.task],
        modalities=list(trained.data.modalities),
        runs=found,
        **origin(typed, time.perf_counter() - start, machine(1, instructions())),
    )
    results.write(parsed.output)
    console.print(f"In {parsed.output}", highlight=False, soft_wrap=True)
    return 0
