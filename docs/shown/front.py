"""The figure and the table of the README and of the home page, from the study's results: ``python -m docs.shown.front``."""

from pathlib import Path

from matplotlib import rc_context
from PIL import Image

from docs.shown.claims import claim
from docs.shown.page import score
from docs.shown.study.alone_first import HURTS, LONG, OURS, ROWS, cases
from docs.shown.study.cases import plain
from examples.results import Results
from examples.results.figures.cases import over_best_alone
from examples.results.figures.style import STYLE
from examples.results.rows import best_alone, mean_score

ROOT = Path(__file__).parents[2]
PICTURE = ROOT / "docs" / "figures" / "joining.png"
COLUMNS = {"concatenation": "concatenated", LONG: "concatenated, equal time", OURS: "alone, joined, pooled"}


def table() -> str:
    """Return the table of the README: cases that hurt, then cases that help."""
    head = f"| accuracy, % | best alone | {' | '.join(COLUMNS.values())} |"
    lines = [_line(title, results) for title, results in cases().items()]
    return "\n".join([head, "|---" + "|--:" * (1 + len(COLUMNS)) + "|", *lines])


def words() -> str:
    """Return the figure in words, with its numbers: what those read who do not see it."""
    found = []
    for title, results in cases().items():
        rows, best = results.rows(), best_alone(results) or ""
        numbers = ", ".join(f"{words} {mean_score(rows[name]).mean:.1f} %" for name, words in COLUMNS.items())
        found.append(f"{plain(title)}: {best} alone {mean_score(rows[best]).mean:.1f} %, {numbers}.")
    return " ".join(found)


def claims() -> None:
    """Hold what both pages show of the results."""
    readme, home = ((ROOT / page).read_text(encoding="utf-8") for page in ("README.md", "docs/index.md"))
    with Image.open(PICTURE) as picture:
        claim("the figure of `python -m docs.shown.front`", picture.info["Description"] == words())
    claim("the figure in words", words() in readme, words() in home)
    claim("the table of `python -m docs.shown.front`", table() in readme)


def _line(title: str, results: Results) -> str:
    rows, best = results.rows(), best_alone(results) or ""
    cells = [
        f"{score(mean_score(rows[best]))} ({best})",
        *(score(mean_score(rows[name])) for name in COLUMNS),
    ]
    cells[-1] = f"**{cells[-1]}**"
    kind = "hurts" if title in HURTS.values() else "helps"
    return f"| joining {kind}: {plain(title)} | {' | '.join(cells)} |"


def main() -> None:
    """Draw the figure and print the table."""
    with rc_context(STYLE):
        figure = over_best_alone(cases(), ROWS, hurting=len(HURTS))
        figure.savefig(PICTURE, metadata={"Description": words(), "Software": None})
    print(words(), table(), sep="\n\n")


if __name__ == "__main__":
    main()
