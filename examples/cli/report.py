"""``python -m examples report``: read runs, look at their networks, write one page."""

from collections.abc import Sequence
from pathlib import Path

from jsonargparse import ArgumentParser, Namespace
from rich.console import Console

from examples.cli.options import add_place_arguments, parsed_place
from examples.cli.watched import watched
from examples.data.place import Place
from examples.errors import UserError

_MEGABYTE = 1_000_000
_LARGE = 10  # megabytes


def arguments() -> ArgumentParser:
    """Return the parser of the command's own arguments."""
    parser = ArgumentParser()
    parser.add_argument(
        "runs", type=Path, nargs="+", help="Folders of runs, such as runs/NAME/ROW/seed-0, or of comparisons."
    )
    add_place_arguments(parser)
    parser.add_argument("--output", type=Path, default=Path("report.html"), help="File to write to.")
    parser.add_argument("--samples", type=int, default=6, help="How many are shown in each gallery.")
    return parser


def run(parsed: Namespace, typed: str) -> int:
    """Run the command.

    Raises:
        UserError: A folder holds no run, an argument or a file is wrong, or the runs are of several data sets; says what.
    """
    if parsed.samples < 1:
        raise UserError(f"`samples` (={parsed.samples}) must be at least 1.")
    write_report(
        parsed.runs,
        parsed_place(parsed),
        parsed.output,
        samples=parsed.samples,
        command=typed,
        console=Console(),
    )
    return 0


def write_report(
    runs: Sequence[Path], place: Place, output: Path, *, samples: int = 6, command: str, console: Console
) -> None:
    """Look at runs, write the page, and say where it is and how large.

    Args:
        runs: Folders of runs and of comparisons.
        place: Location of the data.
        output: File to write to.
        samples: Number of samples shown in each gallery.
        command: Command that was typed, for the record.
        console: Console to print to.

    Raises:
        UserError: A folder holds no run, or the runs are of several data sets; says what.
    """
    from examples.report.page import render  # noqa: PLC0415 - takes seconds
    from examples.report.subjects import gather  # noqa: PLC0415 - takes seconds
    from examples.report.views import view  # noqa: PLC0415 - takes seconds

    given = gather(runs, place)
    root = None if place.root is None else str(place.root)
    views = [
        view(subject, number, root=root, samples=samples)
        for number, subject in enumerate(watched(given.subjects, "looking at networks", console))
    ]
    page = render(given, views, command=command)
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(page, encoding="utf-8")
    size = len(page.encode()) / _MEGABYTE
    console.print(f"{output}: {size:.1f} MB", highlight=False, soft_wrap=True)
    if size > _LARGE:
        console.print(f"That is more than {_LARGE} MB; --samples shows fewer.", highlight=False)
