"""Intervals by hand, results as JSON and back, and the table and sentences made from them."""

import io
import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from examples.errors import UserError
from examples.results import EpochRecord, Failure, Interval, Results, Run, Trial, interval, paired_difference
from examples.results.figures.scores import draw_scores, scores_figure
from examples.results.figures.training import draw
from examples.results.statistics import finite, rounded
from examples.results.tables import findings, show
from tests.support.paths import ROOT

SHIPPED = ROOT / "examples" / "results"
OF_COMPARISONS = sorted(
    {*SHIPPED.rglob("*.json")}
    - {*SHIPPED.glob("probes-*"), *SHIPPED.glob("pools-*"), *SHIPPED.rglob("*-sizes.json")}
    - {SHIPPED / f"{name}.json" for name in ("people", "zeta", "zeta-held-out")}
)


def run(row: str, seed: int, score: float, *, kept: dict[str, int] | None = None, alone: bool = False) -> Run:
    channels = {"a": 4} if alone else {"a": 4, "b": 4}
    shares = (
        dict.fromkeys(channels, 100.0) if kept is None else {name: 25.0 * kept[name] for name in channels}
    )
    complementary = {name: share * 4 / sum(channels.values()) for name, share in shares.items()}
    zeta = None if alone or not any(shares.values()) else min(shares.values()) / max(shares.values())
    mask = "" if kept is None else "".join("1" * kept[name] + "0" * (4 - kept[name]) for name in channels)
    masked = {} if kept is None else complementary
    losses = {"total": 1.0, "task": 1.0, "reconstruction": 0.0, "code": 0.0, "mask": 0.0}
    opened = EpochRecord(
        losses,
        {"a": 50.0, "b": 50.0} if masked else {},
        1.0,
        0,
        {"a": 3.0},
        {"loss": 1.0, "score": 50.0},
        "1" * 8 if masked else "",
    )
    method = "unimodal" if alone else "concatenation" if kept is None else "complementary_mask"
    return Run(
        row=row,
        seed=seed,
        method=method,
        quantise=True,
        channels=channels,
        score=score,
        chosen=2,
        complementary=complementary,
        kept=shares,
        zeta=zeta,
        alone=dict.fromkeys(channels, 10.0),
        parameters=10,
        seconds=1.0,
        processor_seconds=0.5,
        epochs=[opened, EpochRecord(losses, masked, zeta, 3, {"a": 4.0}, {}, mask)],
    )


def results(*runs: Run) -> Results:
    return Results(
        data="toy",
        modalities=["a", "b"],
        classes=2,
        metric="accuracy",
        samples={"train": 300, "test": 1700},
        command="python -m examples compare",
        recipe={"epochs": 2, "comparison": dict.fromkeys(run.row for run in runs)},
        versions={"python": "3"},
        machine="a machine",
        seconds=1.5,
        trials=[
            Trial("both", {"arguments.p": 0.5}, 0.7, 60.0, chosen=True),
            Trial("both", {}, None, None, chosen=False),
        ],
        failures=[Failure("mask", 1000, "ValueError: no")],
        runs=list(runs),
    )


@pytest.fixture
def some() -> Results:
    return results(
        run("a", 0, 80, alone=True),
        run("a", 1, 84, alone=True),
        run("both", 0, 90),
        run("both", 1, 92),
        run("mask", 0, 91, kept={"a": 2, "b": 0}),
        run("mask", 1, 92, kept={"a": 1, "b": 1}),
    )


def test_interval_by_hand():
    # mean 3, s = sqrt((1 + 0 + 1) / 2) = 1, t(0.975, 2) = 4.302653, half width = 4.302653 / sqrt(3)
    assert interval([2.0, 3.0, 4.0]) == Interval(3.0, pytest.approx(2.484138, rel=1e-6), 3)


def test_interval_of_two_and_of_equal_values():
    assert interval([1.0, 3.0]).half_width == pytest.approx(12.7062, rel=1e-5)
    assert interval([5.0] * 4) == Interval(5.0, 0.0, 4)


