"""A linear probe that is cross-validated, what it is measured by, and two checks of what it is worth."""

import math

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from examples.probes.features import Numbers, Values

Fold = tuple[Numbers, Numbers]
_ITERATIONS = 2000


def folds_of(labels: Numbers, groups: Numbers, folds: int, *, seed: int) -> list[Fold]:
    """Return positions to learn from and to ask about for each fold.

    Every label has about the same share in every fold, and no group is on both sides of one.

    Args:
        labels: ``(samples,)``.
        groups: Groups that must not be on both sides, ``(samples,)``.
        folds: Number of folds.
        seed: Seed of the order.
    """
    splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    return list(splitter.split(labels[:, None], labels, groups))


def common_enough(labels: Numbers, groups: Numbers, least: int) -> NDArray[np.bool_]:
    """Return which samples have a label that is known, not below 0, and that at least `least` groups have."""
    wanted = np.zeros(len(labels), dtype=np.bool_)
    for label in np.unique(labels[labels >= 0]):
        has = labels == label
        if len(np.unique(groups[has])) >= least:
            wanted |= has
    return wanted


def accuracy(features: Values, labels: Numbers, folds: list[Fold], strength: float) -> float:
    """Return how many labels a linear probe gets right, each asked about once, percent.

    The probe is a multinomial logistic regression on features that are standardised by the samples it learns from.

    Args:
        features: ``(samples, channels)``.
        labels: ``(samples,)``.
        folds: Folds from `folds_of`.
        strength: C, the inverse weight of the squared norm of the probe's weights.
    """
    right = 0
    for learned, asked in folds:
        if len(np.unique(labels[learned])) == 1:
            guessed = np.full(len(asked), labels[learned][0])
        else:
            probe = make_pipeline(StandardScaler(), LogisticRegression(C=strength, max_iter=_ITERATIONS))
            guessed = probe.fit(features[learned], labels[learned]).predict(features[asked])
        right += int((guessed == labels[asked]).sum())
    return 100 * right / sum(len(asked) for _, asked in folds)


def chance(labels: Numbers, folds: list[Fold]) -> float:
    """Return how many labels the most frequent label of each fold's learned samples gets right, percent."""
    right = 0
    for learned, asked in folds:
        values, counts = np.unique(labels[learned], return_counts=True)
        right += int((labels[asked] == values[counts.argmax()]).sum())
    return 100 * right / sum(len(asked) for _, asked in folds)


def control_labels(types: Numbers, labels: Numbers, random: np.random.Generator) -> Numbers:
    """Return the labels of a control task: those of the types, dealt out to the types anew at random.

    All samples of a type have the same one, so a probe can learn it by heart and in no other way; and each label is as
    frequent among the types as it was. Accuracy less accuracy on the control task is the probe's selectivity.

    Args:
        types: Number of the type of each sample; all samples of a type have one label, ``(samples,)``.
        labels: The real ones, ``(samples,)``.
        random: Deals.

    Reference: J. Hewitt, P. Liang, Designing and Interpreting Probes with Control Tasks, EMNLP 2019, Sec. 2. There the
    labels are drawn, not dealt, so that some may be more frequent.
    """
    _, first, type_of = np.unique(types, return_index=True, return_inverse=True)
    dealt: Numbers = random.permutation(labels[first])[type_of]
    return dealt


def wilson(percent: float, trials: int, level: float = 0.95) -> tuple[float, float]:
    """Return the ends of Wilson's interval of a share, percent.

    Args:
        percent: The share.
        trials: Number of independent trials it comes from.
        level: Level of confidence.
    """
    share, z = percent / 100, float(ndtri((1 + level) / 2))
    middle = share + z * z / (2 * trials)
    half = z * math.sqrt(share * (1 - share) / trials + z * z / (4 * trials * trials))
    scale = 1 + z * z / trials
    return max(0.0, 100 * (middle - half) / scale), min(100.0, 100 * (middle + half) / scale)
