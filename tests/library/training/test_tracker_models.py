"""ComplementarityTracker in and around models: several masks, copies, resume, where it lives."""

import copy
import io
import math
import pickle
import re

import pytest
import torch
from torch import nn

import maskfusion as mf
from tests.support.helpers import Network, set_weight, two


class Double(nn.Module):
    """Two masks at different depths."""

    def __init__(self) -> None:
        super().__init__()
        self.early = two(4, 2)
        self.block = nn.ModuleDict({"late": two(1, 4)})


def test_several_masks_are_asked_one_by_one() -> None:
    tracker = mf.ComplementarityTracker(Double())
    assert list(tracker) == ["early", "block.late"]
    early, late = tracker["early"], tracker["block.late"]
    assert (early.zeta(), late.zeta("audio", "image")) == (0.5, 0.25)
    assert late.kept() == {"image": 25.0, "audio": 100.0}
    assert early.complementary() == {"image": 50.0, "audio": 25.0}
    assert late.contradictory() == {"image": 37.5, "audio": 0.0}
    tracker.update(step=1)
    assert [(record["mask"], record["step"]) for record in tracker.history] == [
        ("early", 1),
        ("block.late", 1),
    ]
    assert tracker["early"].history == tracker.history[:1]
    assert tracker["block.late"].mean_zeta() == 0.25
    assert tracker.metrics()["block.late/kept/image"] == 25.0
    assert tracker.metrics()["early/zeta"] == 0.5


SHORT = ["zeta", "kept", "complementary", "contradictory", "mean_zeta", "settled"]


@pytest.mark.parametrize("method", SHORT)
def test_the_short_forms_ask_which(method: str) -> None:
    tracker = mf.ComplementarityTracker(Double())
    text = (
        f"The tracker watches several masks, 'early', 'block.late': ask one, as in tracker['early'].{method}(), or all together, "
        f"tracker.total.{method}()."
    )
    with pytest.raises(ValueError, match=f"^{re.escape(text)}$"):
        getattr(tracker, method)()


@pytest.mark.parametrize("method", [*SHORT, "metrics"])
def test_one_mask_answers_the_same_in_every_form(method: str) -> None:
    tracker = mf.ComplementarityTracker(nn.Sequential(two(4, 1)))
    for _ in range(6):
        tracker.update()
    answers = [getattr(form, method)() for form in (tracker, tracker["0"], tracker.total)]
    assert answers[0] == answers[1] == answers[2]
    assert tracker["0"].history == tracker.history


def test_an_unknown_path() -> None:
    with pytest.raises(
        KeyError, match=re.escape("`path` (='late') must be that of a mask: 'early', 'block.late'.")
    ):
        mf.ComplementarityTracker(Double())["late"]


def test_p12_all_masks_as_one_space() -> None:
    model = nn.ModuleDict(
        {"a": two(3, 1), "b": two(1, 4), "c": mf.ComplementaryMask({"audio": 2, "text": 6})}
    )
    tracker = mf.ComplementarityTracker(model)
    total = tracker.total
    assert total.kept() == {"image": 50.0, "audio": 70.0, "text": 100.0}
    assert total.complementary() == pytest.approx({"image": 100 / 6, "audio": 700 / 24, "text": 25.0})
    assert total.contradictory() == pytest.approx({"image": 100 / 6, "audio": 12.5, "text": 0.0})
    assert total.zeta() == 0.5
    assert total.zeta("audio", "text") == 0.7
    tracker.update(step=3)
    set_weight(model["a"], [-1.0] * 8)
    set_weight(model["c"], [-1.0] * 2 + [1.0] * 6)
    tracker.update(step=7)
    assert [(record["step"], record["flipped"]) for record in tracker.total.history] == [(3, 0), (7, 6)]
    assert tracker.total.history[0]["complementary"] == pytest.approx(total.history[0]["complementary"])
    assert tracker.total.history[1]["zeta"] == tracker.total.zeta() == 0.125
    assert tracker.total.mean_zeta() == (0.5 + 0.125) / 2
    metrics = tracker.metrics()
    assert (metrics["zeta"], metrics["kept/text"], metrics["flipped"]) == (0.125, 100.0, 6.0)
    assert (metrics["a/flipped"], metrics["b/flipped"], metrics["c/flipped"]) == (4.0, 0.0, 2.0)


def test_p12_masks_of_one_modality_each_have_a_total_zeta() -> None:
    model = nn.ModuleDict(
        {"image": mf.ComplementaryMask({"image": 4}), "audio": mf.ComplementaryMask({"audio": 2})}
    )
    set_weight(model["audio"], [1.0, -1.0])
    tracker = mf.ComplementarityTracker(model)
    assert math.isnan(tracker["image"].zeta())
    assert tracker.total.zeta() == 0.5
    tracker.update()
    assert tracker.total.mean_zeta() == 0.5


def test_a_total_over_masks_that_came_later() -> None:
    model = nn.Sequential(two(4, 2))
    tracker = mf.ComplementarityTracker(model)
    tracker.update(step=1)
    model.append(two(0, 4))
    tracker.update(step=2)
    assert [record["zeta"] for record in tracker.total.history] == [0.5, 4 / 6]


@pytest.mark.parametrize(
    ("shares", "last", "expected"),
    [
        ([4, 4, 4], 2, False),
        ([3, 3, 3], 2, True),
        ([3, 3, 3], 3, False),
        ([4, 4, 3], 2, True),
        ([4, 3, 2], 2, False),
        ([4, 2, 2], 1, True),
    ],
)
def test_settled(shares: list[int], last: int, expected: bool) -> None:
    mask = two(4, 4)
    tracker = mf.ComplementarityTracker(mask)
    for image in shares:
        mask.load_state_dict(two(image, 4).state_dict())
        tracker.update()
    assert tracker.settled(last) is tracker.total.settled(last) is expected


