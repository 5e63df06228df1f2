"""Schedules and tracker where their state is averaged, or missing from a checkpoint (P18, P20)."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

import maskfusion as mf


@pytest.mark.parametrize("average", [None, get_ema_multi_avg_fn(0.9)], ids=["mean", "ema"])
def test_p20_averaged_buffers_do_not_truncate(average: Any) -> None:
    mask = mf.ComplementaryMask(8)
    model = nn.ModuleDict({"mask": mask, "warm": mf.WarmupPenalty(1.0, steps=20)})
    model["steered"] = mf.SteeredPenalty(mask, 0.5, steps=10)
    averaged = AveragedModel(model, multi_avg_fn=average, use_buffers=True)
    counts = []
    for _ in range(24):
        model["warm"].step()
        model["steered"].step()
        averaged.update_parameters(model)
        counts.append(float(model["warm"].count))
    wanted = counts[0]
    for number, count in enumerate(counts[1:], start=2):
        wanted = 0.9 * wanted + 0.1 * count if average else wanted + (count - wanted) / number
    copy = averaged.module
    assert float(copy["warm"].count) == pytest.approx(wanted)
    assert float(copy["warm"].value) == pytest.approx(min(1.0, wanted / 20))
    assert float(copy["steered"].level) == pytest.approx(wanted)


transformers = pytest.importorskip("transformers")


class Pretrained(transformers.PreTrainedModel):
    """A network with all that has a state, and no `_init_weights` of its own."""

    config_class = transformers.BertConfig

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.body = nn.Linear(4, 8)
        self.fusion = mf.ComplementaryMask(8)
        self.warm = mf.WarmupPenalty(1.0, steps=20)
        self.steered = mf.SteeredPenalty(self.fusion, 0.5)
        self.tracker = mf.ComplementarityTracker(self.fusion)
        self.post_init()

    def forward(self, x: Tensor) -> Tensor:
        return self.fusion(self.body(x))


def used() -> Pretrained:
    """Three steps on."""
    model = Pretrained(transformers.BertConfig())
    for _ in range(3):
        model.warm.step()
        model.steered.step()
        model.tracker.update()
    return model


@pytest.fixture(autouse=True)
def _quiet():
    before = transformers.utils.logging.get_verbosity()
    transformers.utils.logging.set_verbosity_error()
    yield
    transformers.utils.logging.set_verbosity(before)


def test_p18_from_pretrained_carries_schedules_on(tmp_path: Path) -> None:
    used().save_pretrained(tmp_path)
    again = Pretrained.from_pretrained(tmp_path)
    assert [float(again.warm.count), float(again.steered.level)] == [3.0, 3.0]
    assert again.tracker.history == [], "transformers saves tensors only"


@pytest.mark.parametrize("lost", [("warm", "steered", "tracker"), ("steered.level", "tracker")])
def test_p18_from_pretrained_without_their_state_begins_anew(lost: tuple[str, ...], tmp_path: Path) -> None:
    model = used()
    left = {key: value for key, value in model.state_dict().items() if not key.startswith(lost)}
    model.save_pretrained(tmp_path, state_dict=left)
    garbage = [torch.full((), 1e9) for _ in range(1000)]
    del garbage  # what uninitialised memory would hold
    again = Pretrained.from_pretrained(tmp_path)
    assert float(again.warm.count) == (0.0 if "warm" in lost else 3.0)
    assert [float(again.steered.count), float(again.steered.level)] == [float(again.warm.count), 0.0]
    assert again.tracker.history == []
    again.tracker.update()
    assert again.tracker.kept() == {"0": 100.0, "1": 100.0}


def test_p4_a_checkpoint_of_the_plain_network_leaves_every_channel_open(tmp_path: Path) -> None:
    model = used()
    with torch.no_grad():
        model.fusion.weight.fill_(-1.0)
    model.save_pretrained(tmp_path)
    assert torch.equal(Pretrained.from_pretrained(tmp_path).fusion.weight, model.fusion.weight)
    left = {key: value for key, value in model.state_dict().items() if key != "fusion.weight"}
    model.save_pretrained(tmp_path, state_dict=left)
    garbage = [torch.full((8,), 7.0) for _ in range(1000)]
    del garbage
    again = Pretrained.from_pretrained(tmp_path)
    assert torch.equal(again.fusion.weight, torch.full((8,), 0.1))
    assert torch.equal(again.body.weight, model.body.weight)


def test_p18_a_flag_of_older_transformers_on_the_module() -> None:
    schedule = mf.WarmupPenalty(1.0, steps=4)
    schedule.step()
    schedule._is_hf_initialized = True
    assert schedule._is_hf_initialized
    assert float(schedule.count) == 1.0
    other = mf.WarmupPenalty(1.0, steps=4)
    other.step()
    assert other._is_hf_initialized
    assert float(other.count) == 0.0
