"""Networks that masks are attached to, each place that a mask may have, and whether a modality is heard."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import maskfusion as mf
from tests.support.helpers import set_weight

AT = {"text": "text", "audio": "audio"}
KEY = "complementary_mask.weight"


def batch() -> tuple[Tensor, Tensor]:
    """Text and audio of six samples."""
    return torch.randn(6, 5), torch.randn(6, 3)


class Late(nn.Module):
    """Late fusion by an inline concatenation, in another order than the arguments'."""

    def __init__(self) -> None:
        super().__init__()
        self.text, self.audio = nn.Linear(5, 4), nn.Sequential(nn.Linear(3, 2), nn.ReLU())
        self.head = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3))

    def forward(self, text: Tensor, audio: Tensor) -> Tensor:
        return self.head(torch.cat([self.audio(audio), self.text(text)], 1))


class Recurrent(Late):
    """Its text is the last state of a layer that returns more."""

    def __init__(self) -> None:
        super().__init__()
        self.text = nn.LSTM(5, 4, batch_first=True)

    def forward(self, text: Tensor, audio: Tensor) -> Tensor:
        _, (last, _) = self.text(text[:, None])
        return self.head(torch.cat([self.audio(audio), last[-1]], 1))


class Sorted(Late):
    """A fusion layer that takes a mapping and sorts its keys."""

    def __init__(self) -> None:
        super().__init__()
        self.fusion = SortedCat()

    def forward(self, text: Tensor, audio: Tensor) -> Tensor:
        return self.head(self.fusion({"text": self.text(text), "audio": self.audio(audio)}))


class SortedCat(nn.Module):
    def forward(self, parts: dict[str, Tensor]) -> Tensor:
        return torch.cat([parts[name] for name in sorted(parts)], 1)


class Summed(Late):
    """A fusion that mixes channels."""

    def __init__(self) -> None:
        super().__init__()
        self.fusion = Add()

    def forward(self, text: Tensor, audio: Tensor) -> Tensor:
        return self.fusion(audio=self.audio(audio), text=self.text(text), scale=torch.ones(len(text), 1))


class Add(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.text, self.audio = nn.Linear(4, 3), nn.Linear(2, 3)

    def forward(self, audio: Tensor, text: Tensor, scale: Tensor) -> Tensor:
        return scale * (self.text(text) + self.audio(audio))


ROOMS: dict[str, tuple[Callable[[], nn.Module], Callable[[nn.Module, Any], mf.ComplementaryMask]]] = {
    "encoders": (Late, lambda model, x: mf.attach(model, AT, x)),
    "reader of an inline cat": (Late, lambda model, x: mf.attach(model, "head", x, side="input")),
    "fused layer": (Sorted, lambda model, x: mf.attach(model, "fusion", x)),
    "mixing layer": (Summed, lambda model, x: mf.attach(model, "fusion", x, side="input")),
    "encoders, by hand": (
        Late,
        lambda model, _: mf.attach(model, AT, channels={"text": 4, "audio": 2}, channel_dim=1),
    ),
    "fused layer, by hand": (
        Sorted,
        lambda model, _: mf.attach(model, "fusion", channels={"audio": 2, "text": 4}, channel_dim=1),
    ),
    "mixing layer, by hand": (
        Summed,
        lambda model, _: mf.attach(
            model, "fusion", channels={"text": 4, "audio": 2}, channel_dim=1, side="input"
        ),
    ),
    "reader, by hand": (
        Late,
        lambda model, _: mf.attach(
            model, "head.0", channels={"audio": 2, "text": 4}, channel_dim=1, side="input"
        ),
    ),
}
every_room = pytest.mark.parametrize("room", ROOMS)


def attached(room: str) -> tuple[nn.Module, mf.ComplementaryMask, tuple[Tensor, Tensor]]:
    build, attach = ROOMS[room]
    model, x = build(), batch()
    return model, attach(model, x), x


def close(mask: mf.ComplementaryMask, modality: str) -> None:
    """Close one modality and open the other."""
    parts = [torch.full((n,), -1.0 if name == modality else 0.2) for name, n in mask.channels.items()]
    set_weight(mask, torch.cat(parts))


def hears(model: nn.Module, x: tuple[Tensor, Tensor]) -> list[bool]:
    """Whether the output depends on text, and on audio."""
    text, audio = x
    before = model(text, audio)
    return [
        not torch.equal(before, after) for after in (model(text.flip(0), audio), model(text, audio.flip(0)))
    ]
