"""HeldOutMasks in Lightning's manual optimisation and in a trainer of transformers: as in a loop of one's own."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, TensorDataset

import maskfusion as mf
from tests.support.trainers import QUIET

lightning = pytest.importorskip("lightning.pytorch")
transformers = pytest.importorskip("transformers")
pytest.importorskip("accelerate")
from maskfusion.integrations.lightning import ComplementarityCallback as ForLightning
from maskfusion.integrations.transformers import ComplementarityCallback as ForTransformers

pytestmark = QUIET
STEPS = 4


def rows(seed: int) -> Tensor:
    return torch.randn(2 * STEPS, 6, generator=torch.Generator().manual_seed(seed))


class Network(nn.Module):
    """A layer, a mask, a head."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.body = nn.Linear(6, 8)
        self.fusion = mf.ComplementaryMask({"image": 4, "audio": 4})
        self.head = nn.Linear(8, 1)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        return {"loss": self.head(self.fusion(self.body(x))).square().mean()}


def made(model: nn.Module) -> mf.HeldOutMasks:
    return mf.HeldOutMasks(model, torch.optim.Adam(mf.parameter_groups(model, lr=0.1, mask_lr=0.01)[-1:]))


def loss(model: nn.Module, step: int) -> Callable[[], Tensor]:
    """On another held-out batch each step."""
    start = 2 * (step % STEPS)
    return lambda: model(rows(5)[start : start + 2])["loss"]


def wanted(model: Network, *, before: bool) -> Network:
    """A loop of one's own, with the held-out step before or after that of the weights."""
    model = copy.deepcopy(model)
    held_out = made(model)
    optimizer = torch.optim.SGD([each for each in model.parameters() if each.requires_grad], lr=0.1)
    for step, x in enumerate(rows(4).split(2)):
        optimizer.zero_grad()
        model(x)["loss"].backward()
        if before:
            held_out.step(loss(model, step))
        optimizer.step()
        if not before:
            held_out.step(loss(model, step))
    return model


class Lit(lightning.LightningModule):
    """Two optimisers, that of Omega by way of the held-out step; both go into checkpoints."""

    def __init__(self) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.network = Network()
        self.held_out = made(self.network)

    def configure_optimizers(self) -> list[torch.optim.Optimizer]:
        weights = [each for each in self.network.parameters() if each.requires_grad]
        return [torch.optim.SGD(weights, lr=0.1), self.held_out.optimizer]

    def training_step(self, batch: list[Tensor], step: int) -> None:
        optimizer, _ = self.optimizers()
        optimizer.zero_grad()
        self.manual_backward(self.network(batch[0])["loss"])
        optimizer.step()
        self.held_out.step(loss(self.network, step))


def test_lightning(tmp_path: Path) -> None:
    module = Lit()
    expected = wanted(module.network, before=False)
    callback = ForLightning(2)
    trainer = lightning.Trainer(
        accelerator="cpu",
        default_root_dir=tmp_path,
        callbacks=[callback],
        logger=False,
        max_epochs=1,
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
    )
    trainer.fit(module, DataLoader(TensorDataset(rows(4)), batch_size=2))
    torch.testing.assert_close(module.network.state_dict(), expected.state_dict())
    assert not torch.equal(module.network.fusion.weight, Network().fusion.weight)
    assert len(callback.tracker.history) == STEPS // 2


class Rows(Dataset):
    """Two rows a step."""

    def __len__(self) -> int:
        return 2 * STEPS

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        return {"x": rows(4)[index]}


class Trainer(transformers.Trainer):
    """A held-out step a batch."""

    def __init__(self, model: nn.Module, *args: Any, **settings: Any) -> None:
        self.held_out = made(model)
        super().__init__(model, *args, **settings)

    def _get_train_sampler(self, *_: Any) -> None:
        """In order."""

    def training_step(self, model: nn.Module, *args: Any) -> Tensor:
        value = super().training_step(model, *args)
        self.held_out.step(loss(self.model, self.state.global_step))
        return value


def test_transformers(tmp_path: Path) -> None:
    model = Network()
    expected = wanted(model, before=True)
    args = transformers.TrainingArguments(
        str(tmp_path),
        per_device_train_batch_size=2,
        learning_rate=0.1,
        optim="sgd",
        lr_scheduler_type="constant",
        num_train_epochs=1,
        save_strategy="no",
        logging_strategy="no",
        report_to="none",
        max_grad_norm=0.0,
        use_cpu=True,
        disable_tqdm=True,
        remove_unused_columns=False,
    )
    trainer = Trainer(model, args, train_dataset=Rows())
    callback = ForTransformers(trainer, 2)
    trainer.add_callback(callback)
    trainer.train()
    torch.testing.assert_close(model.state_dict(), expected.state_dict())
    assert not torch.equal(model.fusion.weight, Network().fusion.weight)
    assert len(callback.tracker.history) == STEPS // 2
