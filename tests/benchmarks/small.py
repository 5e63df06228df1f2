"""Steps of a fraction of a millisecond, in a process that imports nothing but what they need: ``python -m tests.benchmarks.small``."""

import json
import sys
from collections.abc import Callable
from dataclasses import asdict

import torch
from torch import Tensor, nn

from maskfusion import ComplementaryMask, VectorQuantizer
from tests.benchmarks.contenders import CODES, DECAY, DIM, OneHotQuantizer, Shape, Step, quantizer_step
from tests.benchmarks.timing import interleaved

QUANTIZERS = {
    "small quantiser, (1, 64, 2, 2)": (1, 64, 2, 2),
    "small quantiser, (16, 64, 4, 4)": (16, 64, 4, 4),
}
MASKS = {"small mask, (4, 128, 2, 2)": (4, 128, 2, 2)}
GROUPS = (*QUANTIZERS, *MASKS)
BASES = {**dict.fromkeys(QUANTIZERS, "one-hot"), **dict.fromkeys(MASKS, "straight-through gate")}
ALIKE = "one-hot, with perplexity"
"""The textbook's quantiser with all that ours returns."""
WARM_UP = 50


class StraightThroughGate(nn.Module):
    """The textbook mask: ``x * gate`` by operations of autograd alone."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.full((channels, 1, 1), 0.1))

    def forward(self, x: Tensor) -> Tensor:
        """Multiply."""
        return x * ((self.weight > 0.05).float() + self.weight - self.weight.detach())


def steps(group: str) -> dict[str, Step]:
    """Return ours and the textbook's."""
    if group in QUANTIZERS:
        shape = Shape(QUANTIZERS[group], 1)
        ours = VectorQuantizer(DIM, CODES, decay=DECAY)
        return {
            "ours": quantizer_step(ours, shape.latents(), loss_at=2),
            BASES[group]: quantizer_step(OneHotQuantizer(1), shape.latents(), loss_at=1),
            ALIKE: quantizer_step(OneHotQuantizer(1, perplexity=True), shape.latents(), loss_at=1),
        }
    size = MASKS[group]
    return {
        "ours": _multiply_step(ComplementaryMask(size[1]), size),
        BASES[group]: _multiply_step(StraightThroughGate(size[1]), size),
    }


def _multiply_step(mask: Callable[[Tensor], Tensor], size: tuple[int, ...]) -> Step:
    x = torch.randn(size, requires_grad=True)
    gradient = torch.ones_like(x)

    def step() -> None:
        x.grad = None
        torch.autograd.backward(mask(x), gradient)

    return step


if __name__ == "__main__":
    group, rounds, threads = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    found = interleaved(steps(group), rounds=rounds, threads=threads, warm_up=WARM_UP)
    print(json.dumps({name: asdict(timing) for name, timing in found.items()}))
