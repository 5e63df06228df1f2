"""VectorQuantizer whichever way its state arrives."""

import copy
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

import maskfusion as mf
from tests.support.helpers import quantizer, same_state

FAMILY: dict[str, Callable[[], nn.Module]] = {
    "plain": lambda: mf.VectorQuantizer(4, 8),
    "by gradient": lambda: mf.VectorQuantizer(4, 8, decay=None),
    "rotation": lambda: mf.VectorQuantizer(4, 8, gradient=mf.rotation_trick),
    "cosine": lambda: mf.VectorQuantizer(4, 8, constraint=mf.unit_length),
    "projected": lambda: mf.ProjectedQuantizer(4, mf.VectorQuantizer(2, 8)),
    "product": lambda: mf.ProductQuantizer([mf.VectorQuantizer(2, 8), mf.VectorQuantizer(2, 8)]),
    "residual": lambda: mf.ResidualQuantizer([mf.VectorQuantizer(4, 8), mf.VectorQuantizer(4, 8)]),
}


# --- the precision of the model (Q3), integers (Q9) ---


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("kind", FAMILY)
def test_decode_has_the_precision_of_the_model(kind: str, dtype: torch.dtype) -> None:
    model = nn.Sequential(nn.Conv1d(4, 4, 1), FAMILY[kind](), nn.Conv1d(4, 4, 1)).to(dtype)
    encoder, vq, decoder = model
    x = torch.randn(3, 4, 5, dtype=dtype)
    found = vq(encoder(x))
    vq.eval()
    codes = vq.decode(vq.encode(encoder(x)))
    assert found.quantized.dtype == codes.dtype == decoder(codes).dtype == dtype
    assert {value.dtype for key, value in vq.state_dict().items() if "codebook" in key} == {torch.float32}
    assert copy.deepcopy(vq).decode(found.indices).dtype == dtype
    again = model.float()[1]
    assert again.decode(found.indices).dtype == torch.float32
    assert again.to("cpu").decode(found.indices).dtype == torch.float32


def test_decode_has_the_default_precision_of_where_it_was_built() -> None:
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.bfloat16)
    try:
        vq = mf.VectorQuantizer(4, 8)
    finally:
        torch.set_default_dtype(before)
    assert vq.codebook.dtype == torch.float32
    assert vq.decode(torch.tensor([1])).dtype == torch.bfloat16


@pytest.mark.unchecked
@pytest.mark.parametrize("dtype", [torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64])
def test_indices_may_be_any_integers(dtype: torch.dtype) -> None:
    vq = quantizer(torch.randn(6, 4))
    indices = torch.tensor([[0, 5, 3]])
    assert torch.equal(vq.decode(indices.to(dtype)), vq.decode(indices))
    with pytest.raises(ValueError, match=r"`indices` from 0 to 6 must lie in \[0, 6\)"):
        vq.decode(torch.tensor([0, 6]).to(dtype))


# --- checkpoints that replace tensors, and devices without memory (Q4) ---


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("where", ["here", "meta"])
@pytest.mark.parametrize("kind", FAMILY)
def test_a_state_of_another_precision_is_assigned_and_trained(
    kind: str, where: str, dtype: torch.dtype
) -> None:
    trained = FAMILY[kind]()
    z = torch.randn(30, 4, 5)
    trained(z)
    state = {key: value.to(dtype) for key, value in trained.state_dict().items()}
    with torch.device("cpu" if where == "here" else "meta"):
        vq = FAMILY[kind]()
    vq.load_state_dict(state, assign=True)
    latents = z.to(dtype).requires_grad_()
    for _ in range(3):
        found = vq(latents)
        (found.quantized.float().square().sum() + found.loss).backward()
    assert {value.dtype for key, value in vq.state_dict().items() if "codebook" in key} == {torch.float32}
    assert all(bool(value.isfinite().all()) for value in vq.state_dict().values())
    assert vq.decode(found.indices).dtype == dtype
    assert vq.eval()(latents).perplexity > 1


def test_a_state_that_was_put_in_place_by_hand_is_settled_before_it_is_used() -> None:
    """As `from_pretrained` does it, which then calls `eval`."""
    with torch.device("meta"):
        vq = mf.VectorQuantizer(4, 8)
    vq.eval()  # nothing to settle yet
    vq.codebook, vq.cluster_size = torch.randn(8, 4).bfloat16(), torch.ones(8).bfloat16()
    vq.initialized, vq.is_frozen = torch.tensor(True), torch.tensor(1.0)
    vq.eval()
    assert vq.frozen
    assert {vq.codebook.dtype, vq.initialized.dtype} == {torch.float32}
    assert vq.decode(torch.tensor([3])).dtype == torch.bfloat16
    before = vq.codebook.clone()
    vq.train()(torch.randn(20, 4))
    assert torch.equal(vq.codebook, before)


