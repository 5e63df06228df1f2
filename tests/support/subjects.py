"""Every public module with inputs of a given batch size: what the contract tests run on."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

import maskfusion as mf
from tests.support.helpers import Network, Sum, quantizer, set_weight

CHANNELS = {"image": 2, "audio": 3}
OMEGA = [0.2, -0.1, 0.2, 0.0, 0.3]


class Subject(NamedTuple):
    """A module and the shapes of its inputs without the batch."""

    make: Callable[[], nn.Module]
    shapes: tuple[tuple[int, ...], ...]

    def inputs(self, batch: int = 3, seed: int = 0) -> tuple[Tensor, ...]:
        """Normal numbers."""
        generator = torch.Generator().manual_seed(seed)
        return tuple(torch.randn(batch, *shape, generator=generator) for shape in self.shapes)


class Scored(nn.Module):
    """A mask, a quantiser, their loss and a tracker, as one module."""

    def __init__(self, schedule: Callable[[nn.Module], mf.PenaltySchedule] | None = None) -> None:
        super().__init__()
        self.mask = set_weight(mf.ComplementaryMask(CHANNELS), OMEGA)
        self.quantizer = quantizer(torch.randn(4, 5), decay=None)
        self.loss = mf.ComplementaryLoss(nn.MSELoss(), mask_weight=schedule(self.mask) if schedule else 0.1)
        self.tracker = mf.ComplementarityTracker(self.mask)

    def forward(self, x: Tensor, target: Tensor) -> mf.LossTerms:
        """All terms of the loss."""
        codes = self.quantizer(x)
        seen = self.mask(codes.quantized)
        return self.loss(
            seen, target, inputs={"x": x}, reconstructions={"x": seen}, quantized=[codes], masks=self.mask
        )


class Pooled(nn.Module):
    """Two heads and their pool, fitted."""

    def __init__(self) -> None:
        super().__init__()
        self.heads = nn.ModuleDict({"image": nn.Linear(3, 4), "audio": nn.Linear(2, 4)})
        scores = {name: torch.randn(8, 4, generator=torch.Generator().manual_seed(4)) for name in self.heads}
        self.pool = mf.LogarithmicPool(self.heads).fit(scores, torch.arange(8) % 4)

    def forward(self, image: Tensor, audio: Tensor) -> Tensor:
        """Log-probabilities."""
        return self.pool({"image": self.heads["image"](image), "audio": self.heads["audio"](audio)})


def mask(**settings) -> nn.Module:
    """A mask with closed channels."""
    return set_weight(mf.ComplementaryMask(CHANNELS, **settings), OMEGA)


def codes(**settings) -> nn.Module:
    """A quantiser that has started."""
    return quantizer(torch.randn(6, 5), decay=settings.pop("decay", 0.9), **settings)


MASKS = {
    "mask": Subject(mask, ((5, 4, 4),)),
    "mask of vectors": Subject(mask, ((5,),)),
    "mask of tokens": Subject(lambda: mask(channel_dim=-1), ((6, 5),)),
    "mask, soft": Subject(lambda: mask(gate=mf.soft_gate), ((5, 4, 4),)),
    "mask, ternary": Subject(lambda: mask(gate=mf.ternary_gate), ((5, 4, 4),)),
    "mask, least one": Subject(lambda: mask(min_channels=1), ((5, 4, 4),)),
    "mask, two inputs": Subject(mask, ((2, 4, 4), (3, 4, 4))),
}
WRAPPED = {
    "mask around": Subject(lambda: mask(fusion=nn.Conv2d(3, 5, 1)), ((3, 4, 4),)),
    "projected quantiser": Subject(lambda: mf.ProjectedQuantizer(7, codes(channel_dim=-1)), ((3, 7),)),
    "mask before": Subject(
        lambda: mf.ComplementaryMask([3, 3], fusion=Sum(), side="input"), ((3, 4), (3, 4))
    ),
}
QUANTIZERS = {
    "quantiser": Subject(codes, ((5, 4, 4),)),
    "quantiser of tokens": Subject(lambda: codes(channel_dim=-1), ((6, 5),)),
    "quantiser by gradient": Subject(lambda: codes(decay=None), ((5, 4, 4),)),
    "quantiser, frozen": Subject(lambda: codes().freeze(), ((5, 4, 4),)),
    "quantiser, new": Subject(lambda: mf.VectorQuantizer(5, 6), ((5, 4, 4),)),
    "quantiser, rotation": Subject(lambda: codes(gradient=mf.rotation_trick), ((5, 4, 4),)),
    "quantiser, cosine": Subject(lambda: mf.VectorQuantizer(5, 6, constraint=mf.unit_length), ((5, 4, 4),)),
    "quantiser, residual": Subject(lambda: mf.ResidualQuantizer([codes(), codes()]), ((5, 4, 4),)),
    "quantiser, product": Subject(
        lambda: mf.ProductQuantizer([quantizer(torch.randn(6, 2)), quantizer(torch.randn(4, 3))]),
        ((5, 4, 4),),
    ),
    "quantiser, restarting": Subject(lambda: codes(restart_threshold=0.5), ((5, 4, 4),)),
}
WHOLE = {
    "loss": Subject(Scored, ((5, 4), (5, 4))),
    "loss, steered": Subject(lambda: Scored(lambda mask: mf.SteeredPenalty(mask, 0.5)), ((5, 4), (5, 4))),
    "pool": Subject(Pooled, ((3,), (2,))),
    "network": Subject(lambda: Network(tracked=True), ((3, 4, 4), (1, 4, 4))),
    "network by gradient": Subject(lambda: Network(decay=None), ((3, 4, 4), (1, 4, 4))),
}
LAYERS = {**MASKS, **QUANTIZERS}
SUBJECTS = {**MASKS, **WRAPPED, **QUANTIZERS, **WHOLE}


def floats(output: object) -> list[Tensor]:
    """The tensors of real numbers in an output of any form."""
    leaves = [leaf for leaf in tree_leaves(output) if isinstance(leaf, Tensor)]
    return [leaf for leaf in leaves if leaf.is_floating_point()]


def backward(output: object) -> None:
    """Go back from everything in the output that has a gradient."""
    total = sum(leaf.double().square().sum() + leaf.sum() for leaf in floats(output) if leaf.requires_grad)
    if isinstance(total, Tensor):
        total.backward()


def run(
    module: Callable[..., object], inputs: tuple[Tensor, ...]
) -> tuple[list[Tensor], list[Tensor | None]]:
    """Outputs and gradients of the inputs."""
    inputs = tuple(value.detach().clone().requires_grad_() for value in inputs)
    output = module(*inputs)
    backward(output)
    return [leaf.detach() for leaf in tree_leaves(output)], [value.grad for value in inputs]
