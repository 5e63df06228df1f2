"""The figure of the README says the same as the results, in its pixels, in its file and in words."""

from pathlib import Path

import pytest
from PIL import Image

from docs.shown.needed import PICTURE, draw, kept_by_epoch, read, words

REPOSITORY = Path(__file__).parents[2]
STUDIES = read()


def test_the_words_are_those_of_the_results():
    with Image.open(PICTURE) as picture:
        assert picture.text["Description"] == words(STUDIES), "`python -m docs.shown.needed` draws it anew"
    for page in ("README.md", "docs/index.md"):
        assert words(STUDIES) in (REPOSITORY / page).read_text(encoding="utf-8"), page


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
