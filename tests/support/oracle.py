"""A second reading of the paper's equations: NumPy, float64, loops. Nothing here comes from the library."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def square_error(first: Array, second: Array) -> float:
    """Mean of the squared differences."""
    total = 0.0
    for a, b in zip(first.ravel(), second.ravel(), strict=True):
        total += (float(a) - float(b)) ** 2
    return total / first.size


def reconstruction(inputs: Mapping[str, Array], outputs: Mapping[str, Array]) -> float:
    """Eq. 2: the mean square error of each modality, added up."""
    return sum(square_error(inputs[name], outputs[name]) for name in inputs)


def cross_entropy(scores: Array, labels: Sequence[int], counts: Sequence[float] | None = None) -> float:
    """Eq. 4, averaged over the batch, each sample counted so often."""
    total = 0.0
    for row, label, count in zip(scores, labels, counts or [1.0] * len(labels), strict=True):
        top = max(row)
        total -= count * (row[label] - top - math.log(sum(math.exp(value - top) for value in row)))
    return total / len(labels)


def penalty(omega: Array) -> float:
    """Eq. 5 without lambda."""
    return float(sum(float(value) for value in omega))


def gate(omega: Array, threshold: float) -> Array:
    """The small omega of Eq. 6; a NaN is not above the threshold."""
    return np.array([1.0 if value > threshold else 0.0 for value in omega])


def masked(features: Array, omega: Array, threshold: float, channel_dim: int) -> Array:
    """Sec. 3.2: each channel times its small omega."""
    moved = np.moveaxis(features.astype(np.float64), channel_dim, 0).copy()
    for channel, value in enumerate(gate(omega, threshold)):
        moved[channel] *= value
    return np.moveaxis(moved, 0, channel_dim)


def kept(omegas: Mapping[str, Array], threshold: float) -> dict[str, float]:
    """Eq. 6 as printed: percent of the modality's own channels."""
    return {name: 100.0 * float(gate(omega, threshold).sum()) / len(omega) for name, omega in omegas.items()}


def complementary(omegas: Mapping[str, Array], threshold: float) -> dict[str, float]:
    """Eq. 6 as in Table 2 and Eq. 8: percent of the fused space."""
    width = sum(len(omega) for omega in omegas.values())
    return {name: 100.0 * float(gate(omega, threshold).sum()) / width for name, omega in omegas.items()}


def contradictory(omegas: Mapping[str, Array], threshold: float) -> dict[str, float]:
    """The same for the channels that are not kept."""
    width = sum(len(omega) for omega in omegas.values())
    return {
        name: 100.0 * sum(1 for value in gate(omega, threshold) if value == 0) / width
        for name, omega in omegas.items()
    }


def zeta(shares: Sequence[float]) -> float:
    """Eq. 7: the smallest share over the largest one."""
    if len(shares) < 2 or max(shares) == 0:
        return math.nan
    return min(shares) / max(shares)


def nearest(vectors: Array, codebook: Array) -> NDArray[np.int64]:
    """Sec. 3.1: the index of the code at the smallest distance."""
    picked = []
    for vector in vectors.astype(np.float64):
        distances = ((codebook.astype(np.float64) - vector) ** 2).sum(1)
        picked.append(int(np.flatnonzero(distances == distances.min())[0]))
    return np.array(picked, dtype=np.int64)


def perplexity(counts: Sequence[float]) -> float:
    """The exponential of the entropy of how often each code is used."""
    total = float(sum(counts))
    shares = [count / total for count in counts if count > 0]
    return math.exp(-sum(share * math.log(share) for share in shares))


def moving_average(
    codebook: Array, counts: Array, vectors: Array, indices: Sequence[int], decay: float, epsilon: float
) -> tuple[Array, Array]:
    """One step of codebook and counts: smoothing is in the division only, a code without hits stays.

    The running sum of a code's vectors is its count times the code.
    """
    codebook, counts = codebook.astype(np.float64).copy(), counts.astype(np.float64).copy()
    sums = counts[:, None] * codebook
    hits, added = np.zeros(len(codebook)), np.zeros(codebook.shape)
    for vector, index in zip(vectors.astype(np.float64), indices, strict=True):
        hits[index] += 1
        added[index] += vector
    counts = decay * counts + (1 - decay) * hits
    sums = decay * sums + (1 - decay) * added
    total = counts.sum()
    for code in range(len(codebook)):
        if hits[code]:
            smooth = (counts[code] + epsilon) / (total + len(codebook) * epsilon) * total
            codebook[code] = sums[code] / smooth
    return codebook, counts


def pooled(weights: Sequence[float], scores: Sequence[Array]) -> Array:
    """Logarithmic pool: log-probabilities, one row per sample."""
    mixed = sum(weight * each.astype(np.float64) for weight, each in zip(weights, scores, strict=True))
    tops = [max(row) for row in mixed]
    sums = [
        top + math.log(sum(math.exp(value - top) for value in row))
        for row, top in zip(mixed, tops, strict=True)
    ]
    return np.array([row - total for row, total in zip(mixed, sums, strict=True)])


def balanced(labels: Sequence[int]) -> list[float]:
    """How often each sample counts if each class that occurs is to count the same, on average once."""
    classes = set(labels)
    return [len(labels) / (len(classes) * list(labels).count(label)) for label in labels]


def pool_objective(
    weights: Sequence[float],
    scores: Sequence[Array],
    labels: Sequence[int],
    ridge: float,
    counts: Sequence[float] | None = None,
) -> float:
    """What the weights of a pool make small: mean negative log-likelihood, and the pull towards equal weights."""
    pull = sum((weight - 1 / len(weights)) ** 2 for weight in weights)
    return cross_entropy(pooled(weights, scores), labels, counts) + ridge / 2 * pull
