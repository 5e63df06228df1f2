"""The tracker where states are kept or weights lie elsewhere: distributed checkpoints, CPU offload (P18)."""

from pathlib import Path

import pytest
import torch
from torch import nn
from torch.distributed import checkpoint

import maskfusion as mf
from tests.support.helpers import Network, set_weight, two


@pytest.mark.filterwarnings("ignore:torch.distributed is disabled, unavailable or uninitialized:UserWarning")
@pytest.mark.parametrize("updates", [0, 3])
def test_p18_a_distributed_checkpoint_into_a_fresh_model(updates: int, tmp_path: Path) -> None:
    model = Network(tracked=True)
    for open_channels in range(updates):
        model.fusion.load_state_dict(two(open_channels, 4).state_dict())
        model.tracker.update()
    checkpoint.save(model.state_dict(), checkpoint_id=tmp_path)
    fresh = Network(tracked=True)
    state = fresh.state_dict()
    checkpoint.load(state, checkpoint_id=tmp_path)
    fresh.load_state_dict(state)
    assert fresh.tracker.history == model.tracker.history
    assert torch.equal(fresh.fusion.weight, model.fusion.weight)


def test_p18_cpu_offload() -> None:
    accelerate = pytest.importorskip("accelerate", reason="accelerate is not installed")
    model = nn.ModuleDict(
        {"fusion": set_weight(mf.ComplementaryMask({"image": 2, "audio": 2}), [1, -1, 1, 1])}
    )
    tracker = mf.ComplementarityTracker(model)
    offloaded = accelerate.cpu_offload(model, execution_device=torch.device("cpu"))
    assert offloaded["fusion"].weight.is_meta
    assert tracker.kept() == {"image": 50.0, "audio": 100.0}
    tracker.update()
    assert tracker.history[0]["zeta"] == 0.5
    assert offloaded["fusion"].weight.is_meta, "it was put back"