def test_a_state_without_a_codebook_leaves_it() -> None:
    vq = quantizer(torch.randn(6, 4)).freeze()
    before = vq.codebook.clone()
    found = vq.load_state_dict({"cluster_size": torch.full((6,), 2.0)}, strict=False)
    assert set(found.missing_keys) == {"codebook", "initialized", "is_frozen"}
    assert torch.equal(vq.codebook, before)
    assert vq.frozen


def test_states_of_older_versions_load() -> None:
    """Flags were booleans, and there was none for a frozen codebook."""
    vq = mf.VectorQuantizer(4, 8)
    vq(torch.randn(30, 4))
    old = {key: value for key, value in vq.state_dict().items() if key != "is_frozen"}
    old["initialized"] = torch.tensor(True)
    for assign in (False, True):
        other = mf.VectorQuantizer(4, 8).freeze()
        other.load_state_dict(old, assign=assign)
        assert other.frozen, "it was frozen here, and the file says nothing"
        assert torch.equal(other.codebook, vq.codebook)
        assert other.initialized == 1
        assert other.initialized.dtype == torch.float32


# --- averages (Q5), shared codebooks (Q8) ---


@pytest.mark.parametrize("average", [None, get_ema_multi_avg_fn(0.9)])
@pytest.mark.parametrize("kind", FAMILY)
def test_averages_over_buffers(kind: str, average: Callable[..., None] | None) -> None:
    vq = FAMILY[kind]()
    averaged = AveragedModel(vq, multi_avg_fn=average, use_buffers=True)
    batches = torch.randn(5, 30, 4)
    for z in batches:
        vq(z)
        averaged.update_parameters(vq)
    assert all(bool(value.isfinite().all()) for value in averaged.state_dict().values())
    found = averaged.module.eval()(batches[0])
    assert found.perplexity > 1
    assert found.loss < 1
    averaged.module.train()(batches[0])
    for part in averaged.module.modules():
        if isinstance(part, mf.VectorQuantizer):
            assert part.initialized == 1, "it does not start again"


@pytest.mark.parametrize("kind", [mf.ResidualQuantizer, mf.ProductQuantizer])
def test_a_shared_codebook_is_saved_once(kind: type[nn.Module], tmp_path: Path) -> None:
    files = pytest.importorskip("safetensors.torch", reason="safetensors is not installed")

    def shared() -> nn.Module:
        first, second = mf.VectorQuantizer(4, 8), mf.VectorQuantizer(4, 8)
        return nn.Sequential(kind([first, first, second, first]))

    model, other = shared(), shared()
    model[0](torch.randn(20, 16 if kind is mf.ProductQuantizer else 4))
    state = model.state_dict()
    assert {key.split(".")[2] for key in state} == {"0", "2"}
    files.save_file(state, tmp_path / "state.safetensors")
    other.load_state_dict(files.load_file(tmp_path / "state.safetensors"))
    assert same_state(model, other)
    assert other[0].quantizers[0] is other[0].quantizers[3]
    every = dict(state)
    for position in (1, 3):
        every |= {
            key.replace(".0.", f".{position}.", 1): value for key, value in state.items() if ".0." in key
        }
    fresh = shared()
    fresh.load_state_dict(every)
    assert same_state(model, fresh), "older versions saved it under every name"


# --- frozen (Q10) ---


@pytest.mark.parametrize("decay", [0.9, None])
def test_a_frozen_codebook_is_frozen_where_its_state_is_loaded(decay: float | None) -> None:
    vq = mf.VectorQuantizer(4, 8, decay=decay)
    vq(torch.randn(30, 4))
    other = mf.VectorQuantizer(4, 8, decay=decay)
    other.load_state_dict(vq.freeze().state_dict())
    before = copy.deepcopy(other)
    other(torch.randn(30, 4))
    assert other.frozen
    assert same_state(other, before)
    other.load_state_dict(vq.freeze(False).state_dict())
    assert not other.frozen
    other(torch.randn(30, 4))
    assert not same_state(other, before)


def test_a_learned_codebook_that_wants_no_gradient_is_frozen() -> None:
    model = nn.Sequential(mf.VectorQuantizer(4, 8, decay=None, restart_threshold=0.9))
    model(torch.randn(30, 4))
    model.requires_grad_(False)
    before = copy.deepcopy(model)
    model(torch.randn(30, 4))
    assert model[0].frozen
    assert same_state(model, before)


def test_a_codebook_without_gradient_does_not_hear_of_it() -> None:
    model = nn.Sequential(mf.VectorQuantizer(4, 8)).requires_grad_(False)
    before = copy.deepcopy(model)
    model(torch.randn(30, 4))
    assert not same_state(model, before), "as the guide says: `freeze` stops it"
