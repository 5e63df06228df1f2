"""The sentence at the top of a report, against numbers worked out by hand."""

from dataclasses import replace

import pytest

from examples.report.question import answer
from examples.results import Results, Run
from examples.results.origin import origin


def run(row: str, seed: int, score: float, *modalities: str, method: str = "concatenation") -> Run:
    channels = dict.fromkeys(modalities, 2)
    shares = dict.fromkeys(modalities, 100 / len(modalities))
    kept = dict.fromkeys(modalities, 100.0)
    return Run(row, seed, method, False, channels, score, 1, shares, kept, 1.0, {}, 1, 1.0, 1.0, [])


def results(*runs: Run) -> Results:
    rows = {made.row: {"arguments": {"mask_weight": 0.1}} for made in runs}
    names = list(dict.fromkeys(name for made in runs for name in made.channels))
    return Results(
        "made",
        names,
        2,
        "accuracy",
        {"train": 1, "test": 1},
        {"comparison": rows},
        [],
        [],
        list(runs),
        **origin("typed", 1.0, "a machine"),
    )


def unimodal(name: str, *scores: float) -> list[Run]:
    return [run(name, seed, score, name, method="unimodal") for seed, score in enumerate(scores)]


def fused(row: str, *scores: float, method: str = "concatenation") -> list[Run]:
    return [run(row, seed, score, "image", "sound", method=method) for seed, score in enumerate(scores)]


@pytest.mark.parametrize(
    ("together", "starts"),
    [
        ((70.0, 70.5, 69.5), "Yes: "),
        ((90.0, 90.5, 89.5), "No, it helped: "),
        ((80.0, 90.0, 71.0), "These 3 seeds cannot tell: "),
        ((70.0,), "It did on this one seed, which cannot tell chance from effect: "),
        ((90.0,), "It did not on this one seed, which cannot tell chance from effect: "),
    ],
)
def test_the_question_is_answered_by_the_interval(together: tuple[float, ...], starts: str):
    runs = [
        *unimodal("image", 80.0, 80.2, 79.8),
        *unimodal("sound", 60.0, 61.0, 59.0),
        *fused("both", *together),
    ]
    made = answer(results(*runs), {})
    assert made.question == "Did adding sound to image hurt?"
    assert made.sentence.startswith(starts)
    assert made.told


def test_the_answer_has_the_numbers():
    masked = fused("masked", 82.0, 84.0, method="complementary_mask")
    runs = [
        *unimodal("image", 60.0, 62.0),
        *unimodal("sound", 80.0, 82.0),
        *fused("both", 70.0, 74.0),
        *masked,
    ]
    made = answer(results(*runs), {})
    assert made.question == "Did adding image to sound hurt?"
    words = made.sentence.replace("\N{NO-BREAK SPACE}", " ")
    assert (
        "in row both, they reach 72.0 % accuracy, sound alone 81.0 %, \N{MINUS SIGN}9.0 points (± 12.7, 95 % over 2 seeds)"
        in words
    )
    assert words.endswith(" With the mask, in row masked, 83.0 %, +2.0 points (± 0.0, 95 % over 2 seeds).")


def test_the_cure_has_its_numbers_too():
    runs = [
        *unimodal("image", 80.0, 82.0),
        *fused("both", 70.0, 74.0),
        *fused("masked", 82.0, 84.0, method="complementary_mask"),
        *fused("without one part", 83.0, 85.0, method="alone_joined_pooled"),
        *fused("cured", 85.0, 87.0, method="alone_joined_pooled"),
    ]
    words = answer(results(*runs), {}).sentence.replace("\N{NO-BREAK SPACE}", " ")
    assert words.count(". ") == 1
    assert (
        "over 2 seeds). With the mask, in row masked, 83.0 %, +2.0 points (± 0.0, 95 % over 2 seeds); alone first"
        in words
    )
    assert words.endswith("joined and pooled, in row cured, 86.0 %, +5.0 points (± 0.0, 95 % over 2 seeds).")


def test_runs_that_cannot_tell_say_so():
    other_seed = [replace(made, seed=7) for made in unimodal("image", 80.0)]
    made = answer(results(*other_seed, *fused("both", 70.0)), {})
    assert not made.told
    assert "none was trained on one modality alone on the same seed" in made.sentence
    alone = answer(results(*unimodal("image", 80.0)), {})
    assert alone.sentence == "These runs cannot tell: each was trained on one modality only (image)."
