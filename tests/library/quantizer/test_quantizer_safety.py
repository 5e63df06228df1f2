"""VectorQuantizer where others break: bad numbers, padding, starts, restarts, precision, resume."""

import copy
import io
import math

import numpy as np
import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils.checkpoint import checkpoint

import maskfusion as mf
from maskfusion.functional.nearest import of_finite_length
from tests.support import oracle
from tests.support.helpers import array, largest_allocation, quantizer, same_state, vectors_of

BAD = [math.nan, math.inf, -math.inf]


@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize("decay", [0.9, None])
def test_bad_vectors_are_left_out(bad: float, decay: float | None) -> None:
    codebook = torch.randn(6, 4)
    vq, clean = (quantizer(codebook, decay=decay) for _ in range(2))
    good = torch.randn(7, 4)
    z = torch.cat([good[:3], torch.full((1, 4), 1.0), good[3:]])
    z[3, 2] = bad
    z.requires_grad_()
    result, expected = vq(z), clean(good)
    rows = [0, 1, 2, 4, 5, 6, 7]
    assert torch.equal(result.indices[rows], expected.indices)
    assert torch.equal(result.quantized[rows], expected.quantized)
    assert bool(result.quantized[3].isnan().all()), "training code sees it"
    assert 0 <= result.indices[3] < 6
    torch.testing.assert_close(result.loss, expected.loss)
    torch.testing.assert_close(result.perplexity, expected.perplexity)
    for key, value in clean.state_dict().items():
        torch.testing.assert_close(vq.state_dict()[key], value)
    result.loss.backward()
    assert bool(z.grad.isfinite().all())
    if decay is None:
        assert bool(vq.codebook.grad.isfinite().all())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16, torch.float64])
@pytest.mark.parametrize("layout", ["rows", "channels first", "every second"])
def test_every_vector_without_a_length_is_found(dtype: torch.dtype, layout: str) -> None:
    size = 3, 2000, 4  # so many ones are more than bfloat16 counts up to, and 200 has no square in float16
    for worst in (1.0, 200.0, *BAD, 1e20, 1e18):
        z = torch.ones(size)
        z[1, 7, 2] = worst
        z = z.to(dtype)
        if layout == "channels first":
            z = z.mT.contiguous().mT
        elif layout == "every second":
            z = z.repeat_interleave(2, 1)[:, ::2]
        expected = z.float().square().sum(-1).isfinite()
        assert torch.equal(of_finite_length(z), expected)


def test_many_long_vectors_of_finite_length_together_are_no_infinite_one() -> None:
    assert bool(of_finite_length(torch.full((1, 1000, 4), 9e18)).all())


@pytest.mark.parametrize("decay", [0.99, None])
def test_a_tensor_without_numbers_is_asked_for_none(decay: float | None) -> None:
    """As tools that estimate memory run a model, forward and back; what would ask makes a GPU wait, and no CUDA graph can hold it."""
    with FakeTensorMode():
        z = torch.randn(3, 4, 5, requires_grad=True)
        result = mf.VectorQuantizer(4, 8, decay=decay)(z)
        (result.quantized.sum() + result.loss).backward()
    assert result.quantized.shape == (3, 4, 5)
    assert z.grad is not None
    assert z.grad.shape == z.shape


def test_nothing_but_bad_vectors() -> None:
    vq = quantizer(torch.randn(6, 4))
    before = copy.deepcopy(vq)
    result = vq(torch.full((3, 4), math.nan))
    assert torch.equal(vq.codebook, before.codebook)
    assert result.loss.item() == 0
    assert math.isfinite(result.perplexity.item())


@pytest.mark.parametrize("bad", BAD)
def test_first_batch_with_bad_vectors(bad: float) -> None:
    vq = mf.VectorQuantizer(4, 8)
    z = torch.randn(40, 4)
    z[::3, 1] = bad
    vq(z)
    assert all(bool(value.isfinite().all()) for value in vq.state_dict().values())
    good = z[z.isfinite().all(1)]
    assert bool((vq.codebook.abs() <= good.abs().max() + 1e-4).all())


def test_first_batch_of_only_bad_vectors_waits_for_a_better_one() -> None:
    vq = mf.VectorQuantizer(4, 8)
    vq(torch.full((20, 4), math.nan))
    assert all(bool(value.isfinite().all()) for value in vq.state_dict().values())
    assert not vq.initialized
    z = torch.randn(100, 4) * 1e-3
    vq(z)
    assert vq.initialized
    assert float(vq.codebook.abs().max()) < 0.01


