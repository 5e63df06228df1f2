"""VectorQuantizer: what it computes, against the NumPy reading and by hand."""

import copy

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import maskfusion as mf
from tests.support import oracle
from tests.support.helpers import array, quantizer, same_state, vectors_of

SQUARE = torch.tensor([[0.0, 0.0], [4.0, 0.0], [0.0, 4.0], [4.0, 4.0]])
LAYOUTS = [
    ((9, 3), 1),
    ((4, 3, 5), 1),
    ((2, 3, 4, 4), 1),
    ((2, 3, 2, 3, 2), 1),
    ((2, 6, 3), -1),
    ((2, 2, 5, 3), -1),
]


def test_by_hand() -> None:
    vq = quantizer(SQUARE, decay=0.5, commitment_weight=0.5)
    z = torch.tensor([[1.0, 0.0], [3.0, 0.0], [4.0, 1.0], [0.0, 3.0]])
    result = vq(z)
    assert result.indices.tolist() == [0, 1, 1, 2]
    assert torch.equal(result.quantized, SQUARE[[0, 1, 1, 2]])
    assert result.loss.item() == pytest.approx(0.5 * 4 / 8)
    assert result.perplexity.item() == pytest.approx(2**1.5)
    assert vq.cluster_size.tolist() == [1.0, 1.5, 1.0, 0.5]
    expected = torch.tensor([[0.5, 0.0], [11 / 3, 1 / 3], [0.0, 3.5], [4.0, 4.0]])
    torch.testing.assert_close(vq.codebook, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("shape", "channel_dim"), LAYOUTS)
@pytest.mark.parametrize("decay", [0.9, None])
def test_shapes_and_codes_in_every_layout(
    shape: tuple[int, ...], channel_dim: int, decay: float | None
) -> None:
    codebook = torch.randn(7, 3)
    vq = quantizer(codebook, decay=decay, channel_dim=channel_dim)
    z = torch.randn(shape)
    result = vq(z)
    assert isinstance(result, mf.Quantized)
    assert result.quantized.shape == z.shape
    assert result.indices.shape == z.movedim(channel_dim, -1).shape[:-1]
    assert result.indices.dtype == torch.int64
    assert result.loss.shape == result.perplexity.shape == ()
    assert torch.equal(result.quantized, codebook[result.indices].movedim(-1, channel_dim)), (
        "exactly the codes"
    )
    rows = vectors_of(z, channel_dim)
    np.testing.assert_array_equal(
        result.indices.flatten().numpy(), oracle.nearest(array(rows), array(codebook))
    )
    counts = np.bincount(result.indices.flatten().numpy(), minlength=7)
    assert result.perplexity.item() == pytest.approx(oracle.perplexity(counts.tolist()), rel=1e-5)


@pytest.mark.parametrize(("shape", "channel_dim"), LAYOUTS)
def test_averages(shape: tuple[int, ...], channel_dim: int) -> None:
    vq = quantizer(torch.randn(7, 3), decay=0.8, channel_dim=channel_dim)
    codebook, counts = array(vq.codebook), array(vq.cluster_size)
    for _ in range(4):
        z = torch.randn(shape)
        result = vq(z)
        rows = array(vectors_of(z, channel_dim))
        indices = oracle.nearest(rows, codebook)
        np.testing.assert_array_equal(result.indices.flatten().numpy(), indices)
        codebook, counts = oracle.moving_average(codebook, counts, rows, indices.tolist(), 0.8, 1e-5)
        np.testing.assert_allclose(array(vq.cluster_size), counts, rtol=1e-5)
        np.testing.assert_allclose(array(vq.codebook), codebook, rtol=1e-4, atol=1e-4)


def test_code_without_hits_keeps_its_vector() -> None:
    codebook = torch.randn(50, 3)
    vq = quantizer(codebook, decay=0.99)
    indices = vq(torch.randn(4, 3)).indices
    unused = torch.ones(50, dtype=torch.bool)
    unused[indices] = False
    assert torch.equal(vq.codebook[unused], codebook[unused])
    for _ in range(500):
        vq(codebook[:1])
    torch.testing.assert_close(vq.codebook[unused], codebook[unused])


@pytest.mark.parametrize("epsilon", [0.0, 1.0])
def test_smoothing_is_not_written_back(epsilon: float) -> None:
    vq = quantizer(SQUARE, decay=0.5, epsilon=epsilon)
    for expected in ([1.0, 0.5, 0.5, 0.5], [1.0, 0.25, 0.25, 0.25]):
        vq(torch.tensor([[1.0, 0.0]]))
        assert vq.cluster_size.tolist() == expected
    moved = vq.codebook[0, 0].item()
    if epsilon:
        first = 0.5 / ((1.0 + 1.0) / (2.5 + 4.0) * 2.5)
        second = first + 0.5 * (1 - first) / ((1.0 + 1.0) / (1.75 + 4.0) * 1.75)
        assert moved == pytest.approx(second)
    else:
        assert moved == 0.75


