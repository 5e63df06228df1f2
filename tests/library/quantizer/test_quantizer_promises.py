"""VectorQuantizer: what it promises at full size, on real data, and over whole trainings."""

import copy
import inspect
import io

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import maskfusion as mf
from maskfusion.kernels.way import Way
from maskfusion.quantizer.assignment import Assignment, assign, assign_traced
from tests.support.helpers import largest_allocation, quantizer, same_state
from tests.support.paths import DOCS
from tests.support.real_data import real_data

FLOAT = 4


def training_step(vq: nn.Module, z: Tensor) -> None:
    """Forward and backward."""
    result = vq(z)
    (result.quantized.square().mean() + result.loss).backward()


@pytest.mark.parametrize("decay", [0.99, None])
def test_training_step_holds_no_matrix_of_vectors_and_codes(decay: float | None) -> None:
    vq = mf.VectorQuantizer(64, 512, decay=decay)
    z = torch.randn(64, 64, 32, 32, requires_grad=True)
    largest = largest_allocation(lambda: training_step(vq, z))
    assert largest <= z.numel() * FLOAT, "nothing is larger than the latents"
    assert largest < z.numel() // 64 * 512 * FLOAT


def test_the_profiler_sees_such_a_matrix() -> None:
    rows, codebook = torch.randn(1, 4096, 4), torch.randn(512, 4)
    largest = largest_allocation(lambda: assign_traced(rows, codebook, None, -1))
    assert largest >= 4096 * 512 * FLOAT


def test_codebook_of_65536() -> None:
    vq = mf.VectorQuantizer(8, 65_536)
    z = torch.randn(2, 8, 32, 32, requires_grad=True)
    largest = largest_allocation(lambda: training_step(vq, z))
    assert largest < 2048 * 65_536 * FLOAT // 16
    assert bool(vq.codebook.isfinite().all())
    indices = vq.encode(z)
    assert torch.equal(vq.encode(vq.decode(indices)), indices)


def compare(first: Assignment, second: Assignment) -> None:
    """Codes, counts, sums and losses agree."""
    torch.testing.assert_close(first.quantized, second.quantized, rtol=0, atol=0, equal_nan=True)
    assert torch.equal(first.counts, second.counts)
    for name in ("residuals", "loss", "perplexity"):
        actual, expected = getattr(first, name), getattr(second, name)
        torch.testing.assert_close(actual, expected, rtol=1e-4, atol=1e-3, msg=lambda m, n=name: f"{n}: {m}")


WAYS = [Way.BLOCKS, Way.OPERATOR]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("channel_last", [True, False])
@pytest.mark.parametrize("codes", [1, 3, 513, 5000])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_every_way_leads_to_the_same(codes: int, channel_last: bool, dtype: torch.dtype, way: Way) -> None:
    channel_dim = -1 if channel_last else 1
    z = torch.randn(3, 50, 8) if channel_last else torch.randn(3, 8, 50)
    vectors = z.movedim(channel_dim, -1)
    vectors[0, 5, 2], vectors[1, 7, 0] = torch.nan, torch.inf
    z = z.to(dtype)
    codebook = torch.randn(codes, 8)
    finite = vectors.isfinite().all(-1)
    mask = torch.rand(3, 50) > 0.3
    inputs = [[z.clone().requires_grad_(), codebook.clone().requires_grad_()] for _ in range(2)]
    found = [
        assign(each_way, *each, mask, channel_dim, 0.5, 2.0)
        for each_way, each in zip((way, Way.TRACED), inputs, strict=True)
    ]
    assert torch.equal(found[0].indices[finite], found[1].indices[finite])
    assert all(bool(((one.indices >= 0) & (one.indices < codes)).all()) for one in found)
    compare(*found)
    weights = torch.randn(z.shape).to(dtype)
    gradients = [
        torch.autograd.grad([one.quantized, one.loss], each, [weights, torch.tensor(3.0)])
        for one, each in zip(found, inputs, strict=True)
    ]
    for actual, expected in zip(*gradients, strict=True):
        torch.testing.assert_close(
            actual, expected, rtol=2e-2 if dtype == torch.bfloat16 else 1e-4, atol=1e-2
        )