@pytest.mark.parametrize("restart", [0.0, 0.05])
def test_largest_numbers_never_reach_the_codebook(restart: float) -> None:
    vq = quantizer(torch.randn(6, 4), restart_threshold=restart)
    for scale in (6e4, 1e19, 3e38):
        signs = torch.tensor([[1.0, -1.0, 1.0, -1.0]]).expand(
            9, 4
        )  # each sums to zero, all together overflow
        vq(torch.cat([torch.randn(8, 4), signs * scale]))
        assert all(bool(value.isfinite().all()) for value in vq.state_dict().values()), scale


def test_half_precision_overflow() -> None:
    codebook = torch.randn(16, 4) * 300
    z = (torch.randn(50, 4) * 300).half()
    vq = quantizer(codebook)
    result = vq(z)
    np.testing.assert_array_equal(result.indices.numpy(), oracle.nearest(array(z), array(codebook)))
    assert bool(result.loss.isfinite())
    assert bool(vq.codebook.isfinite().all())


def test_raise_on_request_before_anything_changes() -> None:
    vq = mf.VectorQuantizer(4, 8, on_nonfinite="raise")
    z = torch.randn(20, 4)
    before = copy.deepcopy(vq)
    for bad in BAD:
        broken = z.clone()
        broken[3, 1] = bad
        with pytest.raises(ValueError, match="`z`"):
            vq(broken)
    assert same_state(vq, before)
    vq(z)
    assert vq.initialized


@pytest.mark.parametrize("decay", [0.9, None])
@pytest.mark.parametrize("channel_dim", [1, -1])
def test_padding_is_left_out(decay: float | None, channel_dim: int) -> None:
    codebook = torch.randn(6, 4)
    vq, clean = (quantizer(codebook, decay=decay, channel_dim=channel_dim) for _ in range(2))
    real = torch.tensor([[True, True, False], [True, False, False]])
    z = torch.randn(2, 3, 4)
    z[~real] = 100.0
    picked = z[real].requires_grad_()
    z = (z if channel_dim == -1 else z.mT).requires_grad_()
    result, expected = vq(z, mask=real), clean(picked)
    torch.testing.assert_close(result.loss, expected.loss)
    torch.testing.assert_close(result.perplexity, expected.perplexity)
    assert torch.equal(result.indices[real], expected.indices)
    assert result.quantized.shape == z.shape
    for key, value in clean.state_dict().items():
        torch.testing.assert_close(vq.state_dict()[key], value)
    result.loss.backward()
    expected.loss.backward()
    torch.testing.assert_close(z.grad.movedim(channel_dim, -1)[real], picked.grad)
    assert not z.grad.movedim(channel_dim, -1)[~real].any()


def test_padding_mask_in_any_memory_order() -> None:
    vq = quantizer(torch.randn(6, 4))
    real = (torch.arange(24).reshape(2, 4, 3) % 3 > 0).mT
    assert not real.is_contiguous()
    z = torch.randn(2, 4, 3, 4)
    close_to = quantizer(vq.codebook)(z, mask=real.contiguous())
    torch.testing.assert_close(vq(z, mask=real), close_to)


def test_everything_is_padding() -> None:
    vq = mf.VectorQuantizer(4, 8)
    result = vq(torch.randn(2, 4, 3), torch.zeros(2, 3, dtype=torch.bool))
    assert result.loss.item() == 0
    assert not vq.initialized
    vq(torch.randn(2, 4, 3), mask=torch.ones(2, 3, dtype=torch.bool))
    assert vq.initialized


def test_first_codes_are_no_padding() -> None:
    vq = mf.VectorQuantizer(1, 4, decay=None)
    real = torch.arange(32) % 2 == 0
    vq(torch.where(real, torch.arange(32.0), 1e6)[:, None], mask=real)
    assert set(vq.codebook.flatten().tolist()) <= set(range(0, 32, 2))


@pytest.mark.parametrize("state", ["eval", "frozen", "no batch"])
def test_no_update(state: str) -> None:
    vq = mf.VectorQuantizer(4, 8)
    vq(torch.randn(40, 4))
    if state == "frozen":
        vq.freeze()
        vq.train()
    else:
        vq.train(state != "eval")
    before = copy.deepcopy(vq)
    vq(torch.randn(0 if state == "no batch" else 30, 4))
    assert torch.equal(vq.codebook, before.codebook)
    if state != "no batch":
        assert same_state(vq, before)


def test_frozen_codebook_gets_no_gradient() -> None:
    vq = quantizer(torch.randn(6, 4), decay=None)
    vq.freeze()
    z = torch.randn(5, 4, requires_grad=True)
    vq(z).loss.backward()
    assert vq.codebook.grad is None
    assert z.grad is not None


