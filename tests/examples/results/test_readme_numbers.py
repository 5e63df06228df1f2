"""Every number in the README's tables is the one in the files of results, up to a margin."""

import re

import pytest

from examples.results import Results, interval
from examples.results.rows import against, best_alone, mean_score
from tests.support.numbers import SHARE, ZETA, holds, numbers, says
from tests.support.paths import ROOT

RESULTS = ROOT / "examples" / "results"
README = (ROOT / "README.md").read_text(encoding="utf-8")
NAMES = ("utd-depth-skeleton", "utd-skeleton-inertial", "av-digits-300")
STUDIES = [Results.read(RESULTS / "study" / f"{name}.json") for name in NAMES]
PAIRED = {
    "uniform losses": "uniform",
    "OGM-GE": "ogm-ge",
    "PMR": "pmr",
    "MMPareto": "mmpareto",
    "mask, no penalty": "mask-no-penalty",
    "mask, with penalty": "mask",
    "mask, strong penalty": "mask-strong",
    "mask, strong penalty, uniform losses": "mask-strong-uniform",
    "quantised, masked, with penalty": "vq-mask",
}


def cells(start: str) -> list[str]:
    """The cells of a table's line, without the first."""
    (found,) = [each for each in README.splitlines() if each.startswith(f"| {start} |")]
    return [cell.strip() for cell in found.strip("|").split("|")[1:]]


def paragraph(words: str) -> str:
    (found,) = [each for each in README.split("\n\n") if words in each]
    return " ".join(found.split())


def study(name: str) -> Results:
    return Results.read(RESULTS / "study" / f"{name}.json")


def opened(results: Results, row: str) -> float:
    return interval([sum(run.complementary.values()) for run in results.rows()[row]]).mean


@pytest.mark.parametrize("words", PAIRED)
def test_differences_on_real_pairs(words: str):
    for cell, results in zip(cells(words), STUDIES, strict=True):
        difference = against(results, PAIRED[words], "concatenation")
        if difference is None:
            assert cell == "not run"
            continue
        shown, _, share = cell.partition("(")
        assert says(shown, difference.mean, difference.half_width)
        if "mask" in words:
            assert says(share, opened(results, PAIRED[words]), within=SHARE)


def test_scores_on_real_pairs():
    for alone, both, results in zip(
        cells("best modality alone"), cells("concatenated"), STUDIES, strict=True
    ):
        name = best_alone(results)
        best, joined = (mean_score(results.rows()[row]) for row in (name, "concatenation"))
        assert says(alone, best.mean, best.half_width)
        assert f"({name})" in alone
        assert says(both, joined.mean, joined.half_width)


def test_what_depth_adds():
    shown, (depth, *_) = paragraph("None of these beats plain concatenation"), STUDIES
    assert holds(shown, against(depth, "concatenation", best_alone(depth)))
    (closed,) = re.findall(r"closes (\d+ %) of its channels", shown)
    assert says(
        closed, 100 - interval([run.kept["depth"] for run in depth.rows()["mask"]]).mean, within=SHARE
    )


def test_penn_action():
    shown, results = paragraph("On Penn Action (pose"), study("penn-action")
    for row in ("uniform", "mask-uniform", "mmpareto"):
        assert holds(shown, against(results, row, "concatenation"))
    assert f"{results.samples['test']:,} test clips" in shown


def test_the_vote():
    shown = paragraph("**What does beat it**")
    for name in ("again-utd-skeleton-inertial", "av-digits-300", "utd-depth-skeleton"):
        results = study(f"confirm-{name}")
        for row in ("mask-uniform-vote", "uniform-vote"):
            assert holds(shown, against(results, row, "concatenation"))
        assert f"({results.recipe['seeds']}" in shown
    for name in ("penn-action", "utd-all", "av-digits-3000", "cwfid"):
        assert holds(shown, against(study(name), "mask-uniform-vote", "concatenation"))
    for name in ("penn-action", "utd-all"):
        results = study(name)
        beyond = against(results, "mask-uniform-vote", best_alone(results))
        assert beyond.mean > beyond.half_width


@pytest.mark.parametrize(
    ("words", "row"),
    [
        ("best view alone (fac)", "fac"),
        ("all six, concatenated", "concatenation"),
        ("masked, no penalty", "mask-no-penalty"),
        ("**masked, with penalty**", "mask"),
    ],
)
def test_the_demo(words: str, row: str):
    results = Results.read(RESULTS / "mfeat.json")
    runs, (accuracy, share, *views, zeta) = results.rows()[row], cells(words)
    found = mean_score(runs)
    assert says(accuracy, found.mean, found.half_width)
    assert best_alone(results) == "fac"
    if len(runs[0].channels) > 1:
        shares = [interval([run.complementary[name] for run in runs]).mean for name in results.modalities]
        assert says(share, opened(results, row), within=SHARE)
        assert says(" ".join(views), *shares, within=SHARE / len(shares))
        assert says(zeta, interval([run.zeta for run in runs]).mean, within=ZETA)
    else:
        assert numbers(" ".join([share, *views, zeta])) == []
