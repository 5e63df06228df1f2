"""Alone, joined, pooled, with a mask that the validation part moves."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated

import torch
from pydantic import Field, PositiveFloat, PositiveInt
from torch import Tensor
from torch.nn.functional import cross_entropy

from examples.data.contract import UNSCORED, Batch
from examples.methods.alone_first import AloneJoinedPooled
from examples.nets.model import FusionModel
from maskfusion import HeldOutMasks


@dataclass(frozen=True)
class ValidatedMask(AloneJoinedPooled):
    """Let Omega follow the loss on the validation part, which the weights do not learn from; there is no lambda.

    Args:
        omega_rate: Learning rate of Omega, with Adam.
        steps: Steps of Omega after each epoch, each on the whole part.
    """

    mask_weight: Annotated[float, Field(ge=0, le=0)] = 0.0
    omega_rate: PositiveFloat = 0.005
    steps: PositiveInt = 20

    def configure(self, model: FusionModel) -> None:
        """Keep Omega from the training loss."""
        super().configure(model)
        if model.mask is not None:
            model.mask.requires_grad_(requires_grad=False)

    def before_validation(self, model: FusionModel, validation: Iterable[Batch]) -> None:
        """Move Omega, then set the weights of the pool."""
        batches = list(validation)
        if model.mask is not None:
            with torch.inference_mode(mode=False):
                self._move(model, batches)
        super().before_validation(model, batches)

    def _move(self, model: FusionModel, batches: Sequence[Batch]) -> None:
        with torch.no_grad():
            seen = [model(batch.inputs).features for batch in batches]
        features = {name: torch.cat([each[name] for each in seen]) for name in model.channels}
        target = torch.cat([batch.target for batch in batches])

        def loss() -> Tensor:
            return cross_entropy(model.head(model.fusion(features)), target, ignore_index=UNSCORED)

        held_out = HeldOutMasks(model, torch.optim.Adam(model.fusion.parameters(), lr=self.omega_rate))
        for _ in range(self.steps):
            held_out.step(loss)
