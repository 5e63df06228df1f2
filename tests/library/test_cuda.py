"""What only a GPU can show: the same results as on the CPU, no waiting for the device, compiled and captured steps, flat memory."""

import copy

import pytest
import torch
from torch import Tensor

from maskfusion import ComplementaryMask, Quantized, VectorQuantizer, functional

pytestmark = [
    pytest.mark.unchecked,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="this machine has no CUDA device"),
]


def _trained(device: str, compiled: str | None = None, dtype: torch.dtype = torch.float32) -> list[Tensor]:
    """Codes, codebook and gradients of three steps of quantiser and mask."""
    generator = torch.Generator().manual_seed(1)
    quantizer = VectorQuantizer(16, 64)
    quantizer.codebook.copy_(torch.randn(64, 16, generator=generator))
    quantizer, mask = quantizer.to(device), ComplementaryMask([16, 16]).to(device)

    def step(z: Tensor) -> tuple[Quantized, Tensor]:
        found = quantizer(z)
        return found, mask(torch.cat([found.quantized, z], 1))

    run = step if compiled is None else torch.compile(step, mode=compiled, fullgraph=True)
    results = []
    for _ in range(3):
        z = torch.randn(8, 16, 6, 6, generator=generator).to(device, dtype).requires_grad_()
        found, fused = run(z)
        (fused.float().square().mean() + found.loss + mask.penalty()).backward()
        results += [
            found.indices.clone(),
            z.grad.clone(),
            quantizer.codebook.clone(),
            mask.weight.grad.clone(),
        ]
        mask.weight.grad = None
    return [result.cpu() for result in results]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("triton", ["0", "1"])
def test_training_is_that_of_the_cpu(
    monkeypatch: pytest.MonkeyPatch, triton: str, dtype: torch.dtype
) -> None:
    monkeypatch.setenv("MASKFUSION_TRITON", triton)
    rtol = 1e-4 if dtype == torch.float32 else 2**-6
    for found, expected in zip(_trained("cuda", dtype=dtype), _trained("cpu", dtype=dtype), strict=True):
        torch.testing.assert_close(found, expected, rtol=rtol, atol=1e-5)


