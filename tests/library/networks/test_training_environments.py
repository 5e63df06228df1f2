"""Where people train: autocast, compile, checkpointing, averaged copies, adapters, half precision."""

import copy

import peft
import pytest
import torch
import transformers as hf
from torch import Tensor, nn
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.checkpoint import checkpoint

import maskfusion as mf
from tests.library.networks.networks import NETWORKS, Plain, TwoTowers, mask_plain
from tests.library.networks.stepping import OMEGA, TARGET, gradients, mask_of, masked, scores
from tests.support.fusions import WIDTH
from tests.support.helpers import set_weight

CHECKPOINTED = ["clip", "vilt", "videomae and ast", "wav2vec2 and bert, lightning"]
close = torch.testing.assert_close


@pytest.mark.parametrize("name", NETWORKS)
def test_autocast(name: str) -> None:
    network = NETWORKS[name]
    model, batch = network.build(), network.batch()
    plain = copy.deepcopy(model)
    mask = network.mask(model, batch)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(*(scores(name, each, batch) for each in (plain, model)))
        set_weight(mask, OMEGA)
        nn.functional.cross_entropy(scores(name, model, batch), TARGET).backward()
        penalty = mask.penalty()
    assert mask.weight.grad.dtype == penalty.dtype == torch.float32
    assert bool(mask.weight.grad.isfinite().all())
    assert bool((mask.weight.grad != 0).all())
    close(penalty, OMEGA.sum())


@pytest.mark.parametrize(
    ("name", "backend"), [("clip", "eager"), ("lxmert", "eager"), ("plain, mapping", "aot_eager")]
)
@pytest.mark.unchecked
def test_compile_in_one_piece(name: str, backend: str) -> None:
    torch._dynamo.reset()
    model, mask, batch = masked(name)
    plain = copy.deepcopy(model)
    compiled = torch.compile(model, backend=backend, fullgraph=True)
    found = gradients(name, compiled, mask, batch)
    expected = gradients(name, plain, mask_of(plain), batch)
    close(found, {f"_orig_mod.{key}": value for key, value in expected.items()})
    assert mf.ComplementarityTracker(compiled).kept() == mf.ComplementarityTracker(plain).kept()
    for each in (mask, mask_of(plain)):
        set_weight(each, OMEGA.flip(0))
    close(scores(name, compiled, batch), scores(name, plain, batch))


@pytest.mark.filterwarnings(
    "ignore:.*is_activation_checkpointing|.*activation_checkpointing_enable:FutureWarning"
)
@pytest.mark.parametrize("name", CHECKPOINTED)
def test_gradient_checkpointing_of_transformers(name: str) -> None:
    model, mask, batch = masked(name)
    expected = gradients(name, model, mask, batch)
    for module in model.modules():
        if isinstance(module, hf.PreTrainedModel):
            module.gradient_checkpointing_enable({"use_reentrant": False})
    calls: list[int] = []
    linear = next(part for key, part in model.named_modules() if "layer" in key and type(part) is nn.Linear)
    linear.register_forward_hook(lambda *_: calls.append(1))
    close(gradients(name, model, mask, batch), expected)
    assert len(calls) == 2, "forward, and once more on the way back"


@pytest.mark.parametrize("reentrant", [True, False])
@pytest.mark.parametrize("name", ["clip", "wav2vec2 and bert, lightning", "plain, keywords"])
def test_checkpointing_of_the_fusion_itself(name: str, reentrant: bool) -> None:
    model, mask, batch = masked(name)
    expected = gradients(name, model, mask, batch)

    class Checkpointed(nn.Module):
        def __init__(self, inner: nn.Module) -> None:
            super().__init__()
            self.inner = inner

        def forward(self, image: Tensor, audio: Tensor) -> Tensor:
            return checkpoint(self.inner, image, audio, use_reentrant=reentrant)

    model.fusion = Checkpointed(model.fusion)
    actual = gradients(name, model, mask, batch)
    close({key.replace("fusion.inner", "fusion"): value for key, value in actual.items()}, expected)


