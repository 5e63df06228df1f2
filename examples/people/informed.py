"""How far an answer is informed, class by class: right answers, corrected for chance and for a liking of some answers."""

import numpy as np
from numpy.typing import NDArray

Table = NDArray[np.float64]


def informedness(confusion: Table) -> Table:
    r"""Return how informed the answers are, ``(classes,)``: 1 where all are right, 0 for whoever does not look, whatever they like to say.

    .. math:: J_k = P(\text{said } k \mid k) - \frac{1}{K - 1} \sum_{j \ne k} P(\text{said } k \mid j)

    Its mean over the classes is the accuracy :math:`a` of a test with equally many samples of each, corrected for chance,
    :math:`(a - 1/K) / (1 - 1/K)`.

    Args:
        confusion: Number of times each class was taken for each, ``(classes, classes)``: a true class is a row, an answer a
            column. Every row has some.

    Reference: W. Youden, "Index for rating diagnostic tests", Cancer 1950, with the other classes weighing equally.
    """
    rates = confusion / confusion.sum(axis=1, keepdims=True)
    right = np.diag(rates)
    wrong: Table = (rates.sum(axis=0) - right) / (len(rates) - 1)
    return right - wrong


def answers(classes: NDArray[np.int64], target: NDArray[np.int64], count: int) -> Table:
    """Return the confusion of one answer per sample, ``(count, count)``.

    Args:
        classes: Answers, ``(samples,)``.
        target: Classes, ``(samples,)``.
        count: Number of classes.
    """
    return opinions(np.eye(count)[classes], target)


def opinions(shares: Table, target: NDArray[np.int64]) -> Table:
    """Return the confusion of answers that are shared out over the classes.

    Args:
        shares: Part of the answer that each class gets, ``(samples, classes)``.
        target: Classes, ``(samples,)``.
    """
    confusion = np.zeros((shares.shape[1], shares.shape[1]))
    np.add.at(confusion, target, shares)
    return confusion


def majority(votes: NDArray[np.int64]) -> Table:
    """Return what most raters chose, ``(samples, classes)``; classes with equally many votes share it.

    Args:
        votes: Number of raters that chose each class, ``(samples, classes)``.
    """
    most = votes == votes.max(axis=1, keepdims=True)
    shared: Table = most / most.sum(axis=1, keepdims=True)
    return shared
