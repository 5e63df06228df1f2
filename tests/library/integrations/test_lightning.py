"""The Lightning callback: what it logs, and what a checkpoint brings back."""

import csv
import math
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

import maskfusion as mf

lightning = pytest.importorskip("lightning.pytorch")
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger

from maskfusion.integrations.lightning import ComplementarityCallback

pytestmark = [
    pytest.mark.filterwarnings("ignore:The .train_dataloader. does not have many workers"),
    pytest.mark.filterwarnings("ignore:GPU available but not used"),
    pytest.mark.filterwarnings("ignore:Checkpoint directory .* exists and is not empty"),
    pytest.mark.filterwarnings("ignore:.isinstance.treespec, LeafSpec.:FutureWarning"),
]
STEPS = 3


class Lit(lightning.LightningModule):
    """Two encoders, a mask that closes fast, a head."""

    def __init__(self, masks: int = 1, schedule: mf.PenaltySchedule | None = None) -> None:
        super().__init__()
        self.fusion = mf.ComplementaryMask({"image": 4, "audio": 4})
        self.second = mf.ComplementaryMask(8) if masks == 2 else nn.Identity()
        self.head = nn.Linear(8, 2)
        self.schedule = schedule

    def training_step(self, batch: tuple[Tensor, Tensor], _: int) -> Tensor:
        """Close the first channels of image, one per step."""
        x, y = batch
        with torch.no_grad():
            self.fusion.weight[min(self.global_step, 7)] = -1.0
        self.log("loss", 1.0, prog_bar=False)
        return nn.functional.cross_entropy(self.head(self.second(self.fusion(x))), y)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """A rate that does not move Omega."""
        return torch.optim.SGD(self.parameters(), lr=1e-6)


def loader() -> DataLoader:
    """Three batches."""
    return DataLoader(TensorDataset(torch.randn(2 * STEPS, 8), torch.zeros(2 * STEPS).long()), batch_size=2)


def trainer(root: Path, *callbacks: lightning.Callback, epochs: int = 2, **settings) -> lightning.Trainer:
    """A quiet trainer on the CPU."""
    quiet = {"enable_progress_bar": False, "enable_model_summary": False, "enable_checkpointing": False}
    return lightning.Trainer(
        accelerator="cpu",
        max_epochs=epochs,
        default_root_dir=root,
        callbacks=list(callbacks),
        **{"logger": False, "log_every_n_steps": 1, **quiet, **settings},
    )


def written(logger: CSVLogger, name: str) -> dict[int, float]:
    """Values of a metric by step."""
    logger.save()
    rows = csv.DictReader((Path(logger.log_dir) / "metrics.csv").read_text().splitlines())
    return {int(row["step"]): float(row[name]) for row in rows if row.get(name)}


def test_epochs_in_csv(tmp_path: Path) -> None:
    callback, logger = ComplementarityCallback(), CSVLogger(tmp_path)
    assert callback.tracker is None
    used = trainer(tmp_path, callback, logger=logger)
    used.fit(Lit(), loader())
    assert [record["step"] for record in callback.tracker.history] == [3, 6]
    assert [record["zeta"] for record in callback.tracker.history] == [0.25, 0.0]
    assert list(written(logger, "zeta").values()) == [0.25, 0.0]
    assert list(written(logger, "compl/image").values()) == [12.5, 0.0]
    assert list(written(logger, "kept/audio").values()) == [100.0, 50.0]
    assert used.callback_metrics["zeta"] == 0.0


@pytest.mark.parametrize(("settings", "steps"), [({}, [2, 4, 6]), ({"accumulate_grad_batches": 3}, [2])])
def test_steps_in_csv_whatever_the_trainer_logs(tmp_path: Path, settings: dict, steps: list[int]) -> None:
    callback, logger = ComplementarityCallback(every_n_steps=2), CSVLogger(tmp_path)
    used = trainer(tmp_path, callback, logger=logger, **{"log_every_n_steps": 3, **settings})
    used.fit(Lit(), loader())
    assert [record["step"] for record in callback.tracker.history] == steps
    assert list(written(logger, "zeta")) == steps
    assert used.callback_metrics["zeta"] == pytest.approx(callback.tracker.zeta())


