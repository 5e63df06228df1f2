"""The figure of the README says the same as the results, in its pixels, in its file and in words."""

import re

import pytest
from PIL import Image

from docs.shown.needed import PICTURE, draw, kept_by_epoch, read, words
from tests.support.numbers import numbers, says, wording
from tests.support.paths import ROOT

STUDIES = read()


def test_the_words_are_those_of_the_results():
    with Image.open(PICTURE) as picture:
        assert picture.text["Description"] == words(STUDIES), "`python -m docs.shown.needed` draws it anew"


@pytest.mark.parametrize("page", ["README.md", "docs/index.md"])
def test_a_page_says_the_same_to_those_who_do_not_see_it(page: str):
    text = (ROOT / page).read_text(encoding="utf-8")
    (shown,) = re.findall(r"UTD-MHAD\. Depth and skeleton: [^\]\"]*", text)
    assert wording(shown) == wording(words(STUDIES))
    assert says(shown, *numbers(words(STUDIES)))


def test_lines_end_where_the_mask_ends():
    figure = draw(STUDIES)
    for axis, results in zip(figure.axes[1::2], STUDIES.values(), strict=True):
        for line, modality in zip(axis.lines, results.modalities, strict=True):
            runs = results.rows()["mask"]
            lasts = [
                100 * run.epochs[-1].complementary[modality] / 50 for run in runs
            ]  # each has half of the channels
            assert line.get_ydata()[-1] == pytest.approx(sum(lasts) / len(lasts))
            assert line.get_ydata()[0] == 100
            for run in runs:
                assert kept_by_epoch(run, modality)[run.chosen] == pytest.approx(run.kept[modality], rel=1e-4)