def test_interval_of_one_and_of_none():
    assert interval([7.0]).mean == 7.0
    assert math.isnan(interval([7.0]).half_width)
    with pytest.raises(ValueError, match=r"`values` \(=\[\]\) must hold at least one number"):
        interval([])


def test_paired_difference_is_by_seed(some: Results):
    rows = some.rows()
    difference = paired_difference(rows["mask"], rows["both"])
    assert difference.mean == 0.5
    assert difference.half_width == pytest.approx(12.7062 * 0.5, rel=1e-5)


def test_finite():
    assert finite(0.25) == 0.25
    assert finite(math.nan) is None


def test_json_and_back(some: Results, tmp_path: Path):
    path = tmp_path / "new" / "results.json"
    closed = replace(some, runs=[*some.runs, run("closed", 0, 10, kept={"a": 0, "b": 0})])
    closed.write(path)
    assert Results.read(path) == closed
    assert json.loads(path.read_text())["runs"][-1]["zeta"] is None


def test_small_files_keep_the_epochs_of_masks_only(some: Results, tmp_path: Path):
    some.small().write(tmp_path / "summary.json")
    small = Results.read(tmp_path / "summary.json")
    masked = small.rows()["mask"][0].epochs
    assert [record.complementary for record in masked] == [
        record.complementary for record in some.rows()["mask"][0].epochs
    ]
    assert [(record.loss, record.mask) for record in masked] == [({}, "")] * 2
    assert masked[0].validation == {"loss": 1.0, "score": 50.0}
    assert [run.epochs for run in small.rows()["both"]] == [[], []]
    assert [run.score for run in small.runs] == [run.score for run in some.runs]


def test_one_line_a_run(some: Results, tmp_path: Path):
    some.write(tmp_path / "results.json")
    lines = (tmp_path / "results.json").read_text().splitlines()
    assert sum(line.startswith('{"row":') for line in lines) == len(some.runs)


@pytest.mark.parametrize("path", OF_COMPARISONS, ids=lambda path: str(path.relative_to(SHIPPED)))
def test_results_that_ship_are_read_and_written(path: Path, tmp_path: Path):
    results = Results.read(path)
    results.write(tmp_path / "again.json")
    assert Results.read(tmp_path / "again.json") == results
    assert results.runs


def test_rounded():
    assert rounded({"a": 123.45678, "b": 1e-9 / 3, "c": 0.0}) == {"a": 123.457, "b": 3.33333e-10, "c": 0.0}


def test_missing_results(tmp_path: Path):
    with pytest.raises(UserError, match=r"No results at .*`python -m examples compare` writes them"):
        Results.read(tmp_path / "results.json")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is not JSON"),
        ("[]", "is not what `python -m examples compare` writes: It must be"),
        ('{"format": 99}', r"`format` \(=99\) must be 3. It lacks 'data'. .*And \d+ more"),
        (
            '{"format": 3, "seed": 3, "runs": []}',
            r"lacks 'classes'",
        ),
    ],
)
def test_wrong_results(tmp_path: Path, text: str, message: str):
    path = tmp_path / "results.json"
    path.write_text(text)
    with pytest.raises(UserError, match=message):
        Results.read(path)


def test_table(some: Results):
    console = Console(width=100, file=io.StringIO(), record=True)
    show(some, console)
    lines = [line.split() for line in console.export_text().splitlines()]
    assert ["a", "82.0", "±", "25.4", "-", "-", "-", "-"] in lines
    assert ["both", "91.0", "±", "12.7", "100", "50.0", "50.0", "1.00"] in lines
    assert ["mask", "91.5", "±", "6.4", "25.0", "18.8", "6.2", "0.50"] in lines


