"""A network of many kinds: tokens, maps, a table; encoders that return tuples, mappings and dataclasses."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn


class Towers(nn.Module):
    """Tokens, maps and a table; encoders that return tuples, mappings and dataclasses; two layers of one modality."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(20, 6)
        self.encoder = nn.TransformerEncoder(
            nn.TransformerEncoderLayer(6, 2, 8, 0.0, batch_first=True), 2, enable_nested_tensor=True
        )
        self.fine, self.coarse = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 5, 3, stride=2)
        self.sound = nn.GRU(3, 7, batch_first=True)
        self.table = Boxed(nn.Linear(2, 3))
        self.pairs = Several()
        self.head = nn.Linear(6 + 4 + 5 + 7 + 3 + 6, 4)

    def forward(
        self, ids: Tensor, padding: Tensor, image: Tensor, batch: dict[str, Any]
    ) -> dict[str, Tensor]:
        tokens = self.encoder(self.words(ids), src_key_padding_mask=padding)
        fine = self.fine(image)
        _, sound = self.sound(batch["sound"])
        parts = [
            tokens[:, 0],
            fine.mean((2, 3)),
            self.coarse(fine.relu()).mean((2, 3)),
            sound[-1],
            self.table(batch["table"]).features,
            *(level.mean((2, 3)) for level in self.pairs(image)),
        ]
        return {"scores": self.head(torch.cat(parts, 1)), "tokens": tokens}


@dataclass
class Box:
    features: Tensor


class Boxed(nn.Module):
    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Box:
        return Box(self.layer(x))


class Several(nn.Module):
    """A list of maps, as a feature pyramid returns it."""

    def __init__(self) -> None:
        super().__init__()
        self.levels = nn.ModuleList([nn.Conv2d(3, 2, 1), nn.Conv2d(3, 4, 1, stride=2)])

    def forward(self, image: Tensor) -> list[Tensor]:
        return [level(image) for level in self.levels]