def digits(count: int) -> Tensor:
    """Handwritten digits in [0, 1], ``(count, 1, 28, 28)``."""
    with np.load(real_data("digits/mnist.npz")) as archive:
        images = archive["x_train"][:count]
    return torch.from_numpy(images).float()[:, None] / 255


def autoencoder(images: Tensor, restart_threshold: float, steps: int) -> tuple[float, float]:
    """Train a small one; perplexity and error of reconstruction at its end."""
    torch.manual_seed(0)
    encoder = nn.Sequential(nn.Conv2d(1, 16, 4, 2, 1), nn.ReLU(), nn.Conv2d(16, 16, 4, 2, 1))
    decoder = nn.Sequential(
        nn.ConvTranspose2d(16, 16, 4, 2, 1), nn.ReLU(), nn.ConvTranspose2d(16, 1, 4, 2, 1)
    )
    model = nn.Sequential(encoder, mf.VectorQuantizer(16, 256, restart_threshold=restart_threshold), decoder)
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)

    def forward(batch: Tensor) -> tuple[Tensor, mf.Quantized]:
        found = model[1](encoder(batch))
        return nn.functional.mse_loss(decoder(found.quantized), batch), found

    for _ in range(steps):
        error, found = forward(images[torch.randint(len(images), (32,))])
        optimizer.zero_grad()
        (error + found.loss).backward()
        optimizer.step()
    with torch.no_grad():
        error, found = forward(images[:500])
    return found.perplexity.item(), error.item()


def test_restarts_keep_codes_in_use_on_real_data() -> None:
    images = digits(6000)
    with_restarts, without = (autoencoder(images, threshold, steps=200) for threshold in (0.05, 0.0))
    assert with_restarts[0] > 2 * without[0], "perplexity"
    assert with_restarts[1] < without[1], "error"


class Autoencoder(nn.Module):
    """Two linear layers around a quantiser."""

    def __init__(self, decay: float | None, kind: str) -> None:
        super().__init__()
        self.down, self.up = nn.Linear(6, 4), nn.Linear(4, 6)
        settings = {"decay": decay, "restart_threshold": 0.2}
        if kind == "plain":
            self.quantizer = mf.VectorQuantizer(4, 16, **settings)
        else:
            self.quantizer = mf.ResidualQuantizer([mf.VectorQuantizer(4, 16, **settings) for _ in range(2)])

    def forward(self, x: Tensor) -> Tensor:
        found = self.quantizer(self.down(x))
        return nn.functional.mse_loss(self.up(found.quantized), x) + found.loss


def fit(model: nn.Module, optimizer: torch.optim.Optimizer, batches: Tensor) -> list[float]:
    """Losses, step by step."""
    losses = []
    for batch in batches:
        loss = model(batch)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


@pytest.mark.parametrize("kind", ["plain", "residual"])
@pytest.mark.parametrize("decay", [0.9, None])
def test_training_resumes_bit_for_bit(decay: float | None, kind: str) -> None:
    batches = torch.randn(20, 40, 6)
    model = Autoencoder(decay, kind)
    optimizer = torch.optim.Adam(model.parameters())
    fit(model, optimizer, batches[:10])
    file = io.BytesIO()
    torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict()}, file)
    file.seek(0)
    expected = fit(model, optimizer, batches[10:])
    torch.manual_seed(99)
    resumed = Autoencoder(decay, kind)
    other = torch.optim.Adam(resumed.parameters())
    saved = torch.load(file, weights_only=True)
    resumed.load_state_dict(saved["model"])
    other.load_state_dict(saved["optimizer"])
    assert fit(resumed, other, batches[10:]) == expected
    assert same_state(model, resumed)


@pytest.mark.parametrize("decay", [0.9, None])
def test_checkpoint_of_another_codebook_says_so(decay: float | None) -> None:
    vq = quantizer(torch.randn(6, 4), decay=decay)
    before = copy.deepcopy(vq)
    with pytest.raises(RuntimeError, match=r"size mismatch for codebook.*\[8, 4\].*\[6, 4\]"):
        vq.load_state_dict(mf.VectorQuantizer(4, 8, decay=decay).state_dict())
    assert same_state(vq, before), "loaded as a whole or not at all"


