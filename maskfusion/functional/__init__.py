"""The equations of the paper, each a pure function that names its number.

Modules hold state and call these. Equation numbers are those of CM-VQVAE (Tejero-de-Pablos, WACV 2024).
"""

from maskfusion.functional.gates import hard_gate, random_gate, soft_gate, ternary_gate
from maskfusion.functional.gradients import rotation_trick, straight_through, unit_length
from maskfusion.functional.multiply import apply_gate
from maskfusion.functional.nearest import nearest_code
from maskfusion.functional.penalties import absolute_sum, mask_penalty, positive_sum, signed_sum
from maskfusion.functional.perplexity import perplexity
from maskfusion.functional.shares import complementarity, kept_ratio

__all__ = [
    "absolute_sum",
    "apply_gate",
    "complementarity",
    "hard_gate",
    "kept_ratio",
    "mask_penalty",
    "nearest_code",
    "perplexity",
    "positive_sum",
    "random_gate",
    "rotation_trick",
    "signed_sum",
    "soft_gate",
    "straight_through",
    "ternary_gate",
    "unit_length",
]
