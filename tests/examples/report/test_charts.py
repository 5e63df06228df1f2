"""The figures of a report: words, colours, every seed."""

import re

import numpy as np
import pytest

from examples.report.charts import curves, scores
from examples.report.matrices import confusion


def test_figures_use_the_colours_of_the_page():
    drawn = str(curves({"a<b": [1.0, None, 2.0], "c": [2.0, 1.0, 0.5]}, "loss", 'a "quoted" word', log=True))
    assert "var(--ink)" in drawn
    assert "a&lt;b" in drawn
    assert "#010203" not in drawn
    assert 'aria-label="a &#34;quoted&#34; word"' in drawn
    other = str(curves({"a": [1.0]}, "loss", "one"))
    assert not set(re.findall(r'id="([^"]+)"', drawn)) & set(re.findall(r'id="([^"]+)"', other))


def test_scores_of_every_seed_are_drawn():
    def marks(**rows: list[float]) -> int:
        drawn = str(scores(rows, "image", "accuracy, %", "words"))
        assert all(f">{name}<" in drawn for name in rows)
        return drawn.count("<use")

    more = marks(image=[60.0, 64.0, 68.0], mask=[70.0]) - marks(image=[60.0], mask=[70.0])
    assert more == 3  # two seeds, and a mean


@pytest.mark.parametrize("classes", [3, 30])
def test_confusion_matrix(classes: int):
    counts = np.eye(classes, dtype=np.int64) * 4
    counts[0, 1] = 12
    drawn = str(confusion(counts, [f"class {number}" for number in range(classes)], "words"))
    assert (">75<" in drawn) == (classes == 3)
    assert all(f">class {number}<" in drawn for number in range(classes))
