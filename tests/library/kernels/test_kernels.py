"""The Triton kernels against the plain path: on a GPU where there is one, else in Triton's interpreter on the CPU."""

import importlib
from types import ModuleType

import pytest
import torch
from torch import Tensor

from maskfusion import VectorQuantizer, functional
from maskfusion.functional import multiply
from maskfusion.kernels import way
from maskfusion.kernels.way import Way
from maskfusion.quantizer import assignment, batch, in_blocks
from maskfusion.quantizer.codebook import USAGE_DECAY

pytestmark = pytest.mark.unchecked  # a kernel is read from its source, which must be as it was written

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")

BFLOAT16 = 2**-7
"""One bfloat16 and its neighbour: the interpreter cuts off where a GPU rounds, and products may be fused with sums."""


@pytest.fixture
def kernels() -> ModuleType:
    pytest.importorskip("triton", reason="triton is not installed; it has wheels for Linux only")
    return importlib.import_module("maskfusion.kernels.launch")


@pytest.fixture
def on_request(kernels: ModuleType, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The kernels in use wherever the tensors are, and the names of those that were called."""
    called: list[str] = []

    def counting(name: str) -> None:
        kernel = getattr(kernels, name)

        def counted(*arguments: Tensor | float | None) -> object:
            called.append(name)
            return kernel(*arguments)

        monkeypatch.setattr(kernels, name, counted)

    for name in ("nearest", "assign", "gate_backward", "spread", "follow", "finite"):
        counting(name)
    monkeypatch.setattr(way, "runs_kernels", lambda *_: True)
    monkeypatch.setattr(multiply, "BLOCK", -1)
    return called


def _drawn(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(shape).to(DEVICE, dtype)


def _batch(
    shape: tuple[int, ...], channel_dim: int, dtype: torch.dtype = torch.float32
) -> tuple[Tensor, ...]:
    """Vectors ``(groups, size, dim)`` in the strides of a batch, some not finite; which are finite, which are real."""
    last = _drawn(*shape, dtype=dtype).movedim(channel_dim, -1)
    vectors = last.flatten(1, -2) if last.ndim > 2 else last[None]
    finite = torch.rand(vectors.shape[:2], device=DEVICE) > 0.1
    vectors = torch.where(finite[..., None], vectors, torch.nan)
    return vectors, finite, torch.rand(finite.shape, device=DEVICE) > 0.2


@pytest.mark.parametrize(
    ("vectors", "codes", "dim"),
    [(1, 1, 1), (100, 3, 5), (257, 513, 64), (130, 70, 128), (130, 70, 256), (0, 4, 4)],
)
def test_nearest_finds_what_the_blocked_search_finds(
    kernels: ModuleType, monkeypatch: pytest.MonkeyPatch, vectors: int, codes: int, dim: int
) -> None:
    monkeypatch.setenv("MASKFUSION_TRITON", "0")
    z, codebook = _drawn(vectors, dim), _drawn(codes, dim) + 3
    assert torch.equal(kernels.nearest(z, codebook), functional.nearest_code(z, codebook))


def test_lowest_of_equals_and_zero_for_nan(kernels: ModuleType) -> None:
    codes = torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]], device=DEVICE).repeat(50, 1)
    vectors = torch.tensor([[0.0, -1.0], [torch.nan, 0.0], [-1.0, 0.0]], device=DEVICE)
    assert kernels.nearest(vectors, codes).tolist() == [3, 0, 1]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize(
    ("shape", "channel_dim"),
    [((3, 64, 4, 32), 1), ((2, 5, 7), -1), ((130, 16), 1), ((2, 128, 40), 1), ((0, 8, 3), 1)],
)
def test_assign_gives_what_the_plain_pass_gives(
    kernels: ModuleType, shape: tuple[int, ...], channel_dim: int, dtype: torch.dtype
) -> None:
    vectors, finite, mask = _batch(shape, channel_dim, dtype)
    codebook = _drawn(70, vectors.shape[-1]) + 3
    rtol = BFLOAT16 if dtype == torch.bfloat16 else 1e-5
    for real in (mask, None):
        indices = torch.empty(vectors.shape[:2], dtype=torch.int64, device=DEVICE)
        into = torch.empty_like(vectors), indices
        found = assignment.Pass(*into, *kernels.assign(vectors, codebook, real, 0.7, *into))
        expected = assignment.Pass(*in_blocks.assign_in_blocks(vectors, codebook, real, -1, 0.7))
        for name, ours, plain in zip(found._fields, found, expected, strict=True):
            torch.testing.assert_close(
                ours, torch.as_tensor(plain, device=DEVICE), rtol=rtol, atol=1e-5, equal_nan=True, msg=name
            )
        assert torch.equal(found.indices[finite], expected.indices[finite])
        assert torch.equal(found.counts, expected.counts)


@pytest.mark.parametrize(
    ("shape", "channel_dim", "memory_format"),
    [
        ((3, 33, 5, 7), 1, torch.contiguous_format),
        ((3, 33, 5, 7), 1, torch.channels_last),
        ((70, 40), 1, torch.contiguous_format),
        ((2, 3, 40), -1, torch.contiguous_format),
        ((2, 3, 1500), 1, torch.contiguous_format),
        ((0, 4, 5), 1, torch.contiguous_format),
    ],
)
def test_gate_backward_gives_what_autograd_gives(
    on_request: list[str], shape: tuple[int, ...], channel_dim: int, memory_format: torch.memory_format
) -> None:
    features = _drawn(*shape).contiguous(memory_format=memory_format).requires_grad_()
    gate = torch.rand(shape[channel_dim], device=DEVICE, requires_grad=True)
    gated = functional.apply_gate(features, gate, channel_dim)
    upstream = _drawn(*shape)
    found = torch.autograd.grad(gated, (features, gate), upstream)
    aligned = gate.view(-1, *[1] * (len(shape) - channel_dim % len(shape) - 1))
    expected = torch.autograd.grad(features * aligned, (features, gate), upstream)
    assert on_request == ["gate_backward"]
    assert torch.equal(found[0], expected[0])
    assert found[0].is_contiguous(memory_format=memory_format)
    torch.testing.assert_close(found[1], expected[1], rtol=1e-5, atol=1e-5)


def test_gate_in_bfloat16_multiplies_in_bfloat16_and_sums_in_float32(on_request: list[str]) -> None:
    features = _drawn(8, 3, 400, dtype=torch.bfloat16).requires_grad_()
    gate = torch.rand(3, device=DEVICE, requires_grad=True)
    upstream = _drawn(8, 3, 400, dtype=torch.bfloat16)
    for_features, for_gate = torch.autograd.grad(
        functional.apply_gate(features, gate), (features, gate), upstream
    )
    assert on_request == ["gate_backward"]
    torch.testing.assert_close(
        for_features, upstream * gate.detach().bfloat16()[:, None], rtol=BFLOAT16, atol=0
    )
    exact = (upstream.double() * features.detach().double()).sum((0, 2))
    torch.testing.assert_close(for_gate.double(), exact, rtol=1e-5, atol=1e-4)


@pytest.mark.usefixtures("on_request")
def test_gate_can_be_differentiated_twice_and_mapped() -> None:
    features, gate = _drawn(4, 3).requires_grad_(), torch.rand(3, device=DEVICE, requires_grad=True)
    (first,) = torch.autograd.grad(
        functional.apply_gate(features, gate).square().sum(), gate, create_graph=True
    )
    (second,) = torch.autograd.grad(first.sum(), gate)
    torch.testing.assert_close(second, 2 * features.detach().square().sum(0))

    def penalised(weight: Tensor, sample: Tensor) -> Tensor:
        return functional.apply_gate(sample[None], weight).sum()

    each = torch.func.vmap(torch.func.grad(penalised), (None, 0))(gate.detach(), features.detach())
    torch.testing.assert_close(each, features.detach())

    gated = functional.apply_gate(features, gate)
    (rows,) = torch.autograd.grad(gated[0], gate, torch.eye(3, device=DEVICE), is_grads_batched=True)
    torch.testing.assert_close(rows, features[0].detach().diag())


@pytest.mark.filterwarnings("ignore:overflow encountered:RuntimeWarning")  # NumPy, in the interpreter
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("shape", [(3, 10, 64), (1, 5, 200), (0, 4, 3)])
def test_finite_finds_nan_inf_and_what_is_too_long(
    kernels: ModuleType, shape: tuple[int, ...], dtype: torch.dtype
) -> None:
    vectors, expected, _ = _batch(shape, 1, dtype)
    if vectors.numel():
        vectors[0, 0], vectors[-1, 1], vectors[0, 2] = torch.inf, 1e20, 1e18
        expected[0, 0], expected[-1, 1], expected[0, 2] = False, False, True
    assert torch.equal(kernels.finite(vectors), expected)


@pytest.mark.parametrize("shape", [(3, 10, 4), (1, 200, 3)])
def test_spread_picks_what_the_plain_path_picks(kernels: ModuleType, shape: tuple[int, ...]) -> None:
    rows, finite, mask = _batch((shape[0], shape[2], shape[1]), 1)
    places = (finite & mask).flatten().cumsum(0)
    for before, others in ((None, 0), (0, 0), (7, 40)):
        total = places[-1] + (before or 0) + others
        lower = None if before is None else torch.tensor(before, device=DEVICE)
        found = kernels.spread(rows, places, total, lower, 21)
        assert torch.equal(found, batch._picked(rows, places, total, lower, 21))
    nothing = torch.zeros_like(places)
    assert not kernels.spread(rows, nothing, nothing[-1], nothing[-1], 5).any()


@pytest.mark.parametrize("moves", [True, False])
@pytest.mark.parametrize("empty", [False, True])
def test_follow_gives_what_the_plain_path_gives(kernels: ModuleType, moves: bool, empty: bool) -> None:
    plain = VectorQuantizer(5, 40, decay=0.9 if moves else None, restart_threshold=0.5, device=DEVICE)
    counts = torch.zeros(40, device=DEVICE) if empty else torch.randint(0, 9, (40,), device=DEVICE).float()
    plain.cluster_size.copy_(torch.rand(40) * (torch.rand(40) > 0.3))
    before, residuals, z = plain.codebook.detach().clone(), _drawn(40, 5), _drawn(90, 5)
    found = [value.detach().clone() for value in (plain.codebook, plain.cluster_size, plain.initialized)]
    followed = batch.Batch(Way.BLOCKS, z, None, 1, plain.processes)
    rate = 1 - (plain.decay or USAGE_DECAY)
    kernels.follow(*found, counts, residuals if moves else None, followed.fresh(40)[0], rate, 1e-5, 0.5)
    plain._follow(followed, counts, residuals)
    expected = [plain.codebook.detach(), plain.cluster_size, plain.initialized]
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)
    assert empty == torch.equal(found[0], before)
    assert bool(found[2]) != empty
    assert all(state._version == 1 for state in found), "autograd sees that they have changed"


@pytest.mark.usefixtures("on_request")
def test_a_transform_of_something_else_finds_a_quantiser_that_still_works() -> None:
    quantizer = VectorQuantizer(8, 32, device=DEVICE)
    z = _drawn(6, 8, 5, 5)
    quantizer(z)
    quantizer.eval()
    expected = quantizer(z)

    def scaled(factor: Tensor) -> Tensor:
        found = quantizer(z)
        gated = functional.apply_gate(found.quantized, torch.ones(8, device=DEVICE))
        return factor.mul(found.loss + gated.sum())

    slope = torch.func.grad(scaled)(torch.ones((), device=DEVICE))
    torch.testing.assert_close(slope, expected.loss + expected.quantized.sum(), rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("decay", [0.99, None])
def test_quantiser_trains_with_them_as_without(
    on_request: list[str], monkeypatch: pytest.MonkeyPatch, decay: float | None
) -> None:
    plain, ours = (VectorQuantizer(8, 32, decay=decay, device=DEVICE) for _ in range(2))
    ours.load_state_dict(plain.state_dict())
    for _ in range(4):
        z = _drawn(6, 8, 5, 5)
        results = []
        for quantizer, kernels_used in ((plain, False), (ours, True)):
            monkeypatch.setattr(way, "runs_kernels", lambda *_, used=kernels_used: used)
            latents = z.clone().requires_grad_()
            found = quantizer(latents)
            (found.quantized.square().sum() + found.loss).backward()
            results.append((found.indices, found.quantized.detach(), found.loss.detach(), latents.grad))
        for without, with_them in zip(*results, strict=True):
            torch.testing.assert_close(with_them, without, rtol=1e-5, atol=1e-5)
    assert on_request == ["finite", "spread", "assign", "follow"] * 4
    torch.testing.assert_close(ours.state_dict(), plain.state_dict(), rtol=1e-5, atol=1e-5)
    if decay is None:
        torch.testing.assert_close(ours.codebook.grad, plain.codebook.grad)
    ours.encode(z)
    assert on_request[-1] == "nearest"


@pytest.mark.slow
def test_compiled_quantiser_uses_them(on_request: list[str]) -> None:
    eager, compiled = (VectorQuantizer(8, 32, device=DEVICE) for _ in range(2))
    compiled.load_state_dict(eager.state_dict())
    run = torch.compile(compiled, backend="aot_eager", fullgraph=True)
    z = _drawn(6, 8, 5, 5)
    results = []
    for quantizer in (eager, run):
        latents = z.clone().requires_grad_()
        found = quantizer(latents)
        (found.quantized.square().sum() + found.loss).backward()
        results.append((found.indices, found.quantized.detach(), found.loss.detach(), latents.grad))
    torch.testing.assert_close(results[1], results[0])
    torch.testing.assert_close(compiled.state_dict(), eager.state_dict())
    assert on_request[-1] == "assign"


@pytest.mark.filterwarnings("ignore:invalid value encountered:RuntimeWarning")  # NumPy, in the interpreter
def test_an_empty_batch_changes_nothing(on_request: list[str]) -> None:
    quantizer = VectorQuantizer(8, 32, device=DEVICE)
    before = quantizer.codebook.clone()
    latents = torch.zeros(0, 8, 3, device=DEVICE, requires_grad=True)
    found = quantizer(latents)
    (found.quantized.sum() + found.loss).backward()
    assert latents.grad is not None
    assert latents.grad.shape == latents.shape
    assert torch.equal(quantizer.codebook, before)
    assert on_request == ["assign", "follow"]
