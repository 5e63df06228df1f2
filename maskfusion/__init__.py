"""A learned channel mask for the fused features of any network, against multimodal overfitting.

In your own training loop::

    import maskfusion as mf

    example = next(iter(loader))[0]  # what the model is called with, by name
    mask = mf.attach(model, {"image": "image_encoder", "audio": "audio_encoder"}, example)
    tracker = mf.ComplementarityTracker(model)
    for x, y in loader:
        loss = criterion(model(**x), y) + 1e-3 * mask.penalty()
        ...
    tracker.update()
    print(tracker)
"""

from maskfusion import contribution as contribution
from maskfusion import functional as functional
from maskfusion.compact.door import compact as compact
from maskfusion.contribution import Contributions as Contributions
from maskfusion.contribution import measure_contributions as measure_contributions
from maskfusion.functional import absolute_sum as absolute_sum
from maskfusion.functional import hard_gate as hard_gate
from maskfusion.functional import positive_sum as positive_sum
from maskfusion.functional import random_gate as random_gate
from maskfusion.functional import rotation_trick as rotation_trick
from maskfusion.functional import signed_sum as signed_sum
from maskfusion.functional import soft_gate as soft_gate
from maskfusion.functional import straight_through as straight_through
from maskfusion.functional import ternary_gate as ternary_gate
from maskfusion.functional import unit_length as unit_length
from maskfusion.mask.attach import attach as attach
from maskfusion.mask.attach import detach as detach
from maskfusion.mask.mask import ComplementaryMask as ComplementaryMask
from maskfusion.mask.wiring import Wiring as Wiring
from maskfusion.mask.wiring import WiringWarning as WiringWarning
from maskfusion.mask.wiring import check as check
from maskfusion.quantizer.product import ProductQuantizer as ProductQuantizer
from maskfusion.quantizer.projected import ProjectedQuantizer as ProjectedQuantizer
from maskfusion.quantizer.quantized import Quantized as Quantized
from maskfusion.quantizer.quantizer import VectorQuantizer as VectorQuantizer
from maskfusion.quantizer.residual import ResidualQuantizer as ResidualQuantizer
from maskfusion.training.held_out import HeldOutMasks as HeldOutMasks
from maskfusion.training.loss import ComplementaryLoss as ComplementaryLoss
from maskfusion.training.loss import LossTerms as LossTerms
from maskfusion.training.parameter_groups import parameter_groups as parameter_groups
from maskfusion.training.penalty import PenaltyHandle as PenaltyHandle
from maskfusion.training.penalty import penalize as penalize
from maskfusion.training.penalty import total_penalty as total_penalty
from maskfusion.training.pool import LogarithmicPool as LogarithmicPool
from maskfusion.training.schedules import ConstantPenalty as ConstantPenalty
from maskfusion.training.schedules import PenaltySchedule as PenaltySchedule
from maskfusion.training.schedules import SteeredPenalty as SteeredPenalty
from maskfusion.training.schedules import WarmupPenalty as WarmupPenalty
from maskfusion.training.tracked import Tracked as Tracked
from maskfusion.training.tracker import ComplementarityTracker as ComplementarityTracker
from maskfusion.training.warm_start import warm_start as warm_start
from maskfusion.training.watch import CollapseWarning as CollapseWarning
from maskfusion.training.watch import MaskWarning as MaskWarning
from maskfusion.training.watch import NotFiniteWarning as NotFiniteWarning
from maskfusion.training.watch import StuckWarning as StuckWarning
from maskfusion.training.watch import UnsettledWarning as UnsettledWarning
from maskfusion.training.watch import UnusedMaskWarning as UnusedMaskWarning

__all__ = [
    "CollapseWarning",
    "ComplementarityTracker",
    "ComplementaryLoss",
    "ComplementaryMask",
    "ConstantPenalty",
    "Contributions",
    "HeldOutMasks",
    "LogarithmicPool",
    "LossTerms",
    "MaskWarning",
    "NotFiniteWarning",
    "PenaltyHandle",
    "PenaltySchedule",
    "ProductQuantizer",
    "ProjectedQuantizer",
    "Quantized",
    "ResidualQuantizer",
    "SteeredPenalty",
    "StuckWarning",
    "Tracked",
    "UnsettledWarning",
    "UnusedMaskWarning",
    "VectorQuantizer",
    "WarmupPenalty",
    "Wiring",
    "WiringWarning",
    "absolute_sum",
    "attach",
    "check",
    "compact",
    "contribution",
    "detach",
    "functional",
    "hard_gate",
    "measure_contributions",
    "parameter_groups",
    "penalize",
    "positive_sum",
    "random_gate",
    "rotation_trick",
    "signed_sum",
    "soft_gate",
    "straight_through",
    "ternary_gate",
    "total_penalty",
    "unit_length",
    "warm_start",
]

__version__ = "0.1.0.dev0"
