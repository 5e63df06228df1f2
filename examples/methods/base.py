"""What a method is: a few hooks around one network and one training loop."""

from collections.abc import Sequence
from typing import Protocol

from torch import nn

from examples.data.contract import Batch, Samples
from examples.loss import PaperLoss
from examples.nets.model import FusionModel, FusionOutput
from examples.recipe import LossWeights


class Method(Protocol):
    """Hooks of a method, in the order in which they are called.

    A method is a small frozen dataclass of its own arguments. It keeps no state: what it learns lives in the
    model, so that a checkpoint holds everything. Inherit and replace the hooks that differ.
    """

    def inputs(self, available: Sequence[str]) -> list[str]:
        """Choose the modalities that the network sees. Once, before it is built."""
        return list(available)

    def configure(self, model: FusionModel) -> None:
        """Put the method's own parts into a new network. Once, before training."""

    def loss(self, weights: LossWeights) -> nn.Module:
        """Return what gives the `LossTerms` of ``(model, output, batch)``. Once, before training."""
        return PaperLoss(weights)

    def after_backward(self, model: FusionModel, output: FusionOutput, batch: Batch) -> None:
        """See or change the gradients. After every backward pass, before the step."""

    def epoch_end(self, model: FusionModel, train: Samples) -> None:
        """Look at the training data once more. After every epoch."""
