"""The Lightning callback with `penalty=`, under manual optimisation, and two in one trainer (P19, P24)."""

import re
from contextlib import nullcontext
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

import maskfusion as mf

lightning = pytest.importorskip("lightning.pytorch")
from lightning.pytorch.callbacks import ModelCheckpoint

from maskfusion.integrations.lightning import ComplementarityCallback

pytestmark = [
    pytest.mark.filterwarnings("ignore:The .train_dataloader. does not have many workers"),
    pytest.mark.filterwarnings("ignore:GPU available but not used"),
    pytest.mark.filterwarnings("ignore:Checkpoint directory .* exists and is not empty"),
    pytest.mark.filterwarnings("ignore:.isinstance.treespec, LeafSpec.:FutureWarning"),
]
close = torch.testing.assert_close
BATCHES = 4


class Lit(lightning.LightningModule):
    """A layer, a mask, a head."""

    def __init__(
        self, in_loss: float = 0.0, optimizer: type[torch.optim.Optimizer] = torch.optim.Adam
    ) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.body = nn.Linear(6, 8)
        self.fusion = mf.ComplementaryMask({"image": 4, "audio": 4})
        self.head = nn.Linear(8, 1)
        self.in_loss = in_loss
        self.kind = optimizer

    def loss(self, x: Tensor) -> Tensor:
        return self.head(self.fusion(self.body(x))).square().mean()

    def training_step(self, batch: list[Tensor], _: int) -> Tensor:
        return self.loss(batch[0]) + self.in_loss * self.fusion.penalty()

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return self.kind(self.parameters(), lr=0.01)


class Adversaries(Lit):
    """Two optimisers that a loop of their own steps, the first with Omega."""

    def __init__(self) -> None:
        super().__init__()
        self.automatic_optimization = False

    def training_step(self, batch: list[Tensor], _: int) -> None:
        for optimizer in self.optimizers():
            optimizer.zero_grad()
            self.manual_backward(self.loss(batch[0]))
            optimizer.step()

    def configure_optimizers(self) -> list[torch.optim.Optimizer]:
        parts = nn.ModuleList([self.body, self.fusion]), self.head
        return [torch.optim.Adam(part.parameters(), lr=0.01) for part in parts]


def fit(
    module: lightning.LightningModule, root: Path, *callbacks: lightning.Callback, **settings
) -> lightning.Trainer:
    """Train on the CPU, quietly."""
    quiet = {"enable_progress_bar": False, "enable_model_summary": False, "enable_checkpointing": False}
    path = settings.pop("ckpt_path", None)
    trainer = lightning.Trainer(
        accelerator="cpu",
        default_root_dir=root,
        callbacks=list(callbacks),
        **{"logger": False, "max_epochs": 2, **quiet, **settings},
    )
    data = torch.randn(2 * BATCHES, 6, generator=torch.Generator().manual_seed(4))
    trainer.fit(module, DataLoader(TensorDataset(data), batch_size=2), ckpt_path=path, weights_only=True)
    return trainer


@pytest.mark.parametrize("accumulate", [1, 2])
@pytest.mark.parametrize("optimizer", [torch.optim.Adam, torch.optim.SGD])
def test_p24_the_penalty_as_in_the_loss(tmp_path: Path, accumulate: int, optimizer) -> None:
    wanted, module = Lit(0.2, optimizer), Lit(0.0, optimizer)
    fit(wanted, tmp_path, accumulate_grad_batches=accumulate)
    fit(module, tmp_path, ComplementarityCallback(penalty=0.2), accumulate_grad_batches=accumulate)
    close(module.state_dict(), wanted.state_dict())
    assert not torch.equal(module.fusion.weight, Lit().fusion.weight)


def test_a_schedule_as_penalty_is_stepped_logged_and_carried_on(tmp_path: Path) -> None:
    for epochs, path in ((1, None), (3, tmp_path / "last.ckpt")):
        schedule = mf.WarmupPenalty(1.0, steps=16)
        callback = ComplementarityCallback(penalty=schedule)
        last = ModelCheckpoint(tmp_path, save_last=True)
        used = fit(
            Lit(), tmp_path, callback, last, max_epochs=epochs, enable_checkpointing=True, ckpt_path=path
        )
        assert int(schedule.count) == epochs * BATCHES
        assert used.callback_metrics["lambda"].item() == pytest.approx(epochs * BATCHES / 16)


def test_a_checkpoint_from_before_the_first_update(tmp_path: Path) -> None:
    for epochs, path in ((1, None), (2, tmp_path / "last.ckpt")):
        schedule = mf.WarmupPenalty(1.0, steps=16)
        callback = ComplementarityCallback(6, penalty=schedule)
        last = ModelCheckpoint(tmp_path, save_last=True)
        fit(Lit(), tmp_path, callback, last, max_epochs=epochs, enable_checkpointing=True, ckpt_path=path)
        assert int(schedule.count) == epochs * BATCHES
    assert [record["step"] for record in callback.tracker.history] == [6]


def test_p19_manual_optimization_counts_the_steps_of_omega(tmp_path: Path) -> None:
    module = Adversaries()
    module.schedule = mf.WarmupPenalty(steps=100)
    callback = ComplementarityCallback(2)
    used = fit(module, tmp_path, callback)
    assert used.global_step == 4 * BATCHES, "Lightning counts both optimisers"
    assert len(callback.tracker.history) == BATCHES
    assert int(module.schedule.count) == 2 * BATCHES
    assert callback.state_dict()["steps"] == 2 * BATCHES


