"""What the tests must know of a network that they put a mask onto."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

import maskfusion as mf

CLASSES, BATCH = 3, 4


class Form(NamedTuple):
    """A network, what it is called with, and the lines for its mask."""

    build: Callable[[], nn.Module]
    batch: Callable[[], Any]
    """Inputs by name, or a tuple by position."""
    mask: Callable[[nn.Module, Any], mf.ComplementaryMask]
    scores: Callable[[Any], Tensor] = lambda out: out

    def run(self, model: nn.Module, batch: Any) -> Tensor:
        """The scores of a batch."""
        torch.manual_seed(0)
        return self.scores(model(**batch) if isinstance(batch, Mapping) else model(*batch))
