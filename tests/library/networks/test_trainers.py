"""Loops and classes of other people: accelerate, Lightning, and models that transformers saves and loads."""

import copy
import math
from collections.abc import Iterator
from pathlib import Path

import lightning.pytorch as lightning
import pytest
import torch
import transformers as hf
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

import maskfusion as mf
from maskfusion.integrations.lightning import ComplementarityCallback
from tests.library.networks.form import CLASSES
from tests.library.networks.networks import NETWORKS, TOWER, WORDS, Speech, words
from tests.library.networks.stepping import OMEGA, TARGET, gradients, mask_of, masked, scores
from tests.support.fusions import WIDTH
from tests.support.helpers import set_weight

close = torch.testing.assert_close


@pytest.fixture
def _accelerators_forgotten() -> Iterator[None]:
    """Its settings are those of the whole process."""
    AcceleratorState._reset_state(reset_partial_state=True)
    yield
    AcceleratorState._reset_state(reset_partial_state=True)


@pytest.mark.usefixtures("_accelerators_forgotten")
@pytest.mark.parametrize("precision", ["no", "bf16"])
def test_accelerate(precision: str) -> None:
    model, mask, batch = masked("clip")
    plain = copy.deepcopy(model)
    accelerator = Accelerator(cpu=True, mixed_precision=precision)
    optimizers = [
        torch.optim.SGD(mf.parameter_groups(each, lr=0.5, weight_decay=0.01)) for each in (model, plain)
    ]
    prepared, optimizers[0] = accelerator.prepare(model, optimizers[0])
    tracker = mf.ComplementarityTracker(prepared)
    for _ in range(3):
        with accelerator.accumulate(prepared):
            loss = nn.functional.cross_entropy(scores("clip", prepared, batch), TARGET)
            accelerator.backward(loss + 0.1 * mask.penalty())
            accelerator.clip_grad_norm_(prepared.parameters(), 10.0)
            optimizers[0].step()
            optimizers[0].zero_grad()
        gradients("clip", plain, mask_of(plain), batch)
        optimizers[1].step()
    tolerance = {"rtol": 0.05, "atol": 0.02} if precision == "bf16" else {}
    close(mask.weight, mask_of(plain).weight, **tolerance)
    assert not torch.allclose(mask.weight, OMEGA, atol=0.02)
    assert mask_of(accelerator.unwrap_model(prepared)) is mask
    state = accelerator.get_state_dict(prepared)
    assert torch.equal(state["complementary_mask.weight"], mask.weight)
    tracker.update()
    assert tracker.kept() == mf.ComplementarityTracker(mask).kept()


@pytest.mark.filterwarnings("ignore:The .train_dataloader. does not have many workers")
@pytest.mark.filterwarnings("ignore:.isinstance.treespec, LeafSpec.:FutureWarning")
@pytest.mark.parametrize(
    "settings", [{}, {"precision": "bf16-mixed"}, {"gradient_clip_val": 1.0, "accumulate_grad_batches": 2}]
)
def test_lightning(tmp_path: Path, settings: dict) -> None:
    form = NETWORKS["wav2vec2 and bert, lightning"]
    model, batch = form.build(), form.batch()
    mask = form.mask(model, batch)
    callback = ComplementarityCallback()
    quiet = {"enable_progress_bar": False, "enable_model_summary": False, "logger": False}
    trainer = lightning.Trainer(
        accelerator="cpu", max_epochs=5, default_root_dir=tmp_path, callbacks=[callback], **quiet, **settings
    )
    torch.manual_seed(1)
    data = TensorDataset(torch.randn(8, 128), torch.cat([words(), words()]), torch.arange(8) % CLASSES)
    trainer.fit(model, DataLoader(data, batch_size=4))
    history = callback.tracker.history
    assert len(history) == 5
    assert math.isfinite(history[-1]["zeta"])
    assert sum(record["flipped"] for record in history) > 0
    assert mask.weight.dtype == torch.float32
    trainer.save_checkpoint(tmp_path / "last.ckpt")
    again = Speech()
    mask_again = form.mask(again, batch)
    again.load_state_dict(torch.load(tmp_path / "last.ckpt", weights_only=True)["state_dict"])
    assert torch.equal(mask_again.weight, mask.weight)


class Pretrained(hf.PreTrainedModel):
    """A class of a user's own whose network has a mask from the start."""

    config_class = hf.BertConfig

    def __init__(self, config: hf.BertConfig) -> None:
        super().__init__(config)
        self.words = hf.BertModel(config)
        self.fusion = mf.ComplementaryMask({"pooled": WIDTH, "mean": WIDTH})
        self.post_init()

    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        if isinstance(module, mf.ComplementaryMask):
            module.reset_parameters()

    def forward(self, ids: Tensor) -> Tensor:
        out = self.words(ids)
        return self.fusion(out.pooler_output, out.last_hidden_state.mean(1))


def test_from_pretrained(tmp_path: Path) -> None:
    model = Pretrained(hf.BertConfig(**TOWER, **WORDS)).eval()
    set_weight(model.fusion, OMEGA)
    model.save_pretrained(tmp_path / "whole")
    again = Pretrained.from_pretrained(tmp_path / "whole")
    ids = words()
    assert torch.equal(again(ids), model(ids))
    model.words.save_pretrained(tmp_path / "without")
    bare = {key: value for key, value in model.state_dict().items() if key != "fusion.weight"}
    model.save_pretrained(tmp_path / "without", state_dict=bare)
    fresh = Pretrained.from_pretrained(tmp_path / "without")
    assert torch.equal(fresh.fusion.weight, torch.full((2 * WIDTH,), 0.1)), "open, where none was saved"
    assert torch.equal(fresh.words(ids).pooler_output, model.words(ids).pooler_output)
