"""What a method is: a few hooks around one network and one training loop."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from pydantic import ConfigDict
from torch import nn

from examples.data.contract import Batch, Samples
from examples.methods.loss import PaperLoss
from examples.nets.model import FusionModel, FusionOutput
from examples.recipes import LossWeights, Recipe, Row
from examples.typed import KNOWN_KEYS


@dataclass(frozen=True)
class Method:
    """Hooks of a method, in the order in which they are called.

    A method is a small frozen dataclass of its own arguments. It keeps no state: what it learns lives in the
    model, so that a checkpoint holds everything. Inherit and replace the hooks that differ; a hook that adds to
    another method's calls `super()`, so that two methods are combined by inheriting both.
    """

    __pydantic_config__: ClassVar[ConfigDict] = KNOWN_KEYS  # of `create`, which checks types and ranges

    def inputs(self, available: Sequence[str]) -> list[str]:
        """Choose the modalities that the network sees. Once, before it is built."""
        return list(available)

    def stages(self, available: Sequence[str]) -> dict[str, Row]:
        """Choose what is trained before this run, each as a run of its own, by name. Once, before the network is built.

        Args:
            available: Modalities of the data.
        """
        del available
        return {}

    def schedule(self, recipe: Recipe) -> Recipe | None:
        """Choose how the network itself is trained; None where that is finished with the stages. Once, before it is built.

        Args:
            recipe: Recipe of the row, as the stages are trained by it.
        """
        return recipe

    def learns_from(self, train: Samples) -> Samples:
        """Choose the training samples that make the batches; the other hooks see all. Once, before training."""
        return train

    def configure(self, model: FusionModel) -> None:
        """Put the method's own parts into a new network. Once, before training."""

    def rates(self, model: FusionModel) -> dict[str, float]:
        """Choose parts of the network that learn at another rate: path to factor. Once, before training; Omega has a rate of its own."""
        del model
        return {}

    def start(self, model: FusionModel, stages: Mapping[str, FusionModel]) -> None:
        """Take over what the stages have learned, each with its chosen weights. Once; not again when a run goes on."""

    def loss(self, weights: LossWeights) -> nn.Module:
        """Return what gives the `LossTerms` of ``(model, output, batch)``. Once, before training."""
        return PaperLoss(weights)

    def train_start(self, model: FusionModel, train: Samples) -> None:
        """Look at the training data. Once, before the first epoch; not again when a run goes on."""

    def after_backward(self, model: FusionModel, output: FusionOutput, batch: Batch) -> None:
        """See or change the gradients. After every backward pass, before the step."""

    def before_validation(self, model: FusionModel, validation: Iterable[Batch]) -> None:
        """Set what the validation part decides, before it is scored. After every epoch, where there is such a part.

        Args:
            model: The network, in evaluation mode.
            validation: All of it, in every process.
        """

    def epoch_end(self, model: FusionModel, train: Samples) -> None:
        """Look at the training data once more. After every epoch."""