@pytest.mark.filterwarnings("ignore:The CUDA Graph is empty:UserWarning")  # of a part without kernels
@pytest.mark.parametrize("mode", ["default", "reduce-overhead"])
def test_compiled_training_is_that_of_eager(mode: str) -> None:
    for found, expected in zip(_trained("cuda", mode), _trained("cuda"), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.filterwarnings("ignore:Synchronization debug mode is a prototype:UserWarning")
def test_no_step_waits_for_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    quantizer, mask = VectorQuantizer(16, 64).cuda(), ComplementaryMask({"image": 16, "audio": 16}).cuda()
    optimizer = torch.optim.SGD([*mask.parameters()], lr=0.1)
    z = torch.randn(8, 16, 6, 6, device="cuda", requires_grad=True)
    padding = torch.ones(8, 6, 6, dtype=torch.bool, device="cuda")
    for triton in ("0", "1"):
        monkeypatch.setenv("MASKFUSION_TRITON", triton)
        for real in (None, padding):
            try:
                torch.cuda.set_sync_debug_mode("error")
                found = quantizer(z, real)
                fused = mask(torch.cat([found.quantized, z], 1))
                (fused.square().mean() + found.loss + mask.penalty()).backward()
                optimizer.step()
            finally:
                torch.cuda.set_sync_debug_mode("default")


def test_a_step_is_captured_and_replayed() -> None:
    quantizer = VectorQuantizer(16, 64, decay=0.5).cuda()
    z = torch.randn(8, 16, 6, 6, device="cuda", requires_grad=True)

    def step() -> Tensor:
        z.grad = None
        found = quantizer(z)
        (found.quantized.square().sum() + found.loss).backward()
        return found.indices

    side = torch.cuda.Stream()
    with torch.cuda.stream(side):
        for _ in range(3):
            step()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        indices = step()
    before = quantizer.codebook.clone()
    with torch.no_grad():
        z.copy_(torch.randn_like(z))
    expected = functional.nearest_code(z.detach().movedim(1, -1).reshape(-1, 16), before)
    graph.replay()
    assert torch.equal(indices.flatten(), expected)
    assert not torch.equal(quantizer.codebook, before)


@pytest.mark.filterwarnings(
    "ignore:The AccumulateGrad node's stream does not match:UserWarning"
)  # of the sample
def test_captured_layers_train_as_the_eager_ones_do() -> None:
    def sample() -> Tensor:
        return torch.randn(8, 16, 6, 6, device="cuda", requires_grad=True)

    layers = VectorQuantizer(16, 64).cuda(), ComplementaryMask(16).cuda()
    before = copy.deepcopy(layers)
    graphed = torch.cuda.make_graphed_callables(copy.deepcopy(layers), ((sample(),), (sample(),)))
    for layer, first in zip(graphed, before, strict=True):
        layer.load_state_dict(first.state_dict())
    for _ in range(4):
        z = torch.randn(8, 16, 6, 6, device="cuda")
        results = []
        for quantizer, mask in (layers, graphed):
            latents, mask.weight.grad = z.clone().requires_grad_(), None
            found = quantizer(latents)
            (mask(found.quantized).square().mean() + found.loss + mask.penalty()).backward()
            results.append((found.indices, latents.grad, mask.weight.grad, quantizer.codebook))
        for ours, eager in zip(*results, strict=True):
            torch.testing.assert_close(ours, eager, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("codes", [512, 8192, 65536])
def test_memory_does_not_grow_with_vectors_times_codes(codes: int) -> None:
    quantizer = VectorQuantizer(64, codes).cuda()
    z = torch.randn(32, 64, 32, 32, device="cuda", requires_grad=True)
    quantizer(z).loss.backward()
    held = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    quantizer(z).loss.backward()
    on_top = torch.cuda.max_memory_allocated() - held
    assert on_top < 6 * z.nbytes + 6 * quantizer.codebook.nbytes


def test_the_same_bits_each_time_where_they_are_asked_for() -> None:
    z = torch.randn(32, 64, 32, 32, device="cuda")
    start = VectorQuantizer(64, 512).cuda().state_dict()
    torch.use_deterministic_algorithms(True)
    try:
        books = []
        for _ in range(3):
            quantizer = VectorQuantizer(64, 512).cuda()
            quantizer.load_state_dict(start)
            for _ in range(3):
                quantizer(z)
            books.append(quantizer.codebook.clone())
    finally:
        torch.use_deterministic_algorithms(False)
    assert torch.equal(books[0], books[1])
    assert torch.equal(books[0], books[2])


def test_bfloat16_latents_get_the_codes_of_the_same_numbers_in_float32() -> None:
    quantizer = VectorQuantizer(64, 512).cuda()
    z = torch.randn(32, 64, 32, 32, device="cuda").bfloat16()
    quantizer(z)
    quantizer.eval()
    with torch.autocast("cuda", dtype=torch.bfloat16):
        found = quantizer(z).indices
    assert torch.equal(found, quantizer(z.float()).indices)


@pytest.mark.parametrize("shift", [0.0, 1000.0])
def test_codes_are_the_nearest_in_float64(shift: float) -> None:
    codebook = torch.randn(512, 64, device="cuda") + shift
    vectors = codebook[torch.randint(512, (20_000,), device="cuda")] + torch.randn(20_000, 64, device="cuda")
    found = functional.nearest_code(vectors, codebook)
    exact = torch.cdist(vectors.double(), codebook.double(), compute_mode="donot_use_mm_for_euclid_dist")
    assert torch.equal(found, exact.argmin(1))


def test_the_backward_pass_of_the_mask_holds_no_product() -> None:
    features = torch.randn(16, 64, 32, 32, device="cuda", requires_grad=True)
    gate, upstream = torch.rand(64, device="cuda", requires_grad=True), torch.randn_like(features)
    gated = functional.apply_gate(features, gate)
    held = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    found = torch.autograd.grad(gated, (features, gate), upstream)
    assert torch.cuda.max_memory_allocated() - held < 1.5 * features.nbytes
    assert torch.equal(found[0], upstream * gate[:, None, None])
    expected = (upstream.double() * features.double()).sum((0, 2, 3)).float()
    torch.testing.assert_close(found[1], expected, rtol=1e-4, atol=1e-2)
