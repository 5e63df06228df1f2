"""What is compared: one training step of each quantiser and mask, forward and backward."""

import os
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from maskfusion import ComplementaryMask, VectorQuantizer

Step = Callable[[], object]
CODES, DIM, DECAY, BETA = 512, 64, 0.99, 0.25
CODEBOOKS = (512, 2048, 8192, 65536)


class Shape(NamedTuple):
    """A batch of latents and where its channels are."""

    size: tuple[int, ...]
    channel_dim: int

    def latents(self, seed: int = 0) -> Tensor:
        """Draw latents that want a gradient."""
        generator = torch.Generator().manual_seed(seed)
        latents = torch.randn(self.size, generator=generator, device="cpu")
        return latents.to(torch.get_default_device()).requires_grad_()

    def small(self) -> "Shape":
        """Return a batch with as many channels and 8 vectors."""
        size = [2] * len(self.size)
        size[0], size[self.channel_dim] = 8 // 2 ** (len(size) - 2), self.size[self.channel_dim]
        return Shape(tuple(size), self.channel_dim)

    def rows(self) -> Tensor:
        """Return the latents as contiguous ``(vectors, dim)``."""
        return self.latents().detach().movedim(self.channel_dim, -1).reshape(-1, DIM).contiguous()


SHAPES = {
    "images, batch 128": Shape((128, 64, 32, 32), 1),
    "images, batch 32": Shape((32, 64, 32, 32), 1),
    "tokens": Shape((32, 1024, 64), -1),
}


class OneHotQuantizer(nn.Module):
    """The textbook moving-average quantiser: all distances at once, one-hot assignments, two matrix products with them.

    Written from van den Oord et al., 2017, Eqs. 1-3 and Appendix A.1, as most public codes have it.
    """

    codebook: Tensor
    counts: Tensor
    sums: Tensor

    def __init__(self, channel_dim: int, *, perplexity: bool = False) -> None:
        super().__init__()
        self.channel_dim, self.perplexity = channel_dim, perplexity
        self.register_buffer("codebook", torch.randn(CODES, DIM))
        self.register_buffer("counts", torch.ones(CODES))
        self.register_buffer("sums", self.codebook.clone())

    def forward(self, z: Tensor) -> tuple[Tensor, ...]:
        """Return codes and loss, and as the public codes do the perplexity, if it is wanted."""
        last = z.movedim(self.channel_dim, -1)
        flat = last.reshape(-1, DIM)
        distances = (
            flat.square().sum(1, keepdim=True) - 2 * flat @ self.codebook.t() + self.codebook.square().sum(1)
        )
        one_hot = flat.new_zeros(len(flat), CODES).scatter_(1, distances.argmin(1, keepdim=True), 1)
        codes = (one_hot @ self.codebook).view(last.shape).movedim(-1, self.channel_dim)
        with torch.no_grad():
            self.counts.lerp_(one_hot.sum(0), 1 - DECAY)
            self.sums.lerp_(one_hot.t() @ flat, 1 - DECAY)
            total = self.counts.sum()
            self.codebook.copy_(self.sums / ((self.counts + 1e-5) / (total + CODES * 1e-5) * total)[:, None])
        loss = BETA * nn.functional.mse_loss(z, codes.detach())
        found = z + (codes - z).detach(), loss
        if not self.perplexity:
            return found
        used = one_hot.mean(0)
        return *found, torch.exp(-(used * torch.log(used + 1e-10)).sum())


def quantizer_step(quantizer: Callable[[Tensor], tuple[Tensor, ...]], z: Tensor, loss_at: int) -> Step:
    """One step of training: codes and loss forward, a gradient of the codes and one of the loss back."""
    gradient = torch.ones_like(z)

    def step() -> None:
        z.grad = None
        found = quantizer(z)
        torch.autograd.backward([found[0], found[loss_at].sum()], [gradient.to(found[0].dtype), None])

    return step