@pytest.mark.filterwarnings("ignore::DeprecationWarning:tensorboard")
@pytest.mark.parametrize("every", [None, 3])
def test_tensorboard(tmp_path: Path, every: int | None) -> None:
    events = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    logger = TensorBoardLogger(tmp_path)
    trainer(tmp_path, ComplementarityCallback(every), logger=logger).fit(Lit(masks=2), loader())
    logger.finalize("success")
    read = events.EventAccumulator(logger.log_dir)
    read.Reload()
    assert [event.value for event in read.Scalars("fusion/zeta")] == [0.25, 0.0]
    assert {"second/zeta", "fusion/compl/image", "second/contr/1", "fusion/flipped"} <= set(
        read.Tags()["scalars"]
    )


def test_a_resumed_run_carries_the_history_on(tmp_path: Path) -> None:
    first = ComplementarityCallback()
    settings = {"enable_checkpointing": True}
    trainer(tmp_path, first, ModelCheckpoint(tmp_path, save_last=True), **settings).fit(Lit(), loader())
    before = list(first.tracker.history)
    second = ComplementarityCallback()
    resumed = trainer(tmp_path, second, ModelCheckpoint(tmp_path, save_last=True), epochs=4, **settings)
    resumed.fit(Lit(), loader(), ckpt_path=tmp_path / "last.ckpt", weights_only=True)
    assert second.tracker.history[:2] == before
    assert [record["step"] for record in second.tracker.history] == [3, 6, 9, 12]
    assert [record["flipped"] for record in second.tracker.history] == [0, 3, 2, 0]


def test_history_before_and_between_trainings(tmp_path: Path) -> None:
    callback = ComplementarityCallback()
    assert callback.state_dict() == {}
    module = Lit()
    trainer(tmp_path, callback).fit(module, loader())
    saved = callback.state_dict()
    again = ComplementarityCallback()
    again.load_state_dict(saved)
    assert again.state_dict() == saved, "kept until training starts"
    trainer(tmp_path, callback, epochs=1).fit(module, loader())
    assert len(callback.tracker.history) == 3, "the same module goes on"
    trainer(tmp_path, callback, epochs=1).fit(Lit(), loader())
    assert len(callback.tracker.history) == 1, "another one starts anew"


@pytest.mark.parametrize(("accumulate", "steps"), [(1, 6), (2, 4), (4, 2)])
def test_schedules_follow_the_optimizer(tmp_path: Path, accumulate: int, steps: int) -> None:
    callback, logger = ComplementarityCallback(), CSVLogger(tmp_path)
    module = Lit(schedule=mf.WarmupPenalty(6.0, steps=6))
    used = trainer(tmp_path, callback, logger=logger, accumulate_grad_batches=accumulate)
    used.fit(module, loader())
    assert used.global_step == int(module.schedule.count) == steps
    assert list(written(logger, "lambda").values()) == pytest.approx([steps / 2, steps])


def test_a_resumed_run_carries_the_schedule_on(tmp_path: Path) -> None:
    for epochs, path in ((1, None), (3, tmp_path / "last.ckpt")):
        module = Lit(schedule=mf.WarmupPenalty(steps=100))
        last = ModelCheckpoint(tmp_path, save_last=True)
        used = trainer(tmp_path, ComplementarityCallback(), last, epochs=epochs, enable_checkpointing=True)
        used.fit(module, loader(), ckpt_path=path, weights_only=True)
        assert int(module.schedule.count) == epochs * STEPS


def test_a_collapse_is_reported(tmp_path: Path) -> None:
    with pytest.warns(
        mf.CollapseWarning, match="Mask 'fusion' has had no open channel of 'image' for 2 updates"
    ):
        trainer(tmp_path, ComplementarityCallback(1, collapse_after=2)).fit(Lit(), loader())


def test_zeta_can_be_monitored(tmp_path: Path) -> None:
    stop = EarlyStopping("zeta", mode="max", patience=1)
    used = trainer(tmp_path, ComplementarityCallback(), stop, epochs=9)
    used.fit(Lit(), loader())
    assert used.current_epoch == 2
    assert not math.isnan(used.callback_metrics["zeta"])


def test_no_mask(tmp_path: Path) -> None:
    module = Lit()
    module.fusion = nn.Identity()
    with pytest.raises(ValueError, match=r"`model_or_mask` \(Lit\) must hold a ComplementaryMask."):
        trainer(tmp_path, ComplementarityCallback()).fit(module, loader())


@pytest.mark.unchecked
@pytest.mark.parametrize("name", ["every_n_steps", "collapse_after"])
@pytest.mark.parametrize(("bad", "error"), [(0, ValueError), (1.5, TypeError)])
def test_settings(name: str, bad: float, error: type[Exception]) -> None:
    with pytest.raises(error, match=rf"`{name}` \(=.*\) must be an integer of at least 1."):
        ComplementarityCallback(**{name: bad})