def test_one_shared_mask_counts_once() -> None:
    model = nn.ModuleList([two(4, 2)])
    model.append(model[0])
    assert mf.ComplementarityTracker(model).zeta() == 0.5


def test_a_mask_that_is_added_later_is_seen() -> None:
    model = nn.Sequential(two(4, 2))
    tracker = mf.ComplementarityTracker(model)
    model.append(two(4, 1))
    assert {path: tracker[path].zeta() for path in tracker} == {"0": 0.5, "1": 0.25}


@pytest.mark.parametrize("inside", [True, False])
def test_masks_are_not_owned(inside: bool) -> None:
    model = Network(tracked=inside)
    plain = Network()
    tracker = model.tracker if inside else mf.ComplementarityTracker(model)
    assert list(tracker.parameters()) == []
    assert list(tracker.children()) == []
    assert [key for key in tracker.state_dict() if "weight" in key] == []
    names = [name for name, _ in model.named_parameters()]
    assert names == [name for name, _ in plain.named_parameters()]
    assert set(model.state_dict()) - set(plain.state_dict()) == (
        {"tracker._extra_state"} if inside else set()
    )
    repr(model)
    model.train().eval().to(torch.float64)


def test_inside_the_model_a_copy_follows_its_copy() -> None:
    model = Network(tracked=True)
    for clone in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        set_weight(clone.fusion, [1.0] * 4 + [1.0, -1.0, -1.0, -1.0])
        assert clone.tracker.zeta() == 0.25
        assert model.tracker.zeta() == 1.0


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda tracker: pickle.loads(pickle.dumps(tracker))])
def test_copies_of_the_tracker_keep_its_history(duplicate) -> None:
    tracker = mf.ComplementarityTracker(two(2, 4))
    tracker.update()
    clone = duplicate(tracker)
    clone.update()
    assert (len(tracker.history), len(clone.history)) == (1, 2)
    assert clone.zeta() == 0.5


@pytest.mark.parametrize("inside", [True, False])
def test_resume(inside: bool) -> None:
    def build() -> tuple[Network, mf.ComplementarityTracker]:
        model = Network(tracked=inside)
        return model, model.tracker if inside else mf.ComplementarityTracker(model)

    model, tracker = build()
    for open_channels in (4, 0, 2):
        model.fusion.load_state_dict(two(open_channels, 0).state_dict())
        tracker.update()
    file = io.BytesIO()
    torch.save([model.state_dict(), tracker.state_dict()], file)
    file.seek(0)
    states = torch.load(file, weights_only=True)
    again, resumed = build()
    again.load_state_dict(states[0])
    resumed.load_state_dict(states[1])
    assert repr(resumed.history) == repr(tracker.history), "NaN included"
    assert len(resumed.history) == 3
    for current, module in ((tracker, model), (resumed, again)):
        module.fusion.load_state_dict(two(3, 1).state_dict())
        current.update()
    assert resumed.history[-1] == tracker.history[-1]
    assert resumed.history[-1]["flipped"] == 2


@pytest.mark.parametrize(("position", "modality"), [(1, "image"), (6, "audio")])
def test_nan_is_reported_by_name(position: int, modality: str) -> None:
    model = nn.ModuleDict({"fusion": two(4, 4)})
    with torch.no_grad():
        model["fusion"].weight[position] = math.nan
    tracker = mf.ComplementarityTracker(model)
    with pytest.warns(RuntimeWarning, match=rf"fusion.*{modality}"):
        tracker.update()
    assert tracker.kept()[modality] == 75.0


@pytest.mark.parametrize("ask", [*SHORT, "metrics", "update", "__iter__"])
def test_p14_a_model_without_masks_any_more(ask: str) -> None:
    model = nn.Sequential(nn.Identity())
    mf.attach(model, "0", channels=4, channel_dim=1)
    tracker = mf.ComplementarityTracker(model)
    tracker.update()
    mf.detach(model)
    with pytest.raises(
        RuntimeError, match=r"^The tracker's Sequential has no mask any more: it was detached"
    ):
        getattr(tracker, ask)()
    repr(tracker)
    assert len(tracker.history) == 1


def test_the_saved_history_does_not_grow() -> None:
    tracker = mf.ComplementarityTracker(two(4, 4))
    tracker.update()
    state = tracker.state_dict()
    resumed = mf.ComplementarityTracker(two(4, 4))
    resumed.load_state_dict(state)
    tracker.update()
    resumed.update()
    assert len(resumed.history) == len(tracker.history) == 2
    fresh = mf.ComplementarityTracker(two(4, 4))
    fresh.load_state_dict(state)
    assert len(fresh.history) == 1, "what was saved is what it was then"


def test_a_compiled_model_has_the_same_paths() -> None:
    model = nn.ModuleDict({"a": two(4, 2), "b": two(4, 1)})
    model["a"].compile(backend="eager")
    tracker = mf.ComplementarityTracker(torch.compile(model, backend="eager"))
    assert [(path, tracker[path].zeta()) for path in tracker] == [("a", 0.5), ("b", 0.25)]


def test_min_channels_count_as_kept() -> None:
    mask = mf.ComplementaryMask({"image": 4, "audio": 4}, min_channels=1)
    set_weight(mask, [-1.0] * 8)
    assert mf.ComplementarityTracker(mask).kept() == {"image": 25.0, "audio": 25.0}


def test_under_inference_mode() -> None:
    tracker = mf.ComplementarityTracker(two(4, 2))
    with torch.inference_mode():
        tracker.update()
    assert tracker.history[0]["zeta"] == 0.5