def ours(shape: Shape, codes: int = CODES) -> Step:
    """The library's quantiser."""
    quantizer = VectorQuantizer(DIM, codes, decay=DECAY, channel_dim=shape.channel_dim)
    return quantizer_step(quantizer, shape.latents(), loss_at=2)


def ours_autocast(shape: Shape) -> Step:
    """The library's quantiser on bfloat16 latents under autocast."""
    quantizer = VectorQuantizer(DIM, CODES, decay=DECAY, channel_dim=shape.channel_dim)
    z = shape.latents().detach().bfloat16().requires_grad_()

    def under_autocast(z: Tensor) -> tuple[Tensor, ...]:
        with torch.autocast(z.device.type, dtype=torch.bfloat16):
            return tuple(quantizer(z))

    return quantizer_step(under_autocast, z, loss_at=2)


def ours_compiled(shape: Shape) -> Step:
    """The library's quantiser under ``torch.compile``."""
    quantizer = VectorQuantizer(DIM, CODES, decay=DECAY, channel_dim=shape.channel_dim)
    return quantizer_step(torch.compile(quantizer, fullgraph=True), shape.latents(), loss_at=2)


def ours_captured(shape: Shape) -> Step:
    """The library's quantiser, forward and backward each a CUDA graph; vector-quantize-pytorch cannot be captured."""
    quantizer = VectorQuantizer(DIM, CODES, decay=DECAY, channel_dim=shape.channel_dim)
    return quantizer_step(captured(quantizer, shape.latents()), shape.latents(), loss_at=2)


def one_hot_captured(shape: Shape) -> Step:
    """The textbook quantiser in the same way."""
    quantizer = OneHotQuantizer(shape.channel_dim)
    return quantizer_step(captured(quantizer, shape.latents()), shape.latents(), loss_at=1)


def captured(function: Callable[[Tensor], Any], sample: Tensor) -> Callable[[Tensor], Any]:
    """Forward and backward as CUDA graphs, for tensors like the sample."""
    graphed: Callable[[Tensor], Any] = torch.cuda.make_graphed_callables(function, (sample,))
    return graphed


def ours_plain(shape: Shape) -> Step:
    """The library's quantiser without the Triton kernels."""
    step = ours(shape)

    def without_kernels() -> None:
        os.environ["MASKFUSION_TRITON"] = "0"
        step()
        del os.environ["MASKFUSION_TRITON"]

    return without_kernels


def peer(shape: Shape) -> Step:
    """vector-quantize-pytorch with the same settings, its rotation trick off."""
    from vector_quantize_pytorch import VectorQuantize

    quantizer = VectorQuantize(
        DIM,
        CODES,
        decay=DECAY,
        commitment_weight=BETA,
        rotation_trick=False,
        accept_image_fmap=shape.channel_dim == 1,
    )
    return quantizer_step(quantizer, shape.latents(), loss_at=2)


def one_hot(shape: Shape) -> Step:
    """The textbook quantiser."""
    return quantizer_step(OneHotQuantizer(shape.channel_dim), shape.latents(), loss_at=1)


def bare_search(shape: Shape) -> Step:
    """Nothing but the nearest code of contiguous vectors: ``addmm`` and ``argmin``, in a CPU 1,024 vectors at a time."""
    rows, codebook = shape.rows(), torch.randn(CODES, DIM)
    norms = codebook.square().sum(1)
    size = 1024 if rows.device.type == "cpu" else len(rows)

    def step() -> None:
        for part in torch.split(rows, size):
            torch.addmm(norms, part, codebook.t(), alpha=-2).argmin(1)

    return step


def masked(shape: Shape, made: str = "eager") -> Step:
    """The library's mask."""
    return _multiply_step(_made(ComplementaryMask(shape.size[1]), made, shape), shape)


