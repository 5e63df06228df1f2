"""``python -m examples probe``: load trained runs, probe their channels, print one table."""

import time
from dataclasses import asdict, fields
from pathlib import Path

from jsonargparse import ArgumentParser, Namespace
from rich.console import Console

from examples.cli.options import add_place_arguments, parsed_place
from examples.cli.watched import add_runs_argument, each_trained
from examples.probes.records import Probe, ProbeResults, write_probes
from examples.probes.settings import Settings
from examples.probes.shared import shared_recipe
from examples.probes.table import show
from examples.results.origin import machine, origin
from examples.run.folder import RunFolder
from examples.run.hardware import instructions
from examples.typed import build


def arguments() -> ArgumentParser:
    """Return the parser of the command's own arguments."""
    parser = ArgumentParser()
    add_runs_argument(parser, "of one data set")
    parser.add_class_arguments(Settings, fail_untyped=True, skip={"labels"})
    parser.add_argument(
        "--labels",
        type=str,
        nargs="+",
        default=None,
        help="What is asked (default: all side labels, and target).",
    )
    add_place_arguments(parser)
    parser.add_argument("--output", type=Path, default=Path("runs/probes.json"), help="File to write to.")
    return parser


def run(parsed: Namespace, typed: str) -> int:
    """Run the command.

    Raises:
        UserError: There is no run, checkpoint or data, or a setting is wrong; says what.
    """
    from examples.probes.experiment import probe_run  # noqa: PLC0415 - takes seconds

    start, console = time.perf_counter(), Console()
    values = {key.name: parsed[key.name] for key in fields(Settings)}
    settings = build(Settings, {**values, "labels": tuple(parsed.labels or ())})
    place = parsed_place(parsed)
    plans = [RunFolder(path).read_plan() for path in parsed.runs]
    recipe = shared_recipe(plans)
    found: list[Probe] = []
    for trained in each_trained(parsed.runs, place, "probing", console):
        probes = probe_run(trained, settings)
        write_probes(trained.folder.path, probes)
        found += probes
    results = ProbeResults(
        data=recipe["data"],
        part=settings.part,
        learned=settings.part != "test",
        settings=asdict(settings),
        recipe=recipe,
        probes=found,
        **origin(typed, time.perf_counter() - start, machine(1, instructions()), "scikit-learn"),
    )
    results.write(parsed.output)
    show(results, console)
    console.print(f"\nIn {parsed.output}", highlight=False, soft_wrap=True)
    return 0
