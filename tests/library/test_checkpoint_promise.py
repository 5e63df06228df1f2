"""A `state_dict` that version 0.1.0 saved loads for ever, and computes what it computed then.

``python -m tests.library.test_checkpoint_promise`` wrote the file, with the code of 0.1.0. It is not written again: a later version adds a
file of its own, and keeps this one.
"""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import maskfusion as mf
from tests.support.paths import ROOT

FILE = ROOT / "tests" / "support" / "data" / "state_dict_0.1.0.pt"
CHANNELS = {"image": 3, "audio": 2}


def steered() -> nn.Module:
    """A schedule with the mask that it counts, since its state is that of both."""
    mask = mf.ComplementaryMask(CHANNELS)
    return nn.ModuleDict({"mask": mask, "schedule": mf.SteeredPenalty(mask, 0.4, steps=10)})


MODULES: dict[str, Callable[[], nn.Module]] = {
    "mask": lambda: mf.ComplementaryMask(CHANNELS),
    "mask around a layer": lambda: mf.ComplementaryMask(CHANNELS, fusion=nn.Conv1d(4, 5, 1)),
    "quantiser": lambda: mf.VectorQuantizer(5, 6, decay=0.9),
    "quantiser by gradient": lambda: mf.VectorQuantizer(5, 6, decay=None),
    "product": lambda: mf.ProductQuantizer([mf.VectorQuantizer(2, 3), mf.VectorQuantizer(3, 4)]),
    "projected": lambda: mf.ProjectedQuantizer(5, mf.VectorQuantizer(2, 3)),
    "residual": lambda: mf.ResidualQuantizer([mf.VectorQuantizer(5, 3), mf.VectorQuantizer(5, 3)]),
    "constant": lambda: mf.ConstantPenalty(0.1),
    "warm-up": lambda: mf.WarmupPenalty(0.1, steps=8, delay=1),
    "steered": steered,
}


def inputs(name: str) -> Tensor:
    """Numbers that no version of a random generator can change."""
    channels = 4 if name == "mask around a layer" else 5
    return torch.arange(3 * channels * 4).reshape(3, channels, 4).mul(0.7).sin()


def outputs(name: str, module: nn.Module) -> dict[str, Tensor]:
    """What a module computes in evaluation; of a schedule lambda, now and a step later."""
    module.eval()
    schedule = module["schedule"] if name == "steered" else module
    if isinstance(schedule, mf.PenaltySchedule):
        now = schedule.value
        schedule.step()
        return {"now": now, "later": schedule.value}
    with torch.no_grad():
        result = module(inputs(name))
    return result._asdict() if isinstance(result, mf.Quantized) else {"output": result}


def record(name: str) -> dict[str, dict[str, Tensor]]:
    """Use a new module for a while, save its state, and what it computes with it."""
    torch.manual_seed(0)
    module = MODULES[name]()
    for mask in module.modules():
        if isinstance(mask, mf.ComplementaryMask):
            with torch.no_grad():
                mask.weight.copy_(torch.tensor([0.2, -0.1, 0.06, 0.05, 0.3]))
    for _ in range(3):
        if name == "steered":
            module["schedule"].step()
        elif isinstance(module, mf.PenaltySchedule):
            module.step()
        else:
            module(inputs(name))
    state = {key: value.clone() for key, value in module.state_dict().items()}
    return {"state": state, "outputs": outputs(name, module)}


@pytest.fixture(scope="module")
def saved() -> dict[str, dict[str, dict[str, Tensor]]]:
    """The file, tensors only."""
    return torch.load(FILE, weights_only=True)


def test_all_are_in_the_file(saved: dict[str, object]) -> None:
    assert saved.keys() == MODULES.keys()
    assert FILE.stat().st_size < 60_000


@pytest.mark.parametrize("name", MODULES)
def test_loads_and_computes_the_same(name: str, saved: dict[str, dict[str, dict[str, Tensor]]]) -> None:
    torch.manual_seed(1)
    module = MODULES[name]()
    module.load_state_dict(saved[name]["state"])
    again = module.state_dict()
    assert all(torch.equal(again[key].to(value.dtype), value) for key, value in saved[name]["state"].items())
    torch.testing.assert_close(outputs(name, module), saved[name]["outputs"])


@pytest.mark.parametrize("name", MODULES)
def test_safetensors(name: str, tmp_path: Path, saved: dict[str, dict[str, dict[str, Tensor]]]) -> None:
    files = pytest.importorskip("safetensors.torch", reason="safetensors is not installed")
    module = MODULES[name]()
    module.load_state_dict(saved[name]["state"])
    files.save_model(module, str(tmp_path / "model.safetensors"))
    other = MODULES[name]()
    assert files.load_model(other, tmp_path / "model.safetensors") == (set(), [])
    torch.testing.assert_close(outputs(name, other), saved[name]["outputs"])


def test_history_of_a_tracker() -> None:
    record = {
        "step": 3,
        "mask": "",
        "complementary": {"image": 40.0, "audio": 20.0},
        "zeta": 0.75,
        "flipped": 2,
    }
    channels = [True, True, False, True, False]
    state = {"history": [record], "last": {"": channels}, "closed": {"": {"image": 0, "audio": 0}}}
    tracker = mf.ComplementarityTracker(mf.ComplementaryMask(CHANNELS))
    tracker.load_state_dict({"_extra_state": state})
    assert tracker.history == [record]
    tracker.update(4)
    assert tracker.history[1]["flipped"] == 2, "three of five were open, and all are now"


if __name__ == "__main__":
    if FILE.exists():
        raise SystemExit(f"{FILE} is there already, and is kept as it is.")
    FILE.parent.mkdir(exist_ok=True)
    torch.save({name: record(name) for name in MODULES}, FILE)
