"""What every page is made with: paragraphs, tables, figures, points."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from importlib import import_module
from io import BytesIO
from pathlib import Path
from typing import Any

from IPython.display import SVG, Image, Markdown, display
from matplotlib import rc_context
from matplotlib.figure import Figure

from examples.results import Interval, Results
from examples.results.figures.style import STYLE
from examples.results.rows import against, verdict

REPOSITORY = Path(__file__).parents[2]
RESULTS = REPOSITORY / "examples" / "results"
NOTHING = "-"


@dataclass(frozen=True)
class Numbers:
    """The functions of a page's module, for the sentences of its page: ``{{ zeta.rank("noise", "high") }}``.

    The module is imported when a page first asks for one of them.

    Args:
        module: Name of the module.
    """

    module: str

    def __getitem__(self, name: str) -> Any:
        """Return what the module calls ``name``; this is where templates look when there is no attribute."""
        return getattr(import_module(f"docs.shown.{self.module}"), name)


def say(*paragraphs: str) -> None:
    """Show paragraphs of Markdown."""
    display(Markdown("\n\n".join(paragraphs)))


def table(head: Sequence[str], lines: Iterable[Sequence[object]], words: int = 1) -> str:
    """Return a table as Markdown. Its first ``words`` columns hold words, the others numbers."""
    rows = [head, ["---"] * words + ["--:"] * (len(head) - words), *lines]
    return "\n".join(f"| {' | '.join(map(str, row))} |" for row in rows)


def bullets(sentences: Iterable[str]) -> str:
    """Return a list as Markdown."""
    return "\n".join(f"- {sentence}" for sentence in sentences)


def vector(svg: str) -> None:
    """Show a picture of lines and words."""
    display(SVG(svg))


def raster(figure: Figure) -> None:
    """Show a figure as pixels, for one with very many lines."""
    stream = BytesIO()
    figure.savefig(stream, format="png")
    display(Image(stream.getvalue(), format="png"))


def draw(figure: Callable[..., Figure], *arguments: object) -> None:
    """Show a figure of the examples in their style."""
    stream = BytesIO()
    with rc_context(STYLE):
        figure(*arguments).savefig(stream, format="svg")
    vector(stream.getvalue().decode())


def score(value: Interval) -> str:
    """Return a mean and its interval on one line."""
    return f"{value.mean:.1f}\u00a0±\u00a0{value.half_width:.1f}"


def points(value: Interval | None) -> str:
    """Return a difference with its sign and interval on one line."""
    if value is None:
        return NOTHING
    mean = round(value.mean, 1) + 0.0  # no minus at zero
    return f"{mean:+.1f}\u00a0±\u00a0{value.half_width:.1f}"


def marked(value: Interval | None) -> str:
    """Return `points`, bold where they lie beyond their interval."""
    return f"**{points(value)}**" if value is not None and verdict(value) != "even" else points(value)


def compared(results: Results, row: str, base: str) -> str:
    """Return "better", "worse" or "even", as `verdict` does of a row against another; nothing where one of them has no runs."""
    difference = against(results, row, base)
    return "" if difference is None else verdict(difference)


def provenance(command: str, seconds: float, machine: str, versions: dict[str, str]) -> str:
    """Return what made a file of results: the command, how long it took, where, with which versions."""
    packages = ", ".join(f"{name} {version}" for name, version in versions.items())
    return f"`{command}`: {seconds / 60:.0f} minutes on {machine}; {packages}."
