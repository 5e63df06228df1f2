"""What a hook of an attached mask costs a call, beside the multiply: ``python -m tests.benchmarks.hooks``.

Microseconds, the least of many short interleaved runs on one thread, since all that a busy machine does is add.
"""

import time
from collections.abc import Callable, Mapping

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

import maskfusion as mf
from maskfusion.functional.multiply import multiply_channels
from tests.benchmarks.targets import Target

MOST = 20.0
"""Microseconds that a hook and its gate may cost beside the multiply."""


class Two(nn.Module):
    """Two layers that do nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.image, self.audio = nn.Identity(), nn.Identity()

    def forward(self, image: Tensor, audio: Tensor) -> Tensor:
        """Join them."""
        return torch.cat([self.image(image), self.audio(audio)], 1)


def steps(width: int = 64, samples: int = 32) -> Mapping[str, Callable[[], object]]:
    """A layer with a hook, the same by hand, and the parts of it."""
    model, plain = Two(), Two()
    x = torch.randn(samples, width)
    mask = mf.attach(model, {"image": "image", "audio": "audio"}, (x, torch.randn(samples, width)))
    x.requires_grad_()
    gate = mf.functional.hard_gate(mask.weight, mask.threshold)

    def by_hand() -> Tensor:
        values = mf.functional.hard_gate(mask.weight, mask.threshold).narrow(0, 0, width)
        return multiply_channels(plain.image(x), values, 1)

    return {
        "layer with a hook": lambda: model.image(x),
        "layer, gate and multiply by hand": by_hand,
        "layer and multiply": lambda: multiply_channels(plain.image(x), gate[:width], 1),
        "layer": lambda: plain.image(x),
    }


def least(cases: Mapping[str, Callable[[], object]], rounds: int = 300, calls: int = 30) -> dict[str, float]:
    """The least microseconds a call, of short runs in turn."""
    torch.set_num_threads(1)
    found = dict.fromkeys(cases, float("inf"))
    for _ in range(rounds):
        for name, step in cases.items():
            start = time.perf_counter()
            for _ in range(calls):
                step()
            found[name] = min(found[name], 1e6 * (time.perf_counter() - start) / calls)
    return found


def target() -> Target:
    """What a hook costs, and what it may."""
    hooked, _, multiply, _ = least(steps()).values()
    return Target(
        "hook", "microseconds beside the multiply", MOST, hooked - multiply, hooked - multiply <= MOST
    )


def main() -> None:
    """Measure and print."""
    found = least(steps())
    table = Table("microseconds a call", "", title="A hook")
    for name, value in found.items():
        table.add_row(name, f"{value:.1f}")
    hooked, by_hand, multiply, _ = found.values()
    table.add_row("hook beside gate and multiply", f"{hooked - by_hand:.1f}")
    table.add_row("hook and gate beside the multiply", f"{hooked - multiply:.1f} of {MOST:.0f}")
    Console().print(table)


if __name__ == "__main__":
    main()
