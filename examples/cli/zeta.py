"""``python -m examples zeta``: make the trials, or read them, and draw."""

from dataclasses import fields
from pathlib import Path

from jsonargparse import ArgumentParser, Namespace
from rich.console import Console

from examples.typed import build
from examples.zeta.experiment import experiment, plan
from examples.zeta.records import ZetaResults
from examples.zeta.trial import Settings


def arguments() -> ArgumentParser:
    """Return the parser of the command's own arguments."""
    parser = ArgumentParser()
    parser.add_class_arguments(Settings, fail_untyped=True)
    parser.add_argument("--dials", type=str, nargs="+", default=None, help="Only these dials.")
    parser.add_argument("--read", type=Path | None, default=None, help="Draw this file; make no trials.")
    parser.add_argument("--output", type=Path, default=Path("runs/zeta"), help="Folder to write to.")
    parser.add_argument(
        "--workers", type=int | None, default=None, help="Processes (default: one for each core)."
    )
    return parser


def run(parsed: Namespace, typed: str) -> int:
    """Run the command.

    Raises:
        UserError: There is no file to read, a setting is wrong, or there is no such dial; says what.
    """
    from examples.zeta.figure import draw  # noqa: PLC0415 - takes a second

    console = Console()
    if parsed.read is not None:
        results = ZetaResults.read(parsed.read)
    else:
        settings = build(Settings, {key.name: parsed[key.name] for key in fields(Settings)})
        jobs = plan(settings, parsed.dials)
        results = experiment(jobs, workers=parsed.workers, command=typed, console=console)
        results.write(parsed.output / "zeta.json")
    for path in draw(results, parsed.output):
        console.print(str(path), highlight=False, soft_wrap=True)
    return 0
