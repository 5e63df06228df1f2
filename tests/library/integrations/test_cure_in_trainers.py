"""Alone and together, joined, pooled: with CLIP's towers as they stand, in Lightning's trainer and in that of transformers."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, Dataset

import maskfusion as mf
from tests.support.trainers import QUIET

lightning = pytest.importorskip("lightning.pytorch")
transformers = pytest.importorskip("transformers")
pytest.importorskip("accelerate")
from maskfusion.integrations.lightning import ComplementarityCallback as ForLightning
from maskfusion.integrations.transformers import ComplementarityCallback as ForTransformers

pytestmark = [
    *QUIET,
    pytest.mark.filterwarnings("ignore:The .predict_dataloader. does not have many workers"),
]
BATCH, RATE, EPOCHS, PENALTY = 8, 0.01, 6, 1e-3
TOWER = {
    "hidden_size": 8,
    "intermediate_size": 8,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "projection_dim": 4,
}
MASKED = {"image": "towers.image.visual_projection", "text": "towers.text.text_projection"}


class Pairs(Dataset):
    """A sentence that tells the class by one of its words, and an image of noise."""

    def __init__(self, seed: int, pairs: int = 48) -> None:
        generator = torch.Generator().manual_seed(seed)
        self.target = torch.randint(2, (pairs,), generator=generator)
        self.image = torch.randn(pairs, 3, 8, 8, generator=generator)
        self.text = torch.randint(5, 20, (pairs, 5), generator=generator)
        self.text[:, 1] = 3 + self.target

    def __len__(self) -> int:
        """Pairs."""
        return len(self.target)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        """What the network takes, by name."""
        return {"image": self.image[index], "text": self.text[index], "labels": self.target[index]}


class Network(lightning.LightningModule):
    """One tower of CLIP or both, random and small, and a head; an ordinary module for transformers."""

    def __init__(self, *names: str) -> None:
        super().__init__()
        vision = transformers.CLIPVisionConfig(**TOWER, image_size=8, patch_size=4)
        text = transformers.CLIPTextConfig(**TOWER, vocab_size=20, max_position_embeddings=5, eos_token_id=2)
        made = {
            "image": lambda: transformers.CLIPVisionModelWithProjection(vision),
            "text": lambda: transformers.CLIPTextModelWithProjection(text),
        }
        self.towers = nn.ModuleDict({name: made[name]() for name in names})
        self.head = nn.Linear(4 * len(names), 2)

    def forward(self, image: Tensor, text: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """Loss and scores."""
        features = []
        if "image" in self.towers:
            features.append(self.towers["image"](pixel_values=image).image_embeds)
        if "text" in self.towers:
            features.append(self.towers["text"](input_ids=text).text_embeds)
        scores = self.head(torch.cat(features, dim=1))
        return {"loss": cross_entropy(scores, labels), "logits": scores}

    def training_step(self, batch: dict[str, Tensor], _: int) -> Tensor:
        return self(**batch)["loss"]

    def predict_step(self, batch: dict[str, Tensor], _: int) -> Tensor:
        return self(**batch)["logits"]

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.AdamW(mf.parameter_groups(self, lr=RATE))


def in_lightning(network: Network, folder: Path, data: Dataset | None) -> Tensor | None:
    """Train, or predict where there is data."""
    trainer = lightning.Trainer(
        accelerator="cpu",
        max_epochs=EPOCHS,
        default_root_dir=folder,
        callbacks=[ForLightning(penalty=PENALTY)] if hasattr(network, "complementary_mask") else [],
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
    )
    if data is None:
        trainer.fit(network, DataLoader(Pairs(0), batch_size=BATCH))
        return None
    return torch.cat(trainer.predict(network, DataLoader(data, batch_size=BATCH)))


def in_transformers(network: Network, folder: Path, data: Dataset | None) -> Tensor | None:
    """The same."""
    arguments = transformers.TrainingArguments(
        str(folder),
        per_device_train_batch_size=BATCH,
        num_train_epochs=EPOCHS,
        learning_rate=RATE,
        save_strategy="no",
        report_to=[],
        use_cpu=True,
        disable_tqdm=True,
        dataloader_pin_memory=False,
    )
    trainer = transformers.Trainer(
        network,
        arguments,
        train_dataset=Pairs(0),
        optimizers=(network.configure_optimizers(), None),
    )
    if hasattr(network, "complementary_mask"):
        trainer.add_callback(ForTransformers(trainer, penalty=PENALTY))
    if data is None:
        trainer.train()
        return None
    return torch.from_numpy(trainer.predict(data).predictions)


@pytest.mark.parametrize("run", [in_lightning, in_transformers])
def test_the_three_steps(tmp_path: Path, run: Callable[..., Tensor | None]) -> None:
    torch.manual_seed(0)
    heads = {"image": Network("image"), "text": Network("text"), "together": Network("image", "text")}
    for network in heads.values():
        run(network, tmp_path, None)
    joint = Network("image", "text")
    batch = next(iter(DataLoader(Pairs(0), batch_size=BATCH)))
    mf.attach(joint, MASKED, batch)
    fresh = mf.warm_start(joint, {f"towers.{name}": heads[name].towers[name] for name in MASKED})
    assert fresh == ["head.weight", "head.bias", "complementary_mask.weight"]
    start = joint.complementary_mask.weight.detach().clone()
    run(joint, tmp_path, None)
    assert not torch.equal(joint.complementary_mask.weight, start)
    heads["joint"] = joint

    validation, test = Pairs(1), Pairs(2)
    pool = mf.LogarithmicPool(heads)
    pool.fit({name: run(head, tmp_path, validation) for name, head in heads.items()}, validation.target)
    assert pool.shares["text"] > 3 * pool.shares["image"], "an image of noise"
    scores = {name: run(head, tmp_path, test) for name, head in heads.items()}
    losses = {name: cross_entropy(pool({name: each}), test.target) for name, each in scores.items()}
    assert cross_entropy(pool(scores), test.target) < min(losses.values()) + 0.05
    assert (pool({"text": scores["text"]}).argmax(1) == test.target).float().mean() > 0.75, "no image"
