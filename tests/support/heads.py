"""Scores of made-up heads."""

import torch
from torch import nn

CLASSES = 4


def draw(seed: int, samples: int = 40, *spatial: int, strength: tuple[float, ...] = (3.0, 1.5, 0.0)):
    """Scores of heads "a", "b", ... that know so much of the target, and the target."""
    generator = torch.Generator().manual_seed(seed)
    target = torch.randint(CLASSES, (samples, *spatial), generator=generator)
    right = nn.functional.one_hot(target, CLASSES).movedim(-1, 1)
    scores = {
        name: known * right + torch.randn(samples, CLASSES, *spatial, generator=generator)
        for name, known in zip("abcdefgh", strength, strict=False)
    }
    return scores, target
