"""The command ``python -m examples probe``: load trained runs, probe their channels, print one table."""

import shlex
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from importlib.metadata import version
from pathlib import Path
from typing import Any

from jsonargparse import ArgumentParser, Namespace
from rich.console import Console

from examples.cli.options import add_place_arguments, parsed_place
from examples.probes.records import Probe, ProbeResults, write_probes
from examples.probes.settings import Settings
from examples.probes.table import show
from examples.results.origin import machine, versions
from examples.run.folder import RunFolder

_OF_A_ROW = ("method", "quantise", "arguments", "settings")
_OF_A_RUN = ("row", "seed", "start", "tune", "versions", *_OF_A_ROW)  # keys of a plan that may be different


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
    from examples.run.trained import load_trained  # noqa: PLC0415

    start, console = time.perf_counter(), Console()
    made = parser.instantiate(parsed)
    values = {key.name: made[key.name] for key in fields(Settings)}
    settings = Settings(**{**values, "labels": tuple(parsed.labels or ())})
    place = parsed_place(parsed)
    plans = [RunFolder(path).read_plan() for path in parsed.runs]
    recipe = shared_recipe(plans)
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
        data=recipe["data"],
        part=settings.part,
        learned=settings.part != "test",
        command=shlex.join(["python", "-m", "examples", *arguments]),
        settings=asdict(settings),
        recipe=recipe,
        versions={**versions(), "scikit-learn": version("scikit-learn")},
        machine=machine(1),
        seconds=time.perf_counter() - start,
        probes=found,
    )
    results.write(parsed.output)
    show(results, console)
    console.print(f"\nIn {parsed.output}", highlight=False, soft_wrap=True)
    return 0


def shared_recipe(plans: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the settings that all runs share, and those of each row under "comparison".

    Args:
        plans: What each run was asked for.

    Raises:
        ValueError: The runs are of several data sets, or of other settings; says which.
    """
    recipe = {key: value for key, value in plans[0].items() if key not in _OF_A_RUN}
    rows: dict[str, dict[str, Any]] = {}
    for plan in plans:
        own = {key: plan[key] for key in _OF_A_ROW}
        known = rows.setdefault(plan["row"], own)
        differ = [key for key in recipe if plan[key] != recipe[key]]
        differ += [f"{plan['row']}.{key}" for key in own if own[key] != known[key]]
        if differ:
            raise ValueError(
                f"`runs` must differ in row and seed only, and do in {differ}; probe them apart."
            )
    return {**recipe, "comparison": rows}