def test_findings(some: Results):
    first, second, third = findings(some)
    assert third == "mask failed with seed 1000: ValueError: no"
    assert first == "both against a, the best alone: +9.0 ± 12.7 points."
    assert second == (
        "mask leaves 25.0 % of the channels open; +0.5 ± 6.4 points against both; closed completely: b (1 of 2 seeds)."
    )


def test_findings_of_a_single_seed():
    only = results(run("both", 0, 90), run("mask", 0, 91, kept={"a": 1, "b": 1}))
    expected = "mask leaves 25.0 % of the channels open; +1.0 points against both; closed completely: none."
    assert findings(replace(only, failures=[])) == [expected]


def test_pictures(some: Results, tmp_path: Path):
    paths = draw(some, tmp_path / "pictures")
    assert [path.name for path in paths] == ["mask.png", "complementarity.png"]
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in paths)


def test_no_pictures_without_a_mask(some: Results, tmp_path: Path):
    assert draw(replace(some, runs=some.runs[:4]), tmp_path / "pictures") == []
    assert not (tmp_path / "pictures").exists()


def test_picture_of_the_scores(some: Results, tmp_path: Path):
    (path,) = draw_scores(some, tmp_path / "pictures", title="Did it hurt?")
    assert path.name == "scores.png"
    assert path.read_bytes().startswith(b"\x89PNG")


def test_scores_have_those_of_one_modality_first_and_a_line_at_the_best():
    one_seed = results(run("both", 0, 90), run("a", 0, 80, alone=True), run("worse", 0, 70, alone=True))
    two_seeds = results(
        *one_seed.runs, run("both", 1, 92), run("a", 1, 84, alone=True), run("worse", 1, 71, alone=True)
    )
    for made, means, best in (
        (one_seed, ["80.0", "70.0", "90.0"], 80),
        (two_seeds, ["82.0", "70.5", "91.0"], 82),
    ):
        figure = scores_figure(made, title="Did it hurt?")
        (axis,) = figure.axes
        assert [label.get_text() for label in axis.get_yticklabels()] == ["a", "worse", "both"]
        assert [text.get_text() for text in axis.texts] == means
        dashed = [line for line in axis.lines if line.get_linestyle() == "--"]
        assert [list(line.get_xdata()) for line in dashed] == [[best, best]]
        assert figure.get_suptitle() == "Did it hurt?"


def test_no_picture_of_one_row(tmp_path: Path):
    assert draw_scores(results(run("both", 0, 90)), tmp_path / "pictures", title="") == []
    assert not (tmp_path / "pictures").exists()


def test_picture_of_a_mask_that_closes_everything(tmp_path: Path):
    assert len(draw(results(run("mask", 0, 10, kept={"a": 0, "b": 0})), tmp_path)) == 2


def test_pictures_of_runs_that_stopped_early_and_of_closed_masks(some: Results, tmp_path: Path):
    short = run("mask", 2, 90, kept={"a": 0, "b": 0})
    short = replace(short, epochs=short.epochs[:1])
    nothing = replace(short, row="nothing", epochs=[replace(short.epochs[0], zeta=None)])
    paths = draw(replace(some, runs=[*some.runs, short, nothing]), tmp_path)
    assert [path.name for path in paths] == ["mask.png", "complementarity.png"]


def test_files_from_before_anything_was_left_out(some: Results, tmp_path: Path):
    path = tmp_path / "results.json"
    some.write(path)
    raw = json.loads(path.read_text())
    for entry in raw["runs"]:
        del entry["left_out"]
    path.write_text(json.dumps(raw))
    assert Results.read(path) == some


def test_what_was_left_out_is_said(some: Results):
    reasons = {f"clip {number}": "is empty" for number in range(5)}
    first = replace(some, runs=[replace(some.runs[0], left_out=reasons), *some.runs[1:]])
    assert (
        findings(first)[-1]
        == "Left out: 5 samples, clip 0 is empty; clip 1 is empty; clip 2 is empty and 2 more."
    )
    assert not any("Left out" in sentence for sentence in findings(some))