@pytest.mark.parametrize("beta", [0.25, 2.0])
def test_loss_and_gradient_with_averages(beta: float) -> None:
    codebook = torch.randn(6, 4)
    vq = quantizer(codebook, commitment_weight=beta)
    z = torch.randn(5, 4, 3, requires_grad=True)
    result = vq(z)
    codes = result.quantized.detach()
    assert result.loss.item() == pytest.approx(beta * oracle.square_error(array(z), array(codes)), rel=1e-5)
    weights = torch.randn_like(z)
    ((result.quantized * weights).sum() + 3 * result.loss).backward()
    torch.testing.assert_close(z.grad, weights + 3 * beta * 2 * (z.detach() - codes) / z.numel())
    assert not result.perplexity.requires_grad
    assert list(vq.parameters()) == []


def plain(z: Tensor, codebook: Tensor, indices: Tensor, beta: float) -> tuple[Tensor, Tensor]:
    """The formula of the loss version, in autograd's own operations."""
    codes = nn.functional.embedding(indices, codebook).movedim(-1, 1)
    loss = nn.functional.mse_loss(codes, z.detach()) + beta * nn.functional.mse_loss(z, codes.detach())
    return z + (codes - z).detach(), loss


@pytest.mark.parametrize("beta", [0.25, 3.0])
def test_loss_version_against_autograd(beta: float) -> None:
    vq = quantizer(torch.randn(6, 4), decay=None, commitment_weight=beta)
    z = torch.randn(5, 4, 3, requires_grad=True)
    weights = torch.randn_like(z)
    result = vq(z)
    actual = torch.autograd.grad((result.quantized * weights).sum() + 2 * result.loss, [z, vq.codebook])
    codes, loss = plain(z, vq.codebook, result.indices, beta)
    expected = torch.autograd.grad((codes * weights).sum() + 2 * loss, [z, vq.codebook])
    torch.testing.assert_close(actual, expected)
    torch.testing.assert_close(result.loss, loss)
    error = oracle.square_error(array(z), array(result.quantized))
    assert result.loss.item() == pytest.approx((1 + beta) * error, rel=1e-5)


def test_loss_version_learns_by_gradient_only() -> None:
    vq = quantizer(torch.randn(6, 4), decay=None)
    assert [name for name, _ in vq.named_parameters()] == ["codebook"]
    before = vq.codebook.detach().clone()
    z = torch.randn(20, 4)
    vq(z)
    assert torch.equal(vq.codebook, before)
    optimiser = torch.optim.SGD(vq.parameters(), lr=1.0)
    first = vq(z).loss
    for _ in range(10):
        optimiser.zero_grad()
        vq(z).loss.backward()
        optimiser.step()
    assert vq(z).loss < first
    assert not torch.equal(vq.codebook, before)


def test_state_has_plain_keys() -> None:
    state = mf.VectorQuantizer(4, 8).state_dict()
    assert set(state) == {"codebook", "cluster_size", "initialized", "is_frozen"}
    assert {value.dtype for value in state.values()} == {torch.float32}, "so that averages can be taken"


@pytest.mark.parametrize("channel_dim", [1, -1])
@pytest.mark.parametrize("decay", [0.9, None])
def test_encode_and_decode(channel_dim: int, decay: float | None) -> None:
    vq = quantizer(torch.randn(6, 4), decay=decay, channel_dim=channel_dim)
    z = torch.randn(3, 4, 4)
    before = copy.deepcopy(vq)
    indices = vq.encode(z)
    assert same_state(vq, before), "encode changes nothing, in training mode too"
    result = vq(z)
    assert torch.equal(indices, result.indices)
    assert torch.equal(before.decode(indices), result.quantized)
    assert torch.equal(before.encode(before.decode(indices)), indices)


def test_decode_passes_gradient_to_the_codebook() -> None:
    vq = quantizer(torch.randn(6, 4), decay=None)
    vq.decode(torch.tensor([[1, 1, 3]])).sum().backward()
    assert vq.codebook.grad.sum(1).tolist() == [0, 8, 0, 4, 0, 0]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_output_has_the_dtype_of_its_input(dtype: torch.dtype) -> None:
    codebook = torch.randn(6, 4)
    vq = quantizer(codebook)
    result = vq(torch.randn(3, 4, dtype=dtype))
    assert result.quantized.dtype == dtype
    assert torch.equal(result.quantized, codebook[result.indices].to(dtype))


def test_perplexity_goes_from_one_to_all() -> None:
    vq = quantizer(SQUARE).eval()
    assert vq(SQUARE[:1].repeat(5, 1)).perplexity.item() == pytest.approx(1.0)
    assert vq(SQUARE).perplexity.item() == pytest.approx(4.0)


def test_usage() -> None:
    vq = quantizer(SQUARE, decay=0.5, restart_threshold=0.0)
    vq(SQUARE)
    assert vq.usage() == 1.0
    for _ in range(40):
        vq(SQUARE[:2])
    assert vq.usage() == 0.5
    assert isinstance(vq.usage(), float)


def test_repr() -> None:
    text = repr(mf.VectorQuantizer(16, 32))
    assert "16" in text
    assert "32" in text
    assert "decay=0.99" in text


def test_training_lowers_the_error() -> None:
    centres = torch.randn(8, 4) * 5
    vq = quantizer(centres + 0.5, decay=0.8, commitment_weight=1.0)
    losses = []
    for _ in range(60):
        z = centres[torch.randint(8, (64,))] + 0.1 * torch.randn(64, 4)
        losses.append(vq(z).loss.item())
    assert losses[0] == pytest.approx(0.26, abs=0.03), "the shift and the noise, squared"
    assert losses[-1] == pytest.approx(0.01, abs=0.003), "the noise alone"