@pytest.mark.parametrize("name", ["clip", "vilt", "plain, positional"])
def test_an_averaged_copy_has_a_mask_of_its_own(name: str) -> None:
    model, mask, batch = masked(name)
    set_weight(mask, OMEGA.flip(0))
    average = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.75))
    average.update_parameters(model)
    theirs = mask_of(average)
    close(theirs.weight, OMEGA.flip(0))
    set_weight(mask, [-0.1] * 2 * WIDTH)
    average.update_parameters(model)
    close(theirs.weight, 0.75 * OMEGA.flip(0) - 0.025)
    assert mf.ComplementarityTracker(average).kept() != mf.ComplementarityTracker(model).kept()
    by_hand = copy.deepcopy(model)
    by_hand.load_state_dict(average.module.state_dict())
    assert torch.equal(*(scores(name, each.eval(), batch) for each in (average, by_hand)))
    assert not torch.equal(*(scores(name, each.eval(), batch) for each in (average, model)))


adapted = pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing. is deprecated:FutureWarning")
LORA = peft.LoraConfig(r=2, target_modules=["q_proj", "v_proj"])


@adapted
def test_adapters_on_the_encoders_leave_the_mask_alone() -> None:
    model, mask, batch = masked("clip")
    before = scores("clip", model.eval(), batch)
    model.clip = peft.get_peft_model(model.clip, LORA)
    assert torch.equal(before, scores("clip", model, batch))
    trained = {key for key, value in model.named_parameters() if value.requires_grad}
    assert {"complementary_mask.weight", "head.weight", "fusion.image.weight"} < trained
    assert all("lora" in key for key in trained if key.startswith("clip"))
    found = gradients("clip", model, mask, batch)
    assert set(found) == trained
    again, _, _ = masked("clip")
    again.clip = peft.get_peft_model(again.clip, LORA)
    set_weight(mask, OMEGA.flip(0))
    again.load_state_dict(model.state_dict())
    assert torch.equal(*(scores("clip", each.eval(), batch) for each in (model, again)))
    model.clip = model.clip.merge_and_unload()


@adapted
def test_adapters_on_the_whole_model_come_before_the_mask() -> None:
    late = peft.get_peft_model(TwoTowers(), LORA)
    batch = NETWORKS["clip"].batch()
    mask = mf.attach(late, "base_model.model.fusion", batch)
    assert mask.weight.requires_grad
    assert bool((gradients("clip", late, mask, batch)["complementary_mask.weight"] != 0).all())
    early = TwoTowers()
    frozen = NETWORKS["clip"].mask(early, batch)
    peft.get_peft_model(early, LORA)
    assert not frozen.weight.requires_grad, "PEFT freezes what is there already"
    frozen.weight.requires_grad_(True)
    assert "complementary_mask.weight" in gradients("clip", early, frozen, batch)


def test_half_precision_before_and_after() -> None:
    model = Plain().bfloat16()
    assert mask_plain(model).weight.dtype == torch.float32
    scores_of = model(*(value.bfloat16() for value in (torch.randn(3, 4), torch.randn(3, 3))))
    assert scores_of.dtype == torch.bfloat16


@pytest.mark.usefixtures("_one_process")
def test_omega_in_pieces_is_gathered() -> None:
    mask = set_weight(mf.ComplementaryMask([WIDTH, WIDTH]), OMEGA)
    fully_shard(mask)
    assert isinstance(mask.weight, DTensor)
    penalty = mask.penalty()
    assert not isinstance(penalty, DTensor)
    close(penalty, OMEGA.sum())
    (2 * penalty).backward()
    close(mask.weight.grad.full_tensor(), torch.full_like(OMEGA, 2.0))
    assert torch.equal(mask.kept, OMEGA > 0.05)
    assert "kept" not in repr(mask), "printing on one process must not wait for the others"