def test_freeze_survives_a_copy() -> None:
    vq = quantizer(torch.randn(6, 4))
    vq.freeze()
    clone = copy.deepcopy(vq)
    clone(torch.randn(5, 4))
    assert same_state(clone, vq)


@pytest.mark.parametrize("reentrant", [True, False])
def test_checkpointing_updates_once(reentrant: bool) -> None:
    plain = quantizer(torch.randn(6, 4), decay=0.5)
    saved = copy.deepcopy(plain)
    layer = nn.Linear(4, 4)
    for _ in range(3):
        z = torch.randn(20, 4, requires_grad=True)
        first = plain(layer(z))
        (first.loss + first.quantized.square().sum()).backward()
        expected, z.grad = z.grad, None
        quantized, _, loss, _ = checkpoint(lambda x: saved(layer(x)), z, use_reentrant=reentrant)
        (loss + quantized.square().sum()).backward()
        torch.testing.assert_close(z.grad, expected)
    assert same_state(plain, saved)


@pytest.mark.parametrize("cast", ["half", "bfloat16"])
def test_statistics_stay_float32(cast: str) -> None:
    codebook = torch.randn(6, 4)
    vq, reference = quantizer(codebook), quantizer(codebook)
    getattr(vq, cast)()
    assert {vq.codebook.dtype, vq.cluster_size.dtype} == {torch.float32}
    assert torch.equal(vq.codebook, codebook), "no rounding on the way"
    z = getattr(torch.randn(300, 4), cast)()
    result = vq(z)
    assert torch.equal(result.indices, reference(z.float()).indices)
    assert result.quantized.dtype == z.dtype


def test_autocast_picks_the_same_codes() -> None:
    codebook = torch.randn(64, 16)
    vq = quantizer(codebook)
    z = torch.randn(500, 16)
    expected = copy.deepcopy(vq)(z)
    with torch.autocast("cpu", torch.bfloat16):
        actual = vq(z)
    assert torch.equal(actual.indices, expected.indices)
    assert torch.equal(actual.quantized, expected.quantized)
    assert actual.quantized.dtype == torch.float32
    torch.testing.assert_close(actual.loss, expected.loss)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_bfloat16_counts_keep_counting(dtype: torch.dtype) -> None:
    vq = quantizer(torch.tensor([[0.0], [10.0]]), decay=0.99).to(dtype)
    for _ in range(400):
        vq(torch.zeros(300, 1, dtype=dtype))
    assert vq.cluster_size[0].item() == pytest.approx(300, rel=0.05)


@pytest.mark.parametrize("decay", [0.9, None])
def test_resume_bit_for_bit(decay: float | None) -> None:
    batches = torch.randn(6, 40, 4)
    through = mf.VectorQuantizer(4, 8, decay=decay)
    for z in batches[:3]:
        through(z)
    file = io.BytesIO()
    torch.save(through.state_dict(), file)
    file.seek(0)
    torch.manual_seed(99)
    resumed = mf.VectorQuantizer(4, 8, decay=decay)
    resumed.load_state_dict(torch.load(file, weights_only=True))
    for z in batches[3:]:
        first, second = through(z), resumed(z)
        assert torch.equal(first.quantized, second.quantized)
        assert torch.equal(first.loss, second.loss)
    assert same_state(through, resumed)


def test_large_batch_equals_its_parts_and_holds_no_distance_matrix() -> None:
    codebook = torch.randn(64, 4)
    vq = quantizer(codebook).eval()
    z = torch.randn(50_000, 4)
    assert largest_allocation(lambda: vq(z)) < 50_000 * 64 * 4 // 4
    whole = vq(z)
    assert torch.equal(whole.indices, torch.cat([vq(part).indices for part in vectors_of(z).split(777)]))


def test_offset_picks_the_same_codes() -> None:
    codebook, z = torch.randn(64, 8) + 1000, torch.randn(500, 8) + 1000
    indices = quantizer(codebook)(z).indices
    np.testing.assert_array_equal(indices.numpy(), oracle.nearest(array(z), array(codebook)))


@pytest.mark.parametrize("reentrant", [True, False])
def test_checkpointing_two_forwards_moves_the_codebook_twice_not_four_times(reentrant: bool) -> None:
    plain = quantizer(torch.randn(6, 4), decay=0.5)
    saved = copy.deepcopy(plain)
    parts = torch.randn(2, 20, 4)
    for run in (plain, lambda z: checkpoint(saved, z, use_reentrant=reentrant)):
        results = [run(part.clone().requires_grad_()) for part in parts]
        sum(result[2] + result[0].square().sum() for result in results).backward()
    assert same_state(plain, saved)
