"""The ways in which runs are pooled again, by name."""

AS_TRAINED = "as trained"
NOT_JOINED = "without the joint network"
NOT_TOGETHER = "without the network trained together"
ALONE_ONLY = "each alone only"
TOGETHER_ONLY = "the network trained together only"
BEST = "the best head on validation"
EQUAL = "equal weights"
OTHER_BALANCE = "every class counts the same, where every target does, and the other way round"
ORACLE = "weights fitted to the test part"
RIDGES = {"ridge 0.001": 0.001, "ridge 0.1": 0.1}
"""Other strengths of the pull towards equal weights than the recipe's 0.01."""
RIDGE_LOW, RIDGE_HIGH = RIDGES


def missing(modality: str) -> str:
    """Return the name of the pool of what is left without a modality."""
    return f"{modality} missing"


def missing_together(modality: str) -> str:
    """Return the name of the network trained together with a modality at its mean."""
    return f"{modality} missing, network trained together"
