"""The figure and the table of the README and of the home page, from the study's results: ``python -m docs.shown.front``."""

from pathlib import Path
from statistics import fmean

from matplotlib import rc_context
from PIL import Image

from docs.shown.claims import claim
from docs.shown.page import score
from docs.shown.study.alone_first import FIELDS, HURTS, LONG, MORE, OURS, ROWS, cases
from docs.shown.study.cases import plain, read
from examples.results import Interval, Results
from examples.results.figures.cases import over_best_alone
from examples.results.figures.style import STYLE
from examples.results.rows import best_alone, mean_score, paired_difference, verdict

ROOT = Path(__file__).parents[2]
PICTURE = ROOT / "docs" / "figures" / "joining.png"
KINDS = {
    ("worse", "worse"): "hurts",
    ("even", "worse"): "hurts, given time",
    ("even", "even"): "even",
    ("even", "better"): "helps, given time",
    ("better", "better"): "helps",
}
"""What concatenation does to the best modality alone, the short one and that of equal time, and how the table says it."""
DRAWN = {name: ROWS[name] for name in ("concatenation", LONG, "pooled-experts", MORE, OURS)}
"""What the figure shows at a glance; the page on the study has every method."""
WORDS = {5: "Five", 8: "Eight", 10: "Ten"}
COLUMNS = {"concatenation": "concatenated", LONG: "concatenated, equal time", OURS: "alone, joined, pooled"}


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
    noisy, clean, fields = read("hurts-grid-10db"), read("helps-grid-clean"), read(FIELDS)
    gains = {"worse on the noisy letters": noisy, "on CWFID": fields, "better without noise": clean}
    for words_of_it, results in gains.items():
        points = f"{abs(_pool_over_ours(results).mean):.1f} "
        claim(
            f"{points}{words_of_it}",
            points in readme,
            verdict(_pool_over_ours(results)) == ("better" if results is clean else "worse"),
        )
    level = [results for results in cases().values() if results not in gains.values()]
    claim(
        "the pool is level with ours elsewhere",
        *(verdict(_pool_over_ours(each)) == "even" for each in level),
    )
    rows = fields.rows()
    claim("ours loses on CWFID", verdict(paired_difference(rows[OURS], rows["concatenation"])) == "worse")
    claim("one more makes up", verdict(paired_difference(rows[MORE], rows["concatenation"])) == "even")
    claim("three channels in ten", 65 < fmean(run.kept["sound"] for run in noisy.rows()[OURS]) < 75)
    depth = read("hurts-utd-depth-skeleton").rows()[OURS]
    claim("none of the depth that hurts", all(run.kept["depth"] > 99 for run in depth))
    rows = noisy.rows()
    claim("no accuracy by itself", verdict(paired_difference(rows[OURS], rows["joined-pooled"])) == "even")


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
    at_once, given_time = (
        verdict(paired_difference(rows[name], rows[best])) for name in ("concatenation", LONG)
    )
    return KINDS[at_once, given_time]


def main() -> None:
    """Draw the figure and print the table."""
    with rc_context(STYLE):
        figure = over_best_alone(cases(), DRAWN, hurting=len(HURTS))
        figure.savefig(PICTURE, metadata={"Description": words(), "Software": None})
    print(words(), table(), sep="\n\n")


if __name__ == "__main__":
    main()
