"""Channels dropped at random, the baseline "Drop." of Table 2."""

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from examples.methods.base import Method
from examples.nets.model import FusionModel
from maskfusion import ComplementaryMask, random_gate

VARIANTS = {
    "corrected": {"rescale": True, "always": False},
    "published": {"rescale": False, "always": True},
}
"""Arguments of `random_gate`."""


@dataclass(frozen=True)
class FeatureDropout(Method):
    """Close fused channels at random, the same ones for a whole batch, others in each forward pass.

    The mask that holds the gate counts every channel as open and learns nothing; the loss has no L_compl.

    Args:
        p: Probability that a channel is closed.
        variant: "corrected": in training only, and what stays is divided by 1 - p, as dropout is defined;
            "published": in evaluation too and not rescaled, as in the published code, so that scores are random.

    Reference: Sec. 4.1, row "Drop."; Srivastava et al., "Dropout", JMLR 2014.
    """

    p: Annotated[float, Field(ge=0, lt=1)] = 0.5
    variant: Literal["corrected", "published"] = "corrected"

    def configure(self, model: FusionModel) -> None:
        """Wrap the fusion in a mask that is drawn, not learned."""
        gate = random_gate(self.p, **VARIANTS[self.variant])
        model.fusion = ComplementaryMask(model.channels, fusion=model.fusion, gate=gate)
