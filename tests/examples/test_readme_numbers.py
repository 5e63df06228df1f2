"""Every number in the README's tables is the one in the files of results."""

from pathlib import Path

import pytest

from examples.comparisons import against, best_alone, mean_score
from examples.results import Interval, Results, interval

REPOSITORY = Path(__file__).parents[2]
RESULTS = REPOSITORY / "examples" / "results"
LINES = (REPOSITORY / "README.md").read_text(encoding="utf-8").splitlines()
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


def line(start: str) -> str:
    (found,) = [each for each in LINES if each.startswith(f"| {start} |")]
    return found


def score(of: Interval) -> str:
    return f"{of.mean:.1f} ± {of.half_width:.1f}"


def kept(results: Results, row: str) -> float:
    return interval([sum(run.complementary.values()) for run in results.rows()[row]]).mean


@pytest.mark.parametrize("words", PAIRED)
def test_differences_on_real_pairs(words: str):
    cells = line(words).removesuffix(" |").split(" | ")[1:]
    for cell, results in zip(cells, STUDIES, strict=True):
        difference = against(results, PAIRED[words], "concatenation")
        if difference is None:
            assert cell == "not run"
            continue
        shown = f"{difference.mean:+.1f} ± {difference.half_width:.1f}"
        if "mask" in words:
            shown += f" ({kept(results, PAIRED[words]):.0f} %)"
        assert cell == shown


def test_scores_on_real_pairs():
    for results in STUDIES:
        best = best_alone(results)
        assert f"{score(mean_score(results.rows()[best]))} ({best})" in line("best modality alone")
        assert score(mean_score(results.rows()["concatenation"])) in line("concatenated")


def test_penn_action():
    results = Results.read(RESULTS / "study" / "penn-action.json")
    (start,) = [place for place, each in enumerate(LINES) if "On Penn Action" in each]
    shown = " ".join(LINES[start : start + 2])
    for row in ("uniform", "mask-uniform", "mmpareto"):
        difference = against(results, row, "concatenation")
        assert f"{difference.mean:+.1f} ± {difference.half_width:.1f}" in shown
    assert f"{results.samples['test']:,} test clips" in shown


def test_the_vote():
    confirmed = [
        Results.read(RESULTS / "study" / f"confirm-{name}.json")
        for name in ("again-utd-skeleton-inertial", "av-digits-300", "utd-depth-skeleton")
    ]
    (start,) = [place for place, each in enumerate(LINES) if each.startswith("**What does beat it**")]
    shown = " ".join(LINES[start : start + 6])
    for results in confirmed:
        for row in ("mask-uniform-vote", "uniform-vote"):
            difference = against(results, row, "concatenation")
            assert f"{difference.mean:+.1f} ± {difference.half_width:.1f}" in shown
        assert f"({results.recipe['seeds']}" in shown
    for name in ("penn-action", "utd-all"):
        results = Results.read(RESULTS / "study" / f"{name}.json")
        difference, beyond = (
            against(results, "mask-uniform-vote", base) for base in ("concatenation", best_alone(results))
        )
        assert f"{difference.mean:+.1f} ± {difference.half_width:.1f}" in shown
        assert beyond.mean > beyond.half_width
    for name in ("av-digits-3000", "cwfid"):
        difference = against(
            Results.read(RESULTS / "study" / f"{name}.json"), "mask-uniform-vote", "concatenation"
        )
        assert f"{difference.mean:+.1f} ± {difference.half_width:.1f}" in shown


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
    runs, shown = results.rows()[row], line(words)
    assert score(mean_score(runs)) in shown
    assert best_alone(results) == "fac"
    if len(runs[0].channels) > 1:
        shares = [interval([run.complementary[name] for run in runs]).mean for name in results.modalities]
        assert " | ".join(f"{share:.1f}" for share in shares) in shown
        assert f"| {interval([run.zeta for run in runs]).mean:.2f} |" in shown
        assert f"{kept(results, row):.1f} %".replace("100.0", "100") in shown
