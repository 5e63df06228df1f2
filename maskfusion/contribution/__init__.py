"""What each modality contributes to a trained model, measured on its predictions and independent of zeta.

Zeta counts open channels; it cannot see how much an open channel matters, nor whether another modality says the same. Here the
model is run on the same samples with modalities taken away, every set of them, and its score says what they were worth.
"""

from maskfusion.contribution.absence import left_out, mean_replaced, permuted, zeroed
from maskfusion.contribution.calls import by_keyword, by_mapping, by_position
from maskfusion.contribution.measure import measure_contributions
from maskfusion.contribution.metric import accuracy
from maskfusion.contribution.result import Contributions
from maskfusion.contribution.shapley import shapley_values

__all__ = [
    "Contributions",
    "accuracy",
    "by_keyword",
    "by_mapping",
    "by_position",
    "left_out",
    "mean_replaced",
    "measure_contributions",
    "permuted",
    "shapley_values",
    "zeroed",
]
