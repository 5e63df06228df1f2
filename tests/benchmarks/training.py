"""One training step of the whole published network, and of each of its parts."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, mse_loss
from torch.profiler import ProfilerActivity, profile

from examples.data.contract import Modality
from examples.nets.model import FusionModel
from examples.recipes import Network
from maskfusion import ComplementaryMask, Quantized
from tests.benchmarks.contenders import OneHotQuantizer, Step

BATCH, CLASSES, MASK_WEIGHT, THRESHOLD = 16, 6, 1e-4, 0.05
NETWORK = Network(pooling={"audio": 1})
PROFILED, LISTED = 5, 10


class Sides(NamedTuple):
    """Samples in a batch, and sides of the square image and spectrogram."""

    batch: int
    image: int
    audio: int

    def modalities(self) -> dict[str, Modality]:
        """What the network takes."""
        return {
            "image": Modality("image", (3, self.image, self.image)),
            "audio": Modality("image", (1, self.audio, self.audio)),
        }


PUBLISHED, SMALLEST = Sides(BATCH, 128, 256), Sides(2, 16, 32)


class PlainQuantizer(nn.Module):
    """The textbook quantiser in the place of the library's."""

    def __init__(self) -> None:
        super().__init__()
        self.quantizer = OneHotQuantizer(channel_dim=1)

    def forward(self, z: Tensor) -> Quantized:
        """Return codes and loss; nothing asks for the rest."""
        codes, loss = self.quantizer(z)
        nothing = loss.detach()
        return Quantized(codes, nothing, loss, nothing)


class PlainMask(nn.Module):
    """Fuse and mask by operations of autograd alone: ``x * (w > t)``, straight through."""

    def __init__(self, channels: int, fusion: nn.Module) -> None:
        super().__init__()
        self.fusion = fusion
        self.weight = nn.Parameter(torch.full((channels, 1, 1), 0.1))

    def forward(self, features: dict[str, Tensor]) -> Tensor:
        """Multiply the fused features."""
        fused: Tensor = self.fusion(features)
        gate = (self.weight > THRESHOLD).float() + self.weight - self.weight.detach()
        return fused * gate


def network(
    sides: Sides, plain: bool = False, memory_format: torch.memory_format = torch.contiguous_format
) -> FusionModel:
    """Return the published network with the library's quantisers and mask, or with plain ones."""
    torch.manual_seed(0)
    model = FusionModel(sides.modalities(), CLASSES, NETWORK, quantise=True)
    if plain:
        model.quantizers = nn.ModuleDict({name: PlainQuantizer() for name in model.quantizers})
        model.fusion = PlainMask(sum(model.channels.values()), model.fusion)
    else:
        model.fusion = ComplementaryMask(model.channels, fusion=model.fusion, threshold=THRESHOLD)
    convert: Callable[..., FusionModel] = model.to  # its types do not know memory formats
    return convert(memory_format=memory_format)


def training_step(
    sides: Sides,
    plain: bool = False,
    compiled: bool = False,
    memory_format: torch.memory_format = torch.contiguous_format,
) -> Step:
    """All four terms of the loss, forward and back, and a step of AdamW."""
    model = network(sides, plain, memory_format)
    omega = model.fusion.get_parameter("weight")
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    inputs = {
        name: torch.randn(sides.batch, *modality.shape).contiguous(memory_format=memory_format)
        for name, modality in sides.modalities().items()
    }
    target = torch.arange(sides.batch) % CLASSES
    forward = torch.compile(model, fullgraph=True) if compiled else model

    def step() -> None:
        output = forward(inputs)
        loss = cross_entropy(output.prediction, target) + MASK_WEIGHT * omega.sum()
        for name, x in inputs.items():
            loss = loss + mse_loss(output.reconstructions[name], x) + output.quantized[name].loss
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()

    return step


def part_step(sides: Sides, path: str, plain: bool = False) -> Step:
    """One part of the network by itself, forward and back, channels last."""
    model = network(sides, plain, torch.channels_last)
    seen: list[tuple[object, ...]] = []
    part = model.get_submodule(path)
    hook = part.register_forward_hook(lambda _part, given, _out: seen.append(given))
    with torch.no_grad():
        model({name: torch.randn(2, *modality.shape) for name, modality in sides.modalities().items()})
    hook.remove()
    wanted = not path.startswith("encoders")  # nobody asks for a gradient of the data itself
    given = [_like(value, sides.batch, wanted) for value in seen[0]]

    def step() -> None:
        part.zero_grad()
        output = part(*given)
        outputs = [output] if isinstance(output, Tensor) else [output.quantized, output.loss]
        torch.autograd.backward(outputs, [torch.ones_like(each) for each in outputs])

    return step


def _like(value: object, batch: int, wanted: bool) -> object:
    """Draw a batch in the shape of what a part was given, and say whether a gradient of it is wanted."""
    if isinstance(value, Tensor):
        drawn = torch.randn(batch, *value.shape[1:]).contiguous(memory_format=torch.channels_last)
        return drawn.requires_grad_(wanted)
    return (
        {name: _like(each, batch, wanted) for name, each in value.items()}
        if isinstance(value, dict)
        else value
    )


def operations(step: Step) -> dict[str, float]:
    """Percent of the time by operation of PyTorch, without what it calls: the longest, and all others together."""
    step()
    with profile(activities=[ProfilerActivity.CPU]) as profiled:
        for _ in range(PROFILED):
            step()
    took = {event.key: event.self_cpu_time_total for event in profiled.key_averages()}
    shares = {name: 100 * time / sum(took.values()) for name, time in took.items()}
    longest = sorted((name for name in shares if name.startswith("aten::")), key=lambda name: -shares[name])
    listed = {name.removeprefix("aten::"): shares[name] for name in longest[:LISTED]}
    return {**listed, "all others": 100 - sum(listed.values())}


STEPS: dict[str, Callable[[Sides], Step]] = {
    "ours": training_step,
    "ours, channels last": partial(training_step, memory_format=torch.channels_last),
    "ours, channels last, compiled": partial(training_step, compiled=True, memory_format=torch.channels_last),
    "one-hot, unfused mask": partial(training_step, plain=True),
    "one-hot, unfused mask, channels last": partial(
        training_step, plain=True, memory_format=torch.channels_last
    ),
}
PARTS: dict[str, Callable[[Sides], Step]] = {
    "image encoder": partial(part_step, path="encoders.image"),
    "audio encoder": partial(part_step, path="encoders.audio"),
    "one quantiser": partial(part_step, path="quantizers.image"),
    "one quantiser, one-hot": partial(part_step, path="quantizers.image", plain=True),
    "image decoder": partial(part_step, path="decoders.image"),
    "audio decoder": partial(part_step, path="decoders.audio"),
    "fusion and mask": partial(part_step, path="fusion"),
    "fusion and mask, unfused": partial(part_step, path="fusion", plain=True),
    "classifier": partial(part_step, path="head"),
}


class TrainingCase(NamedTuple):
    """What makes a step of the published sizes, and one that loads the same code and takes little memory."""

    make: Callable[[Sides], Step]

    def step(self) -> Step:
        """Make the step that is measured."""
        return self.make(PUBLISHED)

    def small_step(self) -> Step:
        """Make the small one."""
        return self.make(SMALLEST)


CASES = {
    **{f"training-step: {name}": TrainingCase(make) for name, make in STEPS.items()},
    **{f"parts: {name}": TrainingCase(make) for name, make in PARTS.items()},
}
