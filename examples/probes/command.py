"""The command ``python -m examples probe``: load trained runs, probe their channels, print one table."""

import shlex
import time
from collections.abc import Sequence
from dataclasses import asdict, fields
from importlib.metadata import version
from pathlib import Path

from jsonargparse import ArgumentParser, Namespace
from rich.console import Console

from examples.options import add_place_arguments, parsed_place
from examples.probes.records import Probe, ProbeResults, write_probes
from examples.probes.settings import Settings
from examples.probes.table import show
from examples.results import machine, versions
from examples.runs import RunFolder

_OF_A_RUN = (
    "row",
    "seed",
    "method",
    "arguments",
    "settings",
    "tune",
    "versions",
)  # keys of a plan that runs differ in


def probe_parser() -> ArgumentParser:
    """Return the parser of the command's own arguments."""
    parser = ArgumentParser()
    parser.add_argument("runs", type=Path, nargs="+", help="Folders of trained runs, of one data set.")
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


def probe(parser: ArgumentParser, parsed: Namespace, arguments: Sequence[str]) -> int:
    """Run the command and return the exit status.

    Each run's own probes go into its folder as ``probes.json``; those of all runs into `output`.

    Args:
        parser: From `probe_parser`.
        parsed: What it parsed.
        arguments: What was typed after ``python -m examples``.

    Raises:
        FileNotFoundError: There is no run, or no checkpoint, or no data.
        ValueError: A setting, or the runs, are wrong; says what.
    """
    from examples.probes.experiment import probe_run  # noqa: PLC0415 - takes seconds
    from examples.trained import load_trained  # noqa: PLC0415

    start, console = time.perf_counter(), Console()
    made = parser.instantiate(parsed)
    values = {key.name: made[key.name] for key in fields(Settings)}
    settings = Settings(**{**values, "labels": tuple(parsed.labels or ())})
    place = parsed_place(parsed)
    plans = [RunFolder(path).read_plan() for path in parsed.runs]
    named = sorted({str(plan["data"]) for plan in plans})
    if len(named) > 1:
        raise ValueError(f"`runs` must be of one data set; they are of {named}.")
    found: list[Probe] = []
    for number, path in enumerate(parsed.runs, start=1):
        trained = load_trained(RunFolder(path), place)
        probes = probe_run(trained, settings)
        write_probes(path, probes)
        found += probes
        console.print(
            f"{number}/{len(parsed.runs)} runs: {trained.row}, seed {trained.seed}, {len(probes)} probes",
            highlight=False,
            soft_wrap=True,
        )
    results = ProbeResults(
        data=named[0],
        part=settings.part,
        learned=settings.part != "test",
        command=shlex.join(["python", "-m", "examples", *arguments]),
        settings=asdict(settings),
        recipe={key: value for key, value in plans[0].items() if key not in _OF_A_RUN},
        versions={**versions(), "scikit-learn": version("scikit-learn")},
        machine=machine(1),
        seconds=time.perf_counter() - start,
        probes=found,
    )
    results.write(parsed.output)
    show(results, console)
    console.print(f"\nIn {parsed.output}", highlight=False, soft_wrap=True)
    return 0
