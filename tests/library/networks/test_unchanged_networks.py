"""What others do to a network as it stands, with a mask on it: saved, adapted, resized, averaged, traced."""

import copy
from pathlib import Path
from typing import Any

import lightning.pytorch as lightning
import peft
import pytest
import torch
from lightning.pytorch.callbacks import WeightAveraging
from safetensors.torch import load_file
from torch import Tensor, fx, nn
from torch.utils.data import DataLoader, TensorDataset

import maskfusion as mf
from tests.library.networks.pretrained import PRETRAINED
from tests.library.networks.stepping import OMEGA, mask_of, masked, scores
from tests.library.networks.vectors import VECTORS
from tests.support.helpers import set_weight

LORA = peft.LoraConfig(r=2, target_modules=["q_proj", "v_proj"])
adapted = pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing. is deprecated:FutureWarning")


def omega(mask: mf.ComplementaryMask) -> Tensor:
    """Some channels of everything closed."""
    return torch.linspace(0.2, 0.02, len(mask.weight))


@pytest.mark.parametrize("name", ["FLAVA", "CLIPSeg", "BLIP-2"])
def test_save_pretrained_and_from_pretrained(name: str, tmp_path: Path) -> None:
    form = PRETRAINED[name]
    model, batch = form.build().eval(), form.batch()
    plain = form.run(model, batch)
    mask = form.mask(model, batch)
    set_weight(mask, omega(mask))
    model.save_pretrained(tmp_path)
    again, report = type(model).from_pretrained(tmp_path, output_loading_info=True)
    assert report["unexpected_keys"] == {"complementary_mask.weight"}
    assert not report["missing_keys"]
    assert torch.equal(form.run(again.eval(), batch), plain), "the network alone"
    form.mask(again, batch)
    left = again.load_state_dict(load_file(tmp_path / "model.safetensors"), strict=False)
    assert left.unexpected_keys == []
    assert torch.equal(form.run(again, batch), form.run(model, batch))


@adapted
@pytest.mark.parametrize("leave", ["merge_and_unload", "unload"])
def test_adapters_inside_of_an_encoder_come_and_go(leave: str) -> None:
    form = PRETRAINED["LLaVA"]
    model, batch = form.build().eval(), form.batch()
    mask = form.mask(model, batch)
    set_weight(mask, omega(mask))
    before = form.run(model, batch)
    wrapped = peft.get_peft_model(model.model.vision_tower, LORA)
    model.model.vision_tower = wrapped
    mask.weight.requires_grad_(True)
    assert torch.equal(form.run(model, batch), before)
    form.run(model, batch).sum().backward()
    assert bool((mask.weight.grad != 0).any())
    model.model.vision_tower = getattr(wrapped, leave)()
    torch.testing.assert_close(form.run(model, batch), before)
    assert mf.check(model, batch).problems == ()


@adapted
def test_adapters_around_the_whole_network_keep_the_mask() -> None:
    form = PRETRAINED["LLaVA"]
    model, batch = form.build().eval(), form.batch()
    form.mask(model, batch)
    wrapped = peft.get_peft_model(model, LORA)
    assert mf.check(wrapped, batch).problems == ()
    merged = wrapped.merge_and_unload()
    assert mf.check(merged, batch).problems == ()
    assert mf.detach(merged) == ["complementary_mask"]


def test_new_token_embeddings_are_noticed() -> None:
    form = PRETRAINED["LLaVA"]
    model, batch = form.build().eval(), form.batch()
    mask = form.mask(model, batch)
    set_weight(mask, omega(mask))
    model.resize_token_embeddings(24, mean_resizing=False)
    assert mf.check(model, batch).problems == ()


class Lit(lightning.LightningModule):
    """Tensor fusion, trained by Lightning."""

    def __init__(self) -> None:
        super().__init__()
        self.form = VECTORS["tensor fusion"]
        self.net = self.form.build()
        self.form.mask(self.net, self.form.batch())

    def training_step(self, batch: list[Tensor], _: int) -> Tensor:
        *inputs, y = batch
        return nn.functional.cross_entropy(self.net(*inputs), y) + mf.total_penalty(self)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.01)


@pytest.mark.filterwarnings("ignore:The .train_dataloader. does not have many workers")
@pytest.mark.filterwarnings("ignore:.isinstance.treespec, LeafSpec.:FutureWarning")
def test_lightning_averages_weights(tmp_path: Path) -> None:
    model = Lit()
    data = TensorDataset(*(torch.randn(8, size) for size in (5, 4, 3)), torch.arange(8) % 3)
    quiet: dict[str, Any] = {"enable_progress_bar": False, "enable_model_summary": False, "logger": False}
    trainer = lightning.Trainer(
        accelerator="cpu", max_epochs=2, default_root_dir=tmp_path, callbacks=[WeightAveraging()], **quiet
    )
    trainer.fit(model, DataLoader(data, batch_size=4))
    steps = torch.tensor([0.1 - 0.01 * step for step in range(5)])
    averaged = mask_of(model).weight
    assert bool((averaged > steps.min()).all()), "an average of five steps, of which the last is the smallest"
    assert mf.check(model.net, model.form.batch()).problems == ()


def test_data_parallel() -> None:
    model, mask, batch = masked("clip")
    assert torch.equal(scores("clip", nn.DataParallel(model), batch), scores("clip", model, batch))
    set_weight(mask, OMEGA.flip(0))
    assert torch.equal(scores("clip", nn.DataParallel(model), batch), scores("clip", model, batch))


TRACED = ["LF_DNN of MMSA", "tensor fusion", "OGM-GE, gated"]


@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning", "ignore:.torch.jit:DeprecationWarning")
@pytest.mark.parametrize("name", TRACED)
def test_traced_saved_and_loaded(name: str, tmp_path: Path) -> None:
    form = VECTORS[name]
    model, batch = form.build().eval(), form.batch()
    mask = form.mask(model, batch)
    set_weight(mask, omega(mask))
    inputs = tuple(batch.values()) if isinstance(batch, dict) else batch
    torch.jit.trace(model, inputs, strict=False).save(tmp_path / "model.pt")
    again = torch.jit.load(tmp_path / "model.pt")
    torch.testing.assert_close(form.scores(again(*inputs)), form.run(model, batch))


def test_fx_traces_the_network_that_a_mask_then_goes_onto() -> None:
    form = VECTORS["OGM-GE, gated"]
    model, batch = form.build().eval(), form.batch()
    traced = fx.symbolic_trace(copy.deepcopy(model))
    mf.attach(traced, {"audio": "audio_net", "visual": "visual_net"}, batch)
    assert mf.check(traced, batch).problems == ()
    set_weight(mask_of(traced), 0.0)
    assert bool((form.run(traced, batch) == form.run(traced, batch)[0]).all())
    form.mask(model, batch)
    with pytest.raises(TypeError, match=r"Trace first, then `attach` to the traced network\."):
        fx.symbolic_trace(model)
