"""The encoder of the modality that is behind learns first, the others wait."""

from dataclasses import dataclass
from typing import Annotated

import torch
from pydantic import Field, NonNegativeInt, PositiveFloat

from examples.data.contract import Batch, Samples
from examples.methods.processes import summed
from examples.methods.uniform_losses import UniformLosses, unimodal_losses
from examples.nets.model import FusionModel, FusionOutput


@dataclass(frozen=True)
class WeakestFirst(UniformLosses):
    """In the first epochs, update the weakest modality's encoder and none of the others; then all.

    Weakest is the modality whose own head has the highest cross entropy on the training batches of late. It is
    chosen at every step, so that a modality that has caught up hands over to the next. (The original too chooses for
    each batch, by networks of one modality each that were trained before: whose probabilities of the right classes add
    up to least. Its waiting encoders keep the gradients of everything but four-dimensional weights.) The heads learn by
    uniform losses; the joint head, decoders and codebooks learn throughout. An encoder that waits has no gradient, so that neither
    momentum nor weight decay moves it; only running statistics of its normalisation go on.

    Args:
        weight: Weight of each modality's cross entropy; that of the joint one is 1.
        epochs: Number of epochs before all encoders learn; the original has half of all.
        decay: Decay of the moving average of each modality's cross entropy, a step.

    Reference: sequential modality prioritisation of "G2D: Boosting Multimodal Learning with Gradient-Guided
    Distillation", ICCV 2025, without its distillation.
    """

    weight: PositiveFloat = 1.0  # heads that do not learn cannot judge
    epochs: NonNegativeInt = 30
    decay: Annotated[float, Field(ge=0, lt=1)] = 0.9

    def configure(self, model: FusionModel) -> None:
        """Add heads, and buffers for how they do and since when."""
        super().configure(model)
        model.register_buffer("recent_losses", torch.zeros(len(model.channels)))
        model.register_buffer("epochs_waited", torch.tensor(0))

    def after_backward(self, model: FusionModel, output: FusionOutput, batch: Batch) -> None:
        """Delete the gradients of all encoders but the weakest's."""
        recent = model.get_buffer("recent_losses")
        with torch.no_grad():
            losses = torch.stack(list(unimodal_losses(output, batch).values())).to(recent)
            # A common factor, such as the number of processes, does not change which is the largest.
            recent.mul_(self.decay).add_(summed(losses), alpha=1 - self.decay)
        if int(model.get_buffer("epochs_waited")) >= self.epochs:
            return
        weakest = list(output.unimodal)[int(recent.argmax())]
        for name, encoder in model.encoders.items():
            if name != weakest:
                encoder.zero_grad(set_to_none=True)

    def epoch_end(self, model: FusionModel, train: Samples) -> None:
        """Count the epoch."""
        del train
        model.get_buffer("epochs_waited").add_(1)
