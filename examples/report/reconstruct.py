"""What is in the open and in the closed channels of a mask: reconstructions and predictions from each part.

Figs. 3 and 4 of the paper, and one part more: the complementary channels of one sample with the contradictory ones of another.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from examples.nets.model import FusionModel, FusionOutput
from maskfusion import ComplementaryMask

PARTS = ("all", "complementary", "contradictory", "exchanged")
"""All channels; the open ones; the closed ones; open ones with the closed ones of the sample before."""


def parts_of(features: Mapping[str, Tensor], mask: ComplementaryMask | None) -> dict[str, dict[str, Tensor]]:
    """Return the features of each of `PARTS`, by part and modality; without a mask all of them and no other part.

    Args:
        features: Features to fuse, by modality, ``(batch, latent, height, width)``.
        mask: Mask of the fused features, in the order of their modalities.
    """
    whole = dict(features)
    if mask is None:
        return {"all": whole}
    kept = {name: mask.complementary(values, name) for name, values in whole.items()}
    closed = {name: mask.contradictory(values, name) for name, values in whole.items()}
    exchanged = {name: kept[name] + closed[name].roll(1, 0) for name in whole}
    return dict(zip(PARTS, (whole, kept, closed, exchanged), strict=True))


@torch.no_grad()
def reconstruct(model: FusionModel, inputs: Mapping[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    """Return x-tilde of each part, by part and modality, ``(batch, *shape)``, standardised as the inputs are.

    Args:
        model: Network in evaluation mode; one without decoders gives nothing.
        inputs: Modality name to samples.
    """
    if not model.decoders:
        return {}
    output: FusionOutput = model(inputs)
    return {
        part: {name: model.decoders[name](values) for name, values in features.items()}
        for part, features in parts_of(output.features, model.mask).items()
    }


@torch.no_grad()
def predict(model: FusionModel, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return what the head makes of each part of the fused features, by part: scores as in `FusionOutput`.

    The network's own prediction is the one from the complementary channels; without a mask, from all.

    Args:
        model: Network in evaluation mode.
        inputs: Modality name to samples.
    """
    output: FusionOutput = model(inputs)
    mask = model.mask
    if mask is None or mask.fusion is None:
        return {"all": output.prediction}
    whole: Tensor = mask.fusion(output.features)
    parts = (whole, mask.complementary(whole), mask.contradictory(whole), mask.exchange(whole))
    return {name: model.head(part) for name, part in zip(PARTS, parts, strict=True)}