def test_p19_manual_optimization_with_a_penalty(tmp_path: Path) -> None:
    class InLoss(Adversaries):
        def loss(self, x: Tensor) -> Tensor:
            return super().loss(x) + 0.2 * self.fusion.penalty()

    wanted, module = InLoss(), Adversaries()
    fit(wanted, tmp_path)
    fit(module, tmp_path, ComplementarityCallback(penalty=0.2))
    close(module.state_dict(), wanted.state_dict())


def test_p19_two_callbacks_step_schedules_once_and_keep_two_histories(tmp_path: Path) -> None:
    def run(epochs: int, path: Path | None) -> list[ComplementarityCallback]:
        module = Lit()
        module.schedule = mf.WarmupPenalty(steps=100)
        own = mf.WarmupPenalty(steps=100)
        callbacks = [ComplementarityCallback(), ComplementarityCallback(2, penalty=own)]
        last = ModelCheckpoint(tmp_path, save_last=True)
        settings = {"max_epochs": epochs, "enable_checkpointing": True, "ckpt_path": path}
        fit(module, tmp_path, *callbacks, last, **settings)
        assert int(module.schedule.count) == int(own.count) == epochs * BATCHES
        return callbacks

    run(1, None)
    by_epoch, by_step = run(2, tmp_path / "last.ckpt")
    assert [record["step"] for record in by_epoch.tracker.history] == [4, 8]
    assert [record["step"] for record in by_step.tracker.history] == [2, 4, 6, 8]


def test_a_schedule_that_penalize_steps_is_not_stepped_twice(tmp_path: Path) -> None:
    class Penalised(Lit):
        def configure_optimizers(self) -> torch.optim.Optimizer:
            optimizer = super().configure_optimizers()
            self.schedule = mf.WarmupPenalty(steps=100)
            self.handle = mf.penalize(optimizer, self, self.schedule)
            return optimizer

    module = Penalised()
    fit(module, tmp_path, ComplementarityCallback())
    assert int(module.schedule.count) == 2 * BATCHES


def test_twice_is_refused(tmp_path: Path) -> None:
    callbacks = [ComplementarityCallback(penalty=0.1), ComplementarityCallback(2, penalty=0.1)]
    with pytest.raises(
        ValueError, match=re.escape("`model` has masks that are penalised already, ['fusion']")
    ):
        fit(Lit(), tmp_path, *callbacks)


def test_optimizers_are_left_as_they_were(tmp_path: Path) -> None:
    class Fails(Lit):
        def configure_optimizers(self) -> torch.optim.Optimizer:
            self.optimizer = super().configure_optimizers()
            return self.optimizer

        def training_step(self, batch: list[Tensor], index: int) -> Tensor:
            if index == 2 and self.current_epoch == 1:
                raise RuntimeError("stop")
            return super().training_step(batch, index)

    for epochs in (1, 2):
        module = Fails()
        with pytest.raises(RuntimeError, match=r"^stop$") if epochs == 2 else nullcontext():
            fit(module, tmp_path, ComplementarityCallback(penalty=1.0), max_epochs=epochs)
        before = module.fusion.weight.detach().clone()
        module.zero_grad()
        module.optimizer.step()
        assert torch.equal(module.fusion.weight, before)


def without_omega(module: Lit) -> Lit:
    """Its optimiser was made without the mask."""
    module.configure_optimizers = lambda: torch.optim.Adam(
        [*module.body.parameters(), *module.head.parameters()]
    )
    return module


def test_p8_no_optimizer_has_omega(tmp_path: Path) -> None:
    text = "No optimiser of the trainer has the Omega of ['fusion'], so it does not move: make the optimiser after the mask."
    with pytest.warns(mf.StuckWarning, match=re.escape(text)):
        fit(without_omega(Lit()), tmp_path, ComplementarityCallback())
    frozen = without_omega(Lit())
    frozen.fusion.requires_grad_(False)
    callback = ComplementarityCallback(2)
    fit(frozen, tmp_path, callback)
    assert len(callback.tracker.history) == BATCHES, "steps are those of the optimiser that there is"
    with pytest.raises(
        ValueError, match=r"^`penalty` needs an optimiser of the trainer that has Omega, and none has"
    ):
        fit(frozen, tmp_path, ComplementarityCallback(penalty=0.1))


class Value:
    """A lambda of a user's own."""

    value = torch.tensor(0.2)


def test_a_lambda_of_ones_own(tmp_path: Path) -> None:
    wanted, module = Lit(0.2), Lit()
    callback = ComplementarityCallback(penalty=Value())
    fit(wanted, tmp_path)
    fit(module, tmp_path, callback)
    close(module.state_dict(), wanted.state_dict())
    assert "penalty" not in callback.state_dict()


@pytest.mark.unchecked
@pytest.mark.parametrize(("bad", "error"), [(-1.0, ValueError), ("0.1", TypeError)])
def test_setting(bad: object, error: type[Exception]) -> None:
    with pytest.raises(error, match=re.escape(f"`penalty` (={bad!r}) must be a finite number at least 0.")):
        ComplementarityCallback(penalty=bad)


def test_p20_weight_averaging_of_lightning(tmp_path: Path) -> None:
    callbacks = pytest.importorskip("lightning.pytorch.callbacks.weight_averaging", reason="of Lightning 2.6")
    module = Lit()
    module.schedule = mf.WarmupPenalty(1.0, steps=4)
    averaging = callbacks.EMAWeightAveraging(decay=0.5)
    callback = ComplementarityCallback(penalty=module.schedule)
    fit(module, tmp_path, callback, averaging)
    assert [record["step"] for record in callback.tracker.history] == [4, 8]
    assert 4 < float(module.schedule.count) <= 2 * BATCHES, "the average, which lags behind"
