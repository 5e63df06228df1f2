"""VectorQuantizer whatever comes after it: operations in place, transforms of functions, traces, any order in memory."""

import copy
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import maskfusion as mf
from maskfusion.functional import nearest
from tests.library.quantizer.test_quantizer_arrival import FAMILY
from tests.support.helpers import quantizer, same_state, vectors_of

AFTER: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": nn.ReLU(inplace=True),
    "dropout": nn.Dropout(0.5, inplace=True),
    "position": lambda x: x.add_(1.0),
}


# --- in place (Q2) ---


@pytest.mark.unchecked
@pytest.mark.parametrize("after", AFTER)
@pytest.mark.parametrize("state", ["training", "evaluation", "frozen", "compiled"])
@pytest.mark.parametrize("kind", FAMILY)
def test_the_output_may_be_changed_in_place(kind: str, state: str, after: str) -> None:
    torch.manual_seed(0)
    vq = FAMILY[kind]()
    vq(torch.randn(30, 4, 5))
    if state == "evaluation":
        vq.eval()
    if state == "frozen":
        for part in vq.modules():
            if isinstance(part, mf.VectorQuantizer):
                part.freeze()
    twin, z = copy.deepcopy(vq), torch.randn(6, 4, 5)
    run = torch.compile(vq, backend="aot_eager", fullgraph=True) if state == "compiled" else vq
    gradients = []
    for quantise, change in ((run, AFTER[after]), (twin, lambda x: AFTER[after](x.clone()))):
        latents = z.clone().requires_grad_()
        found = quantise(latents)
        torch.manual_seed(1)
        (change(found.quantized).square().sum() + 3 * found.loss).backward()
        gradients.append(latents.grad)
    torch.testing.assert_close(*gradients)


# --- torch.func, forward mode, gradients of gradients (Q6) ---


def frozen(kind: str) -> nn.Module:
    vq = FAMILY[kind]()
    vq(torch.randn(30, 4))
    return vq.eval()


@pytest.mark.parametrize("kind", FAMILY)
def test_transforms_give_what_autograd_gives(kind: str) -> None:
    vq = frozen(kind)
    z, direction = torch.randn(6, 4), torch.randn(6, 4)

    def value(z: Tensor) -> Tensor:
        found = vq(z)
        return found.quantized.pow(3).sum() + 3 * found.loss

    latents = z.clone().requires_grad_()
    (expected,) = torch.autograd.grad(value(latents), latents)
    torch.testing.assert_close(torch.func.grad(value)(z), expected)
    _, tangent = torch.func.jvp(value, (z,), (direction,))
    tangent = tangent.float()  # PyTorch gives that of a 0-d tensor times a number in float64
    torch.testing.assert_close(tangent, (expected * direction).sum(), rtol=1e-4, atol=1e-4)
    with torch.autograd.forward_ad.dual_level():
        dual = value(torch.autograd.forward_ad.make_dual(z, direction))
        torch.testing.assert_close(torch.autograd.forward_ad.unpack_dual(dual).tangent.float(), tangent)
    each = torch.func.vmap(lambda row: vq(row[None]).quantized[0])(z)
    torch.testing.assert_close(each, vq(z).quantized)
    per_sample = torch.func.vmap(torch.func.grad(lambda row: vq(row[None]).quantized.pow(3).sum()))(z)
    whole = torch.autograd.grad(vq(latents).quantized.pow(3).sum(), latents)[0]
    torch.testing.assert_close(per_sample, whole)


def test_second_derivatives() -> None:
    codes = torch.randn(6, 4)
    vq = quantizer(codes, commitment_weight=0.5).eval()
    z = codes[[1, 4]] + 0.01
    hessian = torch.func.hessian(lambda z: vq(z).loss)(z)
    torch.testing.assert_close(hessian.reshape(8, 8), torch.eye(8) * 2 * 0.5 / 8)
    latents = z.clone().requires_grad_()
    found = vq(latents)
    with pytest.raises(
        RuntimeError, match=r"gradient of a quantiser's loss.*create_graph=True.*torch.func.grad"
    ):
        torch.autograd.grad(found.loss, latents, create_graph=True)
    (penalised,) = torch.autograd.grad(found.quantized.pow(3).sum(), latents, create_graph=True)
    (second,) = torch.autograd.grad(penalised.sum(), latents)
    torch.testing.assert_close(
        second, 6 * found.quantized.detach(), msg="a gradient penalty on what comes after"
    )


@pytest.mark.parametrize("decay", [0.9, None])
def test_a_moving_codebook_refuses_transforms(decay: float | None) -> None:
    vq = mf.VectorQuantizer(4, 8, decay=decay)
    message = r"VectorQuantizer moves its codebook in training.*torch.func.*`eval\(\)` or `freeze\(\)`"
    z = torch.randn(6, 4)
    before = copy.deepcopy(vq)
    with pytest.raises(RuntimeError, match=message):
        torch.func.grad(lambda z: vq(z).loss)(z)
    with torch.autograd.forward_ad.dual_level(), pytest.raises(RuntimeError, match=message):
        vq(torch.autograd.forward_ad.make_dual(z, z))
    assert same_state(vq, before)


def test_gradients_in_batches() -> None:
    vq = frozen("plain")
    z = torch.randn(3, 4, requires_grad=True)
    found = vq(z)
    rows = torch.autograd.grad(found.quantized[0], z, torch.eye(4), is_grads_batched=True, retain_graph=True)[
        0
    ]
    assert torch.equal(rows[:, 0], torch.eye(4))
    slopes = torch.autograd.grad(found.loss, z, torch.tensor([1.0, 2.0]), is_grads_batched=True)[0]
    torch.testing.assert_close(slopes[1], 2 * slopes[0])


@pytest.mark.filterwarnings("ignore:`torch.jit.*` is deprecated:DeprecationWarning")
@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")
def test_a_traced_program_is_saved_and_loaded(tmp_path: Path) -> None:
    vq = frozen("plain")
    z = torch.randn(6, 4)
    torch.jit.trace(lambda z: tuple(vq(z)), z).save(str(tmp_path / "traced.pt"))
    found = torch.jit.load(str(tmp_path / "traced.pt"))(z)
    torch.testing.assert_close(tuple(found), tuple(vq(z)))


@pytest.mark.parametrize("held", [nearest.CPU_BLOCK, 64], ids=["one block", "many"])
def test_shapes_of_any_memory_order(held: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Spatial dimensions in another order in memory, which cannot be viewed as one."""
    monkeypatch.setattr(nearest, "CPU_BLOCK", held)
    vq, twin = (quantizer(torch.randn(6, 4, generator=torch.Generator().manual_seed(1))) for _ in range(2))
    z = torch.randn(2, 4, 3, 5)
    for turned in (
        z.transpose(2, 3),
        z.permute(0, 1, 3, 2).contiguous().permute(0, 1, 3, 2),
        z.expand(2, 4, 3, 5),
    ):
        found, expected = vq(turned), twin(turned.contiguous())
        assert torch.equal(found.quantized, expected.quantized)
        torch.testing.assert_close(found.loss, expected.loss)
        assert torch.equal(vectors_of(found.quantized), vectors_of(expected.quantized))