def constant_multiply(shape: Shape, made: str = "eager") -> Step:
    """The floor of any mask: a multiply by constants, one per channel."""
    constant = torch.rand(shape.size[1], 1, 1)

    def multiply(x: Tensor) -> Tensor:
        return x * constant

    return _multiply_step(_made(multiply, made, shape), shape)


def _made(multiply: Callable[[Tensor], Tensor], how: str, shape: Shape) -> Callable[[Tensor], Tensor]:
    if how == "captured":
        return captured(multiply, torch.randn(shape.size, requires_grad=True))
    return torch.compile(multiply, fullgraph=True) if how == "compiled" else multiply


def autograd_multiply(shape: Shape) -> Step:
    """The same with a gradient for the factors, as autograd does it by itself."""
    factors = torch.rand(shape.size[1], 1, 1, requires_grad=True)
    return _multiply_step(lambda x: x * factors, shape)


def _multiply_step(multiply: Callable[[Tensor], Tensor], shape: Shape) -> Step:
    x = torch.randn(shape.size, requires_grad=True)
    gradient = torch.ones_like(x)

    def step() -> None:
        x.grad = None
        torch.autograd.backward(multiply(x), gradient)

    return step


def changed_by_bf16(name: str, device: str) -> float:
    """Share of the codes that bf16 changes: by autocast on float32 latents, or by latents that are bf16 against the same numbers."""
    with torch.device(device):
        shape = SHAPES[name]
        quantizer = VectorQuantizer(DIM, CODES, channel_dim=shape.channel_dim)
        latents = shape.latents().detach()
    quantizer(latents)  # the first codes
    quantizer.eval()
    changed = []
    for under_autocast, plain in ((latents, latents), (latents.bfloat16(), latents.bfloat16().float())):
        with torch.autocast(latents.device.type, dtype=torch.bfloat16):
            indices = quantizer(under_autocast).indices
        changed.append(float((indices != quantizer(plain).indices).float().mean()))
    return max(changed)


RIVALS: dict[str, Callable[[Shape], Step]] = {
    "ours": ours,
    "vector-quantize-pytorch": peer,
    "one-hot": one_hot,
    "bare search": bare_search,
    "ours, bf16 autocast": ours_autocast,
    "ours, compiled": ours_compiled,
}
ON_GPU: dict[str, Callable[[Shape], Step]] = {
    "ours, CUDA graphs": ours_captured,
    "one-hot, CUDA graphs": one_hot_captured,
    "ours, without Triton": ours_plain,
}
MASKS: dict[str, Callable[[Shape], Step]] = {
    "ours": masked,
    "multiply by a constant": constant_multiply,
    "multiply, autograd": autograd_multiply,
    "ours, compiled": partial(masked, made="compiled"),
    "multiply by a constant, compiled": partial(constant_multiply, made="compiled"),
}
MASKS_ON_GPU: dict[str, Callable[[Shape], Step]] = {
    "ours, CUDA graphs": partial(masked, made="captured"),
    "multiply by a constant, CUDA graphs": partial(constant_multiply, made="captured"),
}


class Case(NamedTuple):
    """What makes a step, and its batch."""

    make: Callable[[Shape], Step]
    shape: Shape

    def step(self) -> Step:
        """Make the step that is measured."""
        return self.make(self.shape)

    def small_step(self) -> Step:
        """Make one that loads the same code and takes next to no memory."""
        return self.make(self.shape.small())


CASES = {
    **{
        f"{name}: {rival}": Case(make, shape)
        for rival, make in (RIVALS | ON_GPU).items()
        for name, shape in SHAPES.items()
    },
    **{f"{codes} codes": Case(partial(ours, codes=codes), Shape((2, 64, 32, 32), 1)) for codes in CODEBOOKS},
    **{
        f"mask: {name}": Case(make, Shape((128, 128, 32, 32), 1))
        for name, make in (MASKS | MASKS_ON_GPU).items()
    },
}
