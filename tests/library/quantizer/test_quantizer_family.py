"""What is built around one codebook: stacks, parts, projections, cosine distance, the rotation trick, k-means."""

import copy

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

import maskfusion as mf
from tests.support import oracle
from tests.support.helpers import array, quantizer, same_state

FINE = [torch.tensor([[0.0, 0.0], [8.0, 8.0]]), torch.tensor([[-1.0, 1.0], [1.0, -1.0], [0.0, 0.0]])]


def stack(**settings) -> mf.ResidualQuantizer:
    """Two codebooks of different size."""
    return mf.ResidualQuantizer([quantizer(codes, **settings) for codes in FINE])


def test_residual_by_hand() -> None:
    result = stack(commitment_weight=1.0)(torch.tensor([[9.0, 7.0], [0.2, 0.0]]))
    assert result.indices.tolist() == [[1, 1], [0, 2]]
    assert result.quantized.tolist() == [[9.0, 7.0], [0.0, 0.0]]
    first, second = (1 + 1 + 0.04 + 0) / 4, 0.04 / 4
    assert result.loss.item() == pytest.approx(first + second)
    assert result.perplexity.item() == pytest.approx(2.0)


@pytest.mark.parametrize("decay", [0.9, None])
def test_residual_against_the_equation(decay: float | None) -> None:
    codebooks = [torch.randn(8, 4), torch.randn(6, 4) / 2, torch.randn(5, 4) / 4]
    vq = mf.ResidualQuantizer([quantizer(codes, decay=decay) for codes in codebooks])
    before = copy.deepcopy(vq)
    z = torch.randn(20, 4, 3, requires_grad=True)
    result = vq(z)
    rest, total = array(z.movedim(1, -1)).reshape(-1, 4), 0.0
    for position, codes in enumerate(map(array, codebooks)):
        indices = oracle.nearest(rest, codes)
        np.testing.assert_array_equal(result.indices[..., position].flatten().numpy(), indices)
        total, rest = total + codes[indices], rest - codes[indices]
    np.testing.assert_allclose(array(result.quantized.movedim(1, -1)).reshape(-1, 4), total, atol=1e-5)
    assert torch.equal(before.encode(z), result.indices)
    torch.testing.assert_close(before.decode(result.indices), result.quantized)
    weights = torch.randn_like(z)
    (gradient,) = torch.autograd.grad((result.quantized * weights).sum(), z, retain_graph=True)
    torch.testing.assert_close(gradient, weights)
    assert torch.equal(
        before.decode(result.indices[..., :1]), before.quantizers[0].decode(result.indices[..., 0])
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("kind", [mf.ResidualQuantizer, mf.ProductQuantizer])
def test_encode_agrees_with_forward_in_every_precision(dtype: torch.dtype, kind) -> None:
    vq = kind([quantizer(torch.randn(64, 4) / scale) for scale in (1, 4)]).eval()
    z = torch.randn(500, 8 if kind is mf.ProductQuantizer else 4).to(dtype)
    assert torch.equal(vq.encode(z), vq(z).indices)


def test_product_is_its_parts() -> None:
    codebooks = [torch.randn(8, 2), torch.randn(6, 3)]
    vq = mf.ProductQuantizer([quantizer(codes) for codes in codebooks])
    alone = [quantizer(codes) for codes in codebooks]
    z = torch.randn(7, 5, 4)
    result = vq(z)
    parts = [one(part) for one, part in zip(alone, z.split([2, 3], 1), strict=True)]
    assert torch.equal(result.quantized, torch.cat([part.quantized for part in parts], 1))
    assert torch.equal(result.indices, torch.stack([part.indices for part in parts], -1))
    torch.testing.assert_close(result.loss, (parts[0].loss + parts[1].loss) / 2)
    torch.testing.assert_close(result.perplexity, (parts[0].perplexity + parts[1].perplexity) / 2)
    assert all(same_state(one, other) for one, other in zip(vq.quantizers, alone, strict=True))


def test_projected_is_down_quantise_up() -> None:
    inner = quantizer(torch.randn(8, 3))
    vq = mf.ProjectedQuantizer(6, copy.deepcopy(inner))
    z = torch.randn(5, 6, 4, requires_grad=True)
    result = vq(z)
    expected = inner(vq.down(z.mT).mT)
    torch.testing.assert_close(result.quantized, vq.up(expected.quantized.mT).mT)
    assert torch.equal(result.indices, expected.indices)
    torch.testing.assert_close(result.loss, expected.loss)
    result.quantized.sum().backward()
    assert all(parameter.grad is not None for parameter in vq.parameters())
    assert z.grad is not None
    vq.eval()
    assert torch.equal(vq.decode(vq.encode(z)), vq(z).quantized)


@pytest.mark.parametrize("make", [stack, lambda: mf.ProductQuantizer([quantizer(codes) for codes in FINE])])
def test_padding_reaches_every_codebook(make) -> None:
    vq, clean = make(), make()
    width = 4 if isinstance(vq, mf.ProductQuantizer) else 2
    real = torch.tensor([[True, False, True]])
    z = torch.randn(1, width, 3)
    z[..., 1] = 1e3
    result, expected = vq(z, mask=real), clean(z[..., [0, 2]])
    torch.testing.assert_close((result.loss, result.perplexity), (expected.loss, expected.perplexity))
    for one, other in zip(vq.quantizers, clean.quantizers, strict=True):
        torch.testing.assert_close(dict(one.state_dict()), dict(other.state_dict()))


@pytest.mark.parametrize("decay", [0.5, None])
@pytest.mark.parametrize("reentrant", [True, False])
def test_checkpointing_a_shared_codebook(decay: float | None, reentrant: bool) -> None:
    one = quantizer(torch.randn(6, 4), decay=decay)
    plain = mf.ResidualQuantizer([one, one])
    saved = copy.deepcopy(plain)
    inputs = [torch.randn(20, 4, requires_grad=True) for _ in range(2)]
    inputs[1] = inputs[0].detach().clone().requires_grad_()
    for run, z in zip((plain, lambda z: checkpoint(saved, z, use_reentrant=reentrant)), inputs, strict=True):
        result = run(z)
        (result[2] + result[0].square().sum()).backward()
    if decay is None:  # else the first of its two calls is not found again, as the docstring says
        torch.testing.assert_close(inputs[0].grad, inputs[1].grad)
    assert same_state(plain, saved)


def test_two_forwards_of_a_learned_codebook_add_their_gradients() -> None:
    vq = quantizer(torch.randn(6, 4), decay=None)
    parts = torch.randn(2, 9, 4)
    expected = sum(torch.autograd.grad(vq(part).loss, vq.codebook)[0] for part in parts)
    sum(vq(part).loss for part in parts).backward()
    torch.testing.assert_close(vq.codebook.grad, expected)


@pytest.mark.parametrize("decay", [0.9, None])
def test_cosine_distance(decay: float | None) -> None:
    vq = mf.VectorQuantizer(4, 8, decay=decay, constraint=mf.unit_length)
    optimizer = torch.optim.SGD(list(vq.parameters()), lr=0.5) if decay is None else None
    for scale in (1.0, 100.0, 0.01):
        codes = vq.codebook.detach().clone()
        z = torch.randn(30, 4) * scale
        result = vq(z)
        if scale != 1.0:
            cosine = nn.functional.cosine_similarity(z[:, None], codes[None], dim=-1)
            assert torch.equal(result.indices, cosine.argmax(1)), "the length of z does not matter"
        torch.testing.assert_close(result.quantized.norm(dim=1), torch.ones(30))
        torch.testing.assert_close(vq.encode(z * 7), vq.encode(z))
        if optimizer:
            optimizer.zero_grad()
            result.loss.backward()
            optimizer.step()
            vq(z)
        torch.testing.assert_close(vq.codebook.detach().norm(dim=1), torch.ones(8))


def rotation(z: np.ndarray, code: np.ndarray) -> np.ndarray:
    """Scale and rotation that turn z into its code, as a matrix."""
    u, v = z / np.linalg.norm(z), code / np.linalg.norm(code)
    r = (u + v) / np.linalg.norm(u + v)
    turn = np.eye(len(z)) - 2 * np.outer(r, r) + 2 * np.outer(v, u)
    return np.linalg.norm(code) / np.linalg.norm(z) * turn


def test_rotation_trick_against_its_matrix() -> None:
    z, codes, weights = torch.randn(3, 6, 4, dtype=torch.float64).unbind()
    z.requires_grad_()
    output = mf.rotation_trick(z, codes)
    assert torch.equal(output, codes)
    (output * weights).sum().backward()
    for one, code, weight, gradient in zip(*map(array, (z, codes, weights, z.grad)), strict=True):
        matrix = rotation(one, code)
        np.testing.assert_allclose(matrix @ one, code, atol=1e-12, err_msg="it turns z into the code")
        np.testing.assert_allclose(gradient, matrix.T @ weight, atol=1e-12)


@pytest.mark.parametrize(
    ("z", "code"),
    [([0.0, 0.0], [9.0, 0.0]), ([0.0, 0.0], [0.0, 0.0]), ([1.0, 0.0], [-1.0, 0.0]), ([1.0, 0.0], [0.0, 0.0])],
)
def test_rotation_trick_at_its_edges(z: list[float], code: list[float]) -> None:
    start, goal = torch.tensor([z], requires_grad=True), torch.tensor([code])
    output = mf.rotation_trick(start, goal)
    assert torch.equal(output, goal)
    output.sum().backward()
    assert bool((start.grad.abs() < 1e6).all()), "a latent at the origin (after a ReLU) does no harm"


def test_rotation_trick_in_the_quantiser() -> None:
    codebook = torch.randn(6, 4)
    vq = quantizer(codebook, gradient=mf.rotation_trick, commitment_weight=0.0)
    z = torch.randn(5, 4, 3, requires_grad=True)
    result = vq(z)
    assert torch.equal(result.quantized, codebook[result.indices].mT)
    result.quantized.sum().backward()
    first = rotation(array(z)[0, :, 0], array(codebook)[result.indices[0, 0]])
    np.testing.assert_allclose(array(z.grad)[0, :, 0], first.T @ np.ones(4), atol=1e-5)


def test_own_constraint_and_gradient() -> None:
    def gradient(z: Tensor, codes: Tensor) -> Tensor:
        return codes + 0 * z

    vq = quantizer(torch.tensor([[0.0], [1.0]]), constraint=torch.tanh, gradient=gradient)
    z = torch.tensor([[50.0], [0.1]], requires_grad=True)
    result = vq(z)
    assert result.indices.tolist() == [1, 0]
    (gradient_of_z,) = torch.autograd.grad(result.quantized.sum(), z)
    assert gradient_of_z.tolist() == [[0.0], [0.0]]


def test_start_by_k_means() -> None:
    centres = torch.tensor([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0], [10.0, 10.0]])
    order = torch.arange(400) // 100
    z = centres[order] + 0.1 * torch.randn(400, 2)
    vq = mf.VectorQuantizer(2, 4).eval()
    assert vq.start(z) is vq
    assert vq.initialized
    means = torch.stack([z[order == index].mean(0) for index in range(4)])
    nearest = torch.cdist(means, vq.codebook).min(1).values
    assert float(nearest.max()) < 1e-3
    assert sorted(vq.cluster_size.tolist()) == [100.0] * 4
    before = vq.codebook.clone()
    vq.train()(z[:1])
    assert float((vq.codebook - before).abs().max()) < 0.1, "the next batch does not start it again"


def test_start_one_step_by_hand() -> None:
    vq = mf.VectorQuantizer(1, 1, decay=None)
    z = torch.tensor([[1.0], [2.0], [9.0], [100.0]])
    vq.start(z, torch.tensor([True, True, True, False]), iterations=1)
    assert vq.codebook.tolist() == [[4.0]]
    vq.start(z, iterations=0)
    assert vq.codebook.item() in {1.0, 2.0, 9.0, 100.0}
