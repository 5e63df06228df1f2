"""What several test files share."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, multiprocessing, nn
from torch.profiler import ProfilerActivity, profile
from torch.utils._python_dispatch import TorchDispatchMode

import maskfusion as mf


def outcomes_of_two(work: Callable[[int, str], None], folder: Path) -> list[dict[str, str]]:
    """What each of two processes found: nothing, or how a check failed; `work` saves it."""
    multiprocessing.spawn(work, (str(folder),), nprocs=2)
    return [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in range(2)]


def array(tensor: Tensor) -> np.ndarray:
    """The tensor as float64 NumPy."""
    return tensor.detach().double().numpy()


def set_weight(mask: mf.ComplementaryMask, values: object) -> mf.ComplementaryMask:
    """Overwrite Omega and return the mask."""
    with torch.no_grad():
        mask.weight.copy_(torch.as_tensor(values, dtype=mask.weight.dtype))
    return mask


def two(image: int, audio: int) -> mf.ComplementaryMask:
    """A mask of 4 + 4 channels with so many open."""
    omega = [1.0] * image + [-1.0] * (4 - image) + [1.0] * audio + [-1.0] * (4 - audio)
    return set_weight(mf.ComplementaryMask({"image": 4, "audio": 4}), omega)


def vectors_of(z: Tensor, channel_dim: int = 1) -> Tensor:
    """The quantiser's vectors, one a row, in the order of the flattened indices."""
    return z.movedim(channel_dim, -1).reshape(-1, z.shape[channel_dim])


def quantizer(codebook: Tensor, **settings: Any) -> mf.VectorQuantizer:
    """A quantiser that has already started, with this codebook and a count of one for each code."""
    settings = {"restart_threshold": 0.0, **settings}
    made = mf.VectorQuantizer(codebook.shape[1], codebook.shape[0], **settings)
    state = made.state_dict()
    state["codebook"] = codebook.clone()
    state["cluster_size"] = torch.ones(len(codebook))
    state["initialized"] = torch.ones_like(state["initialized"])
    made.load_state_dict(state)
    return made


def same_state(first: nn.Module, second: nn.Module) -> bool:
    """Whether two modules hold the same bits."""
    left, right = first.state_dict(), second.state_dict()
    return left.keys() == right.keys() and all(
        torch.equal(left[key], right[key]) if isinstance(left[key], Tensor) else left[key] == right[key]
        for key in left
    )


class Network(nn.Module):
    """Two encoders, a quantiser, a mask, a head, and, if asked for, a tracker that lives inside."""

    def __init__(self, *, decay: float | None = 0.9, tracked: bool = False) -> None:
        super().__init__()
        self.image = nn.Conv2d(3, 4, 1)
        self.audio = nn.Conv2d(1, 4, 1)
        self.quantizer = mf.VectorQuantizer(4, 8, decay=decay)
        self.fusion = mf.ComplementaryMask({"image": 4, "audio": 4})
        self.head = nn.Linear(8, 3)
        if tracked:
            self.tracker = mf.ComplementarityTracker(self)

    def forward(self, image: Tensor, audio: Tensor) -> tuple[Tensor, Tensor]:
        """Scores and the loss of the codes."""
        codes = self.quantizer(self.image(image))
        fused = self.fusion(codes.quantized, self.audio(audio))
        return self.head(fused.mean((-2, -1))), codes.loss


class Sum(nn.Module):
    """A fusion that mixes channels; it accepts tensors, a list, a mapping or keywords."""

    def forward(self, *features: Any, **named: Tensor) -> Tensor:
        """Add everything up."""
        flat: list[Tensor] = []
        for item in features:
            if isinstance(item, Tensor):
                flat.append(item)
            else:
                flat.extend(item.values() if isinstance(item, dict) else item)
        return torch.stack([*flat, *named.values()]).sum(0)


class FreshTensors(TorchDispatchMode):
    """Count the operations whose result is a new tensor of at least `size` elements."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size
        self.seen: list[str] = []

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run the operation and look at what it gave."""
        result = func(*args, **(kwargs or {}))
        is_view = any(value.alias_info is not None for value in func._schema.returns)
        values = result if isinstance(result, tuple | list) else (result,)
        if not is_view and any(isinstance(value, Tensor) and value.numel() >= self.size for value in values):
            self.seen.append(str(func))
        return result


def gradients(run: Callable[..., Tensor], *inputs: Tensor) -> tuple[Tensor, ...]:
    """Gradients of a weighted sum of the output with respect to the inputs."""
    output = run(*inputs)
    weights = torch.linspace(-1.0, 1.0, output.numel(), dtype=output.dtype).reshape(output.shape)
    return torch.autograd.grad((output * weights).sum(), inputs)


def largest_allocation(step: Callable[[], object]) -> int:
    """Bytes of the largest piece of memory that an operation takes, inside of operators of our own too."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as record:
        step()
    return max(event.self_cpu_memory_usage for event in record.events())


def through_file(model: nn.Module) -> nn.Module:
    """The network as another program would load it."""
    file = io.BytesIO()
    torch.save(model, file)
    file.seek(0)
    return whole_network(file)


def whole_network(file: Path | io.BytesIO) -> Any:
    """What a test has saved whole, as a page of the docs tells users to: a network with its hooks, which no `state_dict` holds.

    Loading it runs code, so only what this test has written is read.
    """
    return torch.load(file, weights_only=False)
