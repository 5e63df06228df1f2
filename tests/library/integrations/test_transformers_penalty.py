"""The callback for transformers with `penalty=`: accumulated batches, resuming, two callbacks (P19, P24)."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

import maskfusion as mf

transformers = pytest.importorskip("transformers")
pytest.importorskip("accelerate")
from maskfusion.integrations.transformers import ComplementarityCallback

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*pin_memory.*:UserWarning"),
    pytest.mark.filterwarnings("ignore:.*lr_scheduler.step.*:UserWarning"),
]
close = torch.testing.assert_close
STEPS = 4


class Rows(Dataset):
    """Two rows a step."""

    def __len__(self) -> int:
        return 2 * STEPS

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        return {"x": torch.randn(6, generator=torch.Generator().manual_seed(index))}


class Network(nn.Module):
    """A mask between two layers; it takes any keyword, as the models of transformers do, which changes how losses are scaled (P24)."""

    def __init__(self, in_loss: float = 0.0) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.body = nn.Linear(6, 8)
        self.fusion = mf.ComplementaryMask({"image": 4, "audio": 4})
        self.head = nn.Linear(8, 1)
        self.in_loss = in_loss

    def forward(self, x: Tensor, **others: Any) -> dict[str, Tensor]:
        total = self.head(self.fusion(self.body(x))).square().sum()
        return {
            "loss": total / others.get("num_items_in_batch", len(x)) + self.in_loss * self.fusion.penalty()
        }


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    before = transformers.utils.logging.get_verbosity()
    transformers.utils.logging.set_verbosity_error()
    yield
    transformers.utils.logging.set_verbosity(before)


def trainer(root: Path, model: nn.Module, **settings: Any) -> "transformers.Trainer":
    """A quiet trainer on the CPU."""
    defaults = {"num_train_epochs": 2, "save_strategy": "no", "logging_strategy": "no", "report_to": "none"}
    args = transformers.TrainingArguments(
        str(root),
        per_device_train_batch_size=2,
        learning_rate=0.01,
        use_cpu=True,
        disable_tqdm=True,
        remove_unused_columns=False,
        **{**defaults, **settings},
    )
    return transformers.Trainer(model, args, train_dataset=Rows())


def train(
    root: Path, model: nn.Module, *callbacks: dict[str, Any], **settings: Any
) -> list[ComplementarityCallback]:
    """Train with callbacks of these settings."""
    path = settings.pop("resume", None)
    used = trainer(root, model, **settings)
    made = [ComplementarityCallback(used, **each) for each in callbacks]
    for each in made:
        used.add_callback(each)
    used.train(resume_from_checkpoint=path)
    return made


def test_the_penalty_as_in_the_loss(tmp_path: Path) -> None:
    wanted, model = Network(0.2), Network()
    train(tmp_path, wanted, max_grad_norm=0.0)
    train(tmp_path, model, {"penalty": 0.2}, max_grad_norm=0.0)
    close(model.state_dict(), wanted.state_dict())


def test_p24_accumulated_batches_count_once(tmp_path: Path) -> None:
    fallen = []
    for accumulate in (1, 4):
        model = Network()
        model.head.requires_grad_(False).weight.zero_()
        model.head.bias.data.zero_()
        train(
            tmp_path,
            model,
            {"penalty": 0.2},
            gradient_accumulation_steps=accumulate,
            max_steps=1,
            lr_scheduler_type="constant",
            optim="sgd",
        )
        fallen.append((0.1 - model.fusion.weight).mean().item())
    assert fallen == pytest.approx([0.002, 0.002], rel=1e-4), "learning rate times lambda"


@pytest.mark.parametrize("every", [None, 3])
def test_a_schedule_as_penalty_is_carried_on(tmp_path: Path, every: int | None) -> None:
    counts = []
    for path in (None, str(tmp_path / "checkpoint-4")):
        schedule = mf.WarmupPenalty(1.0, steps=16)
        train(
            tmp_path,
            Network(),
            {"every_n_steps": every, "penalty": schedule},
            save_strategy="epoch",
            resume=path,
        )
        counts.append(int(schedule.count))
    assert counts == [2 * STEPS] * 2


def test_p19_two_callbacks_step_schedules_once_and_keep_two_histories(tmp_path: Path) -> None:
    for path in (None, str(tmp_path / "checkpoint-4")):
        model = Network()
        model.schedule = mf.WarmupPenalty(steps=100)
        own = mf.WarmupPenalty(steps=100)
        by_epoch, by_step = train(
            tmp_path, model, {}, {"every_n_steps": 2, "penalty": own}, save_strategy="epoch", resume=path
        )
        assert int(model.schedule.count) == int(own.count) == 2 * STEPS
        assert [record["step"] for record in by_epoch.tracker.history] == [4, 8]
        assert [record["step"] for record in by_step.tracker.history] == [2, 4, 6, 8]


def test_the_optimizer_is_left_as_it_was(tmp_path: Path) -> None:
    model = Network()
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    args = trainer(tmp_path, model).args
    used = transformers.Trainer(model, args, train_dataset=Rows(), optimizers=(optimizer, None))
    used.add_callback(ComplementarityCallback(used, penalty=0.1))
    used.train()
    used.train()
    before = model.fusion.weight.detach().clone()
    optimizer.zero_grad()
    optimizer.step()
    assert torch.equal(model.fusion.weight, before)
