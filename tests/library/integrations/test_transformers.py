"""The callback for the trainer of transformers: on a small CLIP whose two towers are fused by a mask."""

import json
from collections.abc import Iterator
from pathlib import Path

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
    pytest.mark.filterwarnings("ignore::DeprecationWarning:tensorboard"),
    pytest.mark.filterwarnings("ignore:.*lr_scheduler.step.*:UserWarning"),
]
STEPS = 3
TOWER = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2}


class Pairs(Dataset):
    """Six pairs of an image and a sentence."""

    def __len__(self) -> int:
        """Two a step."""
        return 2 * STEPS

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        """What the network takes, by name."""
        generator = torch.Generator().manual_seed(index)
        return {
            "pixel_values": torch.randn(3, 8, 8, generator=generator),
            "input_ids": torch.randint(3, 20, (5,), generator=generator),
            "labels": torch.tensor(index % 2),
        }


class Classifier(nn.Module):
    """CLIP, random and small; a mask over both embeddings; a head. It closes one channel of image a step."""

    def __init__(self, masks: int = 1, schedules: int = 0) -> None:
        super().__init__()
        config = transformers.CLIPConfig(
            text_config={**TOWER, "vocab_size": 20, "max_position_embeddings": 5, "eos_token_id": 2},
            vision_config={**TOWER, "image_size": 8, "patch_size": 4},
            projection_dim=4,
        )
        self.clip = transformers.CLIPModel(config)
        self.fusion = mf.ComplementaryMask({"image": 4, "text": 4}) if masks else nn.Identity()
        self.head = nn.Linear(8, 2)
        self.schedules = nn.ModuleList(mf.WarmupPenalty(6.0, steps=6) for _ in range(schedules))

    def forward(self, pixel_values: Tensor, input_ids: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """Loss and scores."""
        if self.training:
            with torch.no_grad():
                still_open = (self.fusion.weight > 0).nonzero()
                self.fusion.weight[still_open[:1]] = -1.0
        out = self.clip(pixel_values=pixel_values, input_ids=input_ids)
        scores = self.head(self.fusion(torch.cat([out.image_embeds, out.text_embeds], 1)))
        return {"loss": nn.functional.cross_entropy(scores, labels), "logits": scores}


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    before = transformers.utils.logging.get_verbosity()
    transformers.utils.logging.set_verbosity_error()
    yield
    transformers.utils.logging.set_verbosity(before)


def trainer(root: Path, model: nn.Module, **settings) -> "transformers.Trainer":
    """A quiet trainer on the CPU."""
    defaults = {"num_train_epochs": 2, "save_strategy": "no", "logging_strategy": "no", "report_to": "none"}
    args = transformers.TrainingArguments(
        str(root),
        per_device_train_batch_size=2,
        learning_rate=1e-6,
        use_cpu=True,
        disable_tqdm=True,
        **{**defaults, **settings},
    )
    return transformers.Trainer(model, args, train_dataset=Pairs())


def watched(
    root: Path, every: int | None = None, **settings
) -> tuple["transformers.Trainer", ComplementarityCallback]:
    """A trainer and the callback that was added to it."""
    made = trainer(root, Classifier(), **settings)
    callback = ComplementarityCallback(made, every)
    made.add_callback(callback)
    return made, callback


def logged(trainer: "transformers.Trainer", name: str) -> dict[int, float]:
    """Values of a metric by step."""
    return {entry["step"]: entry[name] for entry in trainer.state.log_history if name in entry}


def test_epochs(tmp_path: Path) -> None:
    used, callback = watched(tmp_path)
    assert callback.tracker is None
    used.train()
    assert [record["step"] for record in callback.tracker.history] == [3, 6]
    assert logged(used, "zeta") == {3: 0.25, 6: 0.0}
    assert logged(used, "compl/image") == {3: 12.5, 6: 0.0}
    assert logged(used, "kept/text") == {3: 100.0, 6: 50.0}


def test_steps_and_the_loss_beside_them(tmp_path: Path) -> None:
    used, callback = watched(tmp_path, 2, logging_strategy="steps", logging_steps=2)
    used.train()
    assert [record["step"] for record in callback.tracker.history] == [2, 4, 6]
    assert logged(used, "zeta") == {2: 0.5, 4: 0.0, 6: 0.0}
    assert list(logged(used, "loss")) == [2, 4, 6], "logging zeta does not cost the loss"


def test_tensorboard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    events = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    monkeypatch.setenv("TENSORBOARD_LOGGING_DIR", str(tmp_path / "events"))
    used, _ = watched(tmp_path, report_to="tensorboard")
    used.train()
    read = events.EventAccumulator(str(tmp_path / "events"))
    read.Reload()
    assert [event.value for event in read.Scalars("train/zeta")] == [0.25, 0.0]


@pytest.mark.parametrize("restore", [False, True])
def test_a_resumed_run_carries_the_history_on(tmp_path: Path, restore: bool) -> None:
    first, callback = watched(tmp_path, save_strategy="epoch")
    first.train()
    state = json.loads((tmp_path / "checkpoint-3" / "trainer_state.json").read_text())
    saved = state["stateful_callbacks"]["maskfusion.ComplementarityCallback"]
    assert saved["history"] == callback.tracker.history[:1]
    second, resumed = watched(tmp_path, restore_callback_states_from_checkpoint=restore)
    second.train(resume_from_checkpoint=str(tmp_path / "checkpoint-3"))
    assert [record["step"] for record in resumed.tracker.history] == [3, 6]
    assert resumed.tracker.history == callback.tracker.history
    assert logged(second, "zeta") == {3: 0.25, 6: 0.0}
    second.train()
    assert [record["step"] for record in resumed.tracker.history] == [3, 6], "a new run starts a new history"


def test_a_resumed_run_carries_the_schedules_on(tmp_path: Path) -> None:
    logs = []
    for path in (None, str(tmp_path / "checkpoint-3")):
        model = Classifier(schedules=2)
        used = trainer(tmp_path, model, save_strategy="epoch")
        used.add_callback(ComplementarityCallback(used))
        used.train(resume_from_checkpoint=path)
        assert [int(schedule.count) for schedule in model.schedules] == [6, 6]
        logs.append(logged(used, "schedules.1/lambda"))
    assert logs == [{3: 3.0, 6: 6.0}] * 2


def test_a_collapse_is_reported(tmp_path: Path) -> None:
    made = trainer(tmp_path, Classifier())
    made.add_callback(ComplementarityCallback(made, 1, collapse_after=2))
    with pytest.warns(
        mf.CollapseWarning, match="Mask 'fusion' has had no open channel of 'image' for 2 updates"
    ):
        made.train()


def test_no_mask(tmp_path: Path) -> None:
    made = trainer(tmp_path, Classifier(masks=0))
    made.add_callback(ComplementarityCallback(made))
    with pytest.raises(ValueError, match=r"`model_or_mask` \(Classifier\) must hold a ComplementaryMask."):
        made.train()


@pytest.mark.unchecked
def test_settings(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match=r"`trainer` \(=None\) must be a transformers.Trainer."):
        ComplementarityCallback(None)
    made = trainer(tmp_path, Classifier())
    for bad, error in ((0, ValueError), (1.5, TypeError)):
        for name in ("every_n_steps", "collapse_after"):
            with pytest.raises(error, match=rf"`{name}` \(=.*\) must be an integer of at least 1."):
                ComplementarityCallback(made, **{name: bad})