def test_frozen_with_a_gradient_pending() -> None:
    vq = quantizer(torch.randn(6, 4), decay=None)
    optimizer = torch.optim.Adam(vq.parameters(), lr=0.1)
    vq(torch.randn(20, 4)).loss.backward()
    before = vq.freeze().codebook.clone()
    optimizer.step()
    assert torch.equal(vq.codebook, before)


def test_shifted_data_pick_the_same_codes() -> None:
    """Steps of 1/256, so that the shift itself rounds nothing."""
    z = (torch.randn(4, 8, 16, 16) * 256).round() / 256
    near, far = (mf.VectorQuantizer(8, 64) for _ in range(2))
    for _ in range(2):
        first, second = near(z), far(z + 1000)
        assert torch.equal(first.indices, second.indices)
        torch.testing.assert_close(first.loss, second.loss, rtol=1e-3, atol=0)
    torch.testing.assert_close(near.codebook + 1000, far.codebook, rtol=0, atol=1e-3)


@pytest.mark.parametrize("decay", [0.9, None])
def test_half_precision_that_overflowed(decay: float | None) -> None:
    """Latents near the largest number of float16, and what a layer before gave as inf."""
    vq = mf.VectorQuantizer(4, 8, decay=decay).half()
    for _ in range(3):
        z = torch.cat([torch.randn(40, 4) * 3e4, torch.full((3, 4), 1e6)]).half()
        z.requires_grad_()
        result = vq(z)
        assert bool(result.loss.isfinite())
        result.loss.backward()
        assert bool(z.grad.isfinite().all())
        assert all(bool(value.isfinite().all()) for value in vq.state_dict().values())
        assert bool(result.quantized[z.isfinite().all(1)].isfinite().all())


def test_frozen_from_the_beginning() -> None:
    vq = mf.VectorQuantizer(4, 8).freeze()
    before = copy.deepcopy(vq)
    vq(torch.randn(40, 4))
    assert same_state(vq, before)
    assert not vq.initialized


@pytest.mark.parametrize("decay", [0.9, None])
def test_frozen_through_whole_steps_of_training(decay: float | None) -> None:
    model = Autoencoder(decay, "plain")
    optimizer = torch.optim.Adam(model.parameters())
    fit(model, optimizer, torch.randn(3, 40, 6))
    model.quantizer.freeze()
    before = copy.deepcopy(model.quantizer)
    fit(model, optimizer, torch.randn(3, 40, 6))
    assert same_state(model.quantizer, before), "the momentum of an optimiser does not move it either"


def test_table_of_arguments_is_complete() -> None:
    """Every argument of the most used library of its kind stands in the guide."""
    peer = pytest.importorskip("vector_quantize_pytorch", reason="make benchmark installs it")
    guide = (DOCS / "quantizers.md").read_text()
    kinds = (
        "VectorQuantize",
        "ResidualVQ",
        "GroupedResidualVQ",
        "RandomProjectionQuantizer",
        "SimVQ",
        "FSQ",
        "LFQ",
    )
    assert [kind for kind in kinds if f"`{kind}`" not in guide] == []
    of_main = inspect.signature(peer.VectorQuantize).parameters
    calls = inspect.signature(peer.VectorQuantize.forward).parameters
    of_stack = [name for name in inspect.signature(peer.ResidualVQ).parameters if name != "vq_kwargs"]
    missing = [
        name
        for name in (*of_main, *calls, *of_stack)
        if name not in {"self", "x"} and f"`{name}`" not in guide
    ]
    assert missing == []


def test_codes_of_that_library_move_over() -> None:
    peer = pytest.importorskip("vector_quantize_pytorch", reason="make benchmark installs it")
    theirs = peer.VectorQuantize(8, 32, decay=0.9, rotation_trick=False)
    z = torch.randn(4, 50, 8)
    theirs(z)
    state = theirs.eval().state_dict()
    ours = mf.VectorQuantizer(8, 32, channel_dim=-1).eval()
    ours.load_state_dict(
        {
            "codebook": state["_codebook.embed"][0],
            "cluster_size": state["_codebook.cluster_size"][0],
            "initialized": torch.tensor(True),
        }
    )
    quantized, indices, _ = theirs(z)
    assert torch.equal(ours(z).indices, indices)
    torch.testing.assert_close(ours(z).quantized, quantized)
