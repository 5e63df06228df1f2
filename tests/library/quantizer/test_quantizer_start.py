"""VectorQuantizer: the first codes, small and empty batches, restarts."""

import copy
import math

import pytest
import torch

import maskfusion as mf
from tests.support.helpers import quantizer


@pytest.mark.parametrize("decay", [0.99, None])
def test_start_fits_any_scale(decay: float | None) -> None:
    perplexities = []
    noise = torch.randn(30, 256, 8)
    for scale in (1.0, 0.1, 0.01):
        vq = mf.VectorQuantizer(8, 32, decay=decay)
        for z in noise * scale:
            result = vq(z)
        perplexities.append(result.perplexity.item())
        assert float(vq.codebook.detach().norm(dim=1).max()) < 10 * scale
    assert min(perplexities) > 16
    assert max(perplexities) - min(perplexities) < 1.0, "the same codes at any scale"


def test_first_codes_are_vectors_of_the_batch() -> None:
    vq = mf.VectorQuantizer(3, 8, decay=None)
    z = torch.randn(50, 3)
    vq(z)
    assert bool((torch.cdist(vq.codebook.detach(), z).min(1).values < 1e-5).all())
    assert len(vq.codebook.unique(dim=0)) == 8


@pytest.mark.parametrize("decay", [0.9, None])
@pytest.mark.parametrize("count", [1, 3, 7])
def test_batch_smaller_than_the_codebook(decay: float | None, count: int) -> None:
    vq = mf.VectorQuantizer(4, 8, decay=decay)
    z = torch.randn(count, 4)
    result = vq(z)
    assert bool((torch.cdist(result.quantized, z).min(1).values < 1e-4).all()), (
        "every code is a vector of the batch"
    )
    assert all(bool(value.isfinite().all()) for value in vq.state_dict().values())
    for _ in range(20):
        vq(torch.randn(64, 4))
    assert vq.usage() > 0.7


@pytest.mark.parametrize("training", [True, False])
def test_empty_batch(training: bool) -> None:
    vq = quantizer(torch.randn(6, 4)).train(training)
    before = copy.deepcopy(vq)
    z = torch.randn(0, 4, 5, requires_grad=True)
    result = vq(z)
    (result.loss + result.quantized.sum()).backward()
    assert result.quantized.shape == z.shape == z.grad.shape
    assert result.indices.shape == (0, 5)
    assert vq.decode(vq.encode(z)).shape == z.shape
    assert result.loss.item() == 0
    assert math.isfinite(result.perplexity.item())
    assert torch.equal(vq.codebook, before.codebook)


def test_empty_first_batch_does_not_start() -> None:
    vq = mf.VectorQuantizer(4, 8)
    vq(torch.randn(0, 4))
    assert not vq.initialized


def test_unused_codes_restart_from_the_batch() -> None:
    codebook = torch.cat([torch.randn(4, 3), torch.full((4, 3), 1e3)])
    vq = quantizer(codebook, decay=0.5, restart_threshold=0.05)
    for _ in range(30):
        z = torch.randn(64, 3)
        vq(z)
    assert float(vq.codebook.abs().max()) < 10
    assert vq.usage() == 1.0


@pytest.mark.parametrize("count", [4, 400])
def test_a_code_restarts_once(count: int) -> None:
    codebook = torch.cat([torch.eye(3) * 10, torch.full((1, 3), 1e3)])
    vq = quantizer(codebook, decay=0.5, restart_threshold=0.05)
    batch = (torch.eye(3) * 10).repeat(count, 1) + 0.1 * torch.randn(3 * count, 3)
    while float(vq.codebook.abs().max()) > 100:
        vq(batch)
    size = vq.cluster_size.clone()
    mean = 0.75 * size[:3].mean().item()
    assert size[3].item() == pytest.approx(mean, rel=0.15), "it starts with the mean count"
    before = vq.codebook[3].clone()
    vq(torch.eye(3) * 10)
    assert float((vq.codebook[3] - before).abs().max()) < 0.2, "not again in the next batch"


def test_few_vectors_for_each_code_are_no_reason_to_restart() -> None:
    codebook = torch.eye(8) * 10
    vq = quantizer(codebook, decay=0.99, restart_threshold=0.5)
    for step in range(800):
        vq(codebook[[step % 8]])
    assert float(vq.cluster_size.max()) < 0.2
    torch.testing.assert_close(vq.codebook, codebook, rtol=1e-3, atol=1e-3)


def test_few_of_many_vectors_are_a_reason_to_restart() -> None:
    codebook = torch.cat([torch.zeros(1, 2), torch.full((1, 2), 50.0)])
    vq = quantizer(codebook, decay=0.5, restart_threshold=0.05)
    z = torch.randn(10_000, 2)
    z[:10] = 50.0
    for _ in range(10):
        vq(z)
    assert float(vq.codebook.abs().max()) < 10, "ten of ten thousand are below the threshold"


def test_no_restart_on_request() -> None:
    far = torch.full((1, 3), 1e3)
    vq = quantizer(torch.cat([torch.randn(4, 3), far]), decay=0.5, restart_threshold=0.0)
    for _ in range(50):
        vq(torch.randn(64, 3))
    torch.testing.assert_close(vq.codebook[-1:], far)
