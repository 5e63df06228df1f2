"""The figure and the table of the README and of the home page, from the study's results: ``python -m docs.shown.front``."""

from pathlib import Path
from statistics import fmean

from matplotlib import rc_context
from PIL import Image

from docs.shown.claims import claim
from docs.shown.page import compared, score
from docs.shown.study.alone_first import APART, FIELDS, HURTS, LONG, OURS, ROOMS, ROWS, UNSEEN, cases, times
from docs.shown.study.cases import plain, read
from examples.results import Interval, Results
from examples.results.figures.cases import over_best_alone
from examples.results.figures.style import STYLE
from examples.results.rows import best_alone, cost, mean_score, paired_difference, verdict

ROOT = Path(__file__).parents[2]
PICTURE = ROOT / "docs" / "figures" / "joining.png"
KINDS = {"worse": "hurts", "even": "even", "better": "helps"}
"""What concatenation of equal time does to the best modality alone, and how the table says it."""
DRAWN = {name: ROWS[name] for name in ("concatenation", LONG, "pooled-experts", APART, OURS)}
"""What the figure shows at a glance; the page on the study has every method."""
WORDS = {3: "Three", 5: "Five", 6: "Six", 7: "Seven", 8: "Eight"}
COLUMNS = {"concatenation": "concatenated", LONG: "concatenated, equal time", OURS: "ours"}


def table() -> str:
    """Return the table of the README."""
    head = f"| accuracy or mIoU, % | best alone | {' | '.join(COLUMNS.values())} |"
    lines = [_line(title, results) for title, results in cases().items()]
    return "\n".join([head, "|---" + "|--:" * (1 + len(COLUMNS)) + "|", *lines])


def words() -> str:
    """Return the figure in words, for those who do not see it: what each case gains; the table has the rest."""
    found = []
    for title, results in cases().items():
        rows, best = results.rows(), best_alone(results) or ""
        gains = (paired_difference(rows[name], rows[best]).mean for name in ("concatenation", OURS))
        found.append(f"{plain(title)} {' and '.join(f'{gain:+.1f}' for gain in gains)}")
    return f"Points over the best modality alone, of concatenation and of ours. {'; '.join(found)}."


def claims() -> None:
    """Hold what both pages show of the results."""
    readme, home = ((ROOT / page).read_text(encoding="utf-8") for page in ("README.md", "docs/index.md"))
    with Image.open(PICTURE) as picture:
        claim("the figure of `python -m docs.shown.front`", picture.info["Description"] == words())
    claim("the figure in words", words() in home)
    claim("the table of `python -m docs.shown.front`", table() in readme)
    counts = sorted({results.recipe["seeds"] for results in cases().values()})
    said = " to ".join(WORDS[count] for count in dict.fromkeys((counts[0], counts[-1]))) + " seeds"
    claim(said, *(said.lower() in page.lower() for page in (readme, home)))
    noisy, fields = read("hurts-grid-10db"), read(FIELDS)
    pool = {title: _pool_over_ours(results) for title, results in cases().items()}
    behind = [title for title, difference in pool.items() if verdict(difference) == "worse"]
    claim(f"{len(behind)} cases", f"worse in {WORDS[len(behind)].lower()} cases" in readme)
    claim("level elsewhere", *(verdict(difference) != "better" for difference in pool.values()))
    for where in (noisy, fields):
        difference = _pool_over_ours(where)
        claim("worse on the noisy letters, on CWFID", verdict(difference) == "worse")
        claim(f"by {abs(difference.mean):.1f}", f"{abs(difference.mean):.1f} " in readme)
    claim(f"nothing was chosen on {len(UNSEEN)}", f"[{WORDS[len(UNSEEN)].lower()} of them]" in readme)
    claim(
        "three times the parameters",
        *(2.9 < cost(each, OURS).parameters < 3.3 for each in cases().values()),
    )
    claim(f"{times()} equal time", f"{times()} *equal time*" in readme)
    rooms = read(ROOMS)
    for row in ("concatenation", LONG):
        claim(f"nor on NYUv2: {row}", compared(rooms, row, OURS) in ("even", "worse"))
    claim("three channels in ten", 65 < fmean(run.kept["sound"] for run in noisy.rows()[OURS]) < 75)
    depth = read("hurts-utd-depth-skeleton").rows()[OURS]
    claim("none of the depth that hurts", all(run.kept["depth"] > 99 for run in depth))


def _pool_over_ours(results: Results) -> Interval:
    rows = results.rows()
    return paired_difference(rows["pooled-experts"], rows[OURS])


def _line(title: str, results: Results) -> str:
    rows, best = results.rows(), best_alone(results) or ""
    cells = [mean_score(rows[name]) for name in (best, *COLUMNS)]
    scores = [score(cell).replace("\u00a0", "") for cell in cells]
    scores[0] += f" ({best})"
    return f"| {_kind(results)}: {plain(title)} | {' | '.join(scores)} |"


def _kind(results: Results) -> str:
    """Return what joining does to the best modality alone beyond the interval."""
    rows, best = results.rows(), best_alone(results) or ""
    return KINDS[verdict(paired_difference(rows[LONG], rows[best]))]


def main() -> None:
    """Draw the figure and print the table."""
    with rc_context(STYLE):
        figure = over_best_alone(cases(), DRAWN, hurting=len(HURTS))
        figure.savefig(PICTURE, metadata={"Description": words(), "Software": None})
    print(words(), table(), sep="\n\n")


if __name__ == "__main__":
    main()
