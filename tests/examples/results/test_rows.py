"""Paired differences, costs and choices, against numbers worked out by hand."""

import io
import math
from dataclasses import replace

import pytest
from rich.console import Console

from examples.results import Interval, Results, Trial, rows
from examples.results.figures.cases import over_best_alone
from examples.results.tables import show
from tests.examples.results.test_results import results, run


def timed(row: str, seed: int, score: float, seconds: float, parameters: int, **more: object) -> object:
    return replace(run(row, seed, score, **more), processor_seconds=seconds, parameters=parameters)


@pytest.fixture
def study() -> Results:
    made = results(
        timed("a", 0, 80, 1, 5, alone=True),
        timed("a", 1, 84, 1, 5, alone=True),
        timed("b", 0, 95, 1, 5, alone=True),
        timed("b", 1, 65, 1, 5, alone=True),
        replace(timed("coded", 0, 70, 9, 30), quantise=True),
        replace(timed("both", 0, 90, 2, 10), quantise=False),
        replace(timed("both", 1, 92, 4, 10), quantise=False),
        timed("mask", 0, 93, 6, 11, kept={"a": 2, "b": 0}),
        timed("mask", 1, 95, 3, 11, kept={"a": 1, "b": 1}),
    )
    trials = [
        Trial("mask", {"arguments.init": 0.1}, 0.5, 70.0, chosen=True),
        Trial("mask", {}, 0.9, 60.0, chosen=False),
    ]
    return replace(made, trials=trials)


def test_the_rows_to_compare_with(study: Results):
    assert rows.concatenation(study) == "both"  # not the one with quantisers
    assert list(rows.alone(study)) == ["a", "b"]
    assert rows.best_alone(study) == "a"  # 82 against 80
    nothing = replace(study, runs=study.runs[7:])
    assert rows.concatenation(nothing) is None
    assert rows.best_alone(nothing) is None


def test_against_is_paired_and_has_no_number_for_what_did_not_run(study: Results):
    # 3 and 3
    assert rows.against(study, "mask", "both") == Interval(3.0, 0.0, 2)
    # 10 and 8: mean 9, s = sqrt(2), t(0.975, 1) = 12.7062, half width 12.7062
    assert rows.against(study, "both", "a") == Interval(9.0, pytest.approx(12.7062, rel=1e-5), 2)
    assert rows.against(study, "mask", "lost") is None


@pytest.mark.parametrize(
    ("difference", "word"),
    [
        (Interval(2.0, 1.9, 5), "better"),
        (Interval(2.0, 2.0, 5), "even"),
        (Interval(-2.0, 2.1, 5), "even"),
        (Interval(-2.0, 1.0, 5), "worse"),
        (Interval(9.0, math.nan, 1), "even"),
    ],
)
def test_verdict(difference: Interval, word: str):
    assert rows.verdict(difference) == word


def test_cost_is_a_ratio_of_medians_to_concatenation(study: Results):
    assert rows.cost(study, "mask") == rows.Cost(time=1.5, parameters=1.1)  # 4.5 over 3
    assert math.isnan(rows.cost(replace(study, runs=study.runs[7:]), "mask").time)


def test_scores_alone_and_choice(study: Results):
    assert rows.scores_alone(study, "mask") == {
        "a": Interval(10.0, 0.0, 2),
        "b": Interval(10.0, 0.0, 2),
    }
    assert rows.chosen(study, "mask") == {"arguments.init": 0.1}
    assert rows.chosen(study, "both") == {}


def test_the_terminal_shows_it(study: Results):
    console = Console(width=120, file=io.StringIO(), record=True)
    show(study, console)
    text = console.export_text()
    lines = [line.split() for line in text.splitlines()]
    assert ["mask", "+3.0", "±", "0.0", "+12.0", "±", "12.7", "10", "10", "1.5", "1.1"] in lines
    assert ["both", "-", "+9.0", "±", "12.7", "10", "10", "1.0", "1.0"] in lines
    assert "points more than joint (both) and best alone (a)" in text
    assert "mask init 0.1" in " ".join(text.split())


def test_points_over_the_best_alone_are_drawn_case_by_case(study: Results):
    cases = {"one": study, "two": replace(study, runs=study.runs[:7])}
    figure = over_best_alone(cases, {"both": "joined", "lost": "not run", "mask": "ours"}, hurting=1)
    (axis,) = figure.axes
    drawn = [line.lines[0] for line in axis.containers]
    assert [list(line.get_ydata()) for line in drawn] == [[9.0, 9.0], [], [12.0]]  # 91 and 94 against 82
    places = [line.get_xdata() for line in drawn]
    assert [round(place) for place in places[0]] == [0, 1]
    assert places[0][0] < places[2][0] < 0.5
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["joined", "not run", "ours"]
    assert [label.get_text() for label in axis.get_xticklabels()] == ["one", "two"]
    assert [text.get_text() for text in axis.texts] == [
        "concatenation below the best alone",
        "concatenation above it",
    ]
