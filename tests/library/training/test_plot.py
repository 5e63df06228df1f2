"""The history as flat rows, as a table and as a picture."""

import sys

import pytest
import torch
from torch import nn

import maskfusion as mf


def tracked(updates: int = 3) -> mf.ComplementarityTracker:
    """Two masks; in the first one more channel of the image closes at each update."""
    model = nn.ModuleDict(
        {"early": mf.ComplementaryMask({"image": 4, "audio": 2}), "late": mf.ComplementaryMask({"image": 2})}
    )
    tracker = mf.ComplementarityTracker(model)
    for closed in range(updates):
        with torch.no_grad():
            model["early"].weight[:closed] = 0.0
        tracker.update(step=10 * closed)
    return tracker


def test_rows() -> None:
    tracker = tracked(2)
    assert tracker["early"].rows()[1] == {
        "step": 10,
        "mask": "early",
        "zeta": 0.75,
        "flipped": 1,
        "compl/image": pytest.approx(50.0),
        "compl/audio": pytest.approx(100 / 3),
        "kept/image": 75.0,
        "kept/audio": 100.0,
    }
    assert [(row["mask"], row["step"]) for row in tracker.rows()] == [
        ("early", 0),
        ("early", 10),
        ("late", 0),
        ("late", 10),
    ]
    assert tracker.total.rows()[1]["kept/image"] == pytest.approx(100 * 5 / 6)


def test_print() -> None:
    tracker = tracked()
    assert str(tracker["early"]).splitlines() == [
        "modality  open  of its own  of all",
        "image      2/4      50.0 %  33.3 %",
        "audio      2/2     100.0 %  33.3 %",
        "zeta 0.50; 3 updates, still moving",
    ]
    lines = str(tracker).splitlines()
    assert lines[0] == "early"
    assert lines[6:8] == ["late", "modality  open  of its own   of all"]
    assert lines[-1] == "zeta nan; 3 updates, nothing has closed yet"
    mask = mf.ComplementaryMask({"image": 2, "audio": 2})
    settled = mf.ComplementarityTracker(mask)
    with torch.no_grad():
        mask.weight.fill_(0.0)
    settled.update()
    settled.update()
    assert str(settled).endswith("zeta nan; 2 updates, settled")
    assert str(mf.ComplementarityTracker(mf.ComplementaryMask(4))).endswith("zeta 1.00; 0 updates")
    assert max(map(len, lines)) <= 100


def test_plot_draws_what_the_history_says() -> None:
    pytest.importorskip("matplotlib").use("agg")
    tracker = tracked()
    figure = tracker.plot()
    shares, zeta, now, *_ = figure.axes
    assert len(figure.axes) == 6
    assert shares.get_title(loc="left") == "early: open channels of each, %"
    assert {line.get_label(): list(line.get_ydata()) for line in shares.lines} == {
        "image": [100.0, 75.0, 50.0],
        "audio": [100.0, 100.0, 100.0],
    }
    assert [list(line.get_xdata()) for line in zeta.lines] == [[0, 10, 20]]
    assert [list(line.get_ydata()) for line in zeta.lines] == [[1.0, 0.75, 0.5]]
    assert [label.get_text() for label in now.get_yticklabels()] == ["image 2/4", "audio 2/2"]
    colours = [patch.get_facecolor() for patch in now.patches]
    assert colours[0] == colours[1] != colours[2] == colours[3] != colours[4]
    one = tracker.total.plot()
    assert one.axes[0].get_title(loc="left") == "open channels of each, %"
    assert [label.get_text() for label in one.axes[2].get_yticklabels()] == ["image 4/6", "audio 2/2"]


def test_plot_needs_a_history_and_matplotlib(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("matplotlib").use("agg")
    tracker = mf.ComplementarityTracker(mf.ComplementaryMask(4))
    words = "`history` is empty, there is nothing to draw: call `update()` after each epoch, then `plot()`."
    with pytest.raises(RuntimeError) as told:
        tracker.plot()
    assert str(told.value) == words
    tracker.update()
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=r"`plot` needs matplotlib, .*pip install matplotlib.*`rows\(\)`"):
        tracker.plot()
