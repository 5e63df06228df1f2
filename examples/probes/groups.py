"""What two samples may share, so that a probe does not learn from one and is asked about the other."""

import re

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from examples.data.contract import MultimodalData, Samples

TOGETHER = ("image", "scene")
"""Side labels that say what a sample was cut from. Samples that share it stay together, and it is not probed."""
_PAIR = re.compile(r"(\w+ \S+), (\w+ \S+)")  # as `av-digits` and `digits` name them: "mnist 7, fsdd 3_theo_4"


def groups_of(data: MultimodalData, samples: Samples, positions: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the number of the group of each sample; what folds keep together.

    Tiles of one image are a group, and so are pairs that share a clip or a picture, directly or through other pairs.
    Everything else, such as a clip with its own depth and skeleton, is a group of its own.

    Args:
        data: Has the names of all samples.
        samples: Some of them.
        positions: Positions of these among all, ``(samples,)``.
    """
    for label in TOGETHER:
        if label in samples.labels:
            return np.unique(samples.labels[label].numpy(), return_inverse=True)[1].astype(np.int64)
    pairs = [_PAIR.fullmatch(data.names[position]) for position in positions] if data.names else []
    if not pairs or not all(pairs):
        return np.arange(len(positions), dtype=np.int64)
    sides = [[pair[side] for pair in pairs if pair] for side in (1, 2)]
    left, right = (np.unique(side, return_inverse=True)[1] for side in sides)
    return _components(left, right)


def _components(left: NDArray[np.int64], right: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the number of the connected part that each pair lies in."""
    nodes = int(left.max() + right.max()) + 2
    links = coo_array((np.ones(len(left)), (left, left.max() + 1 + right)), shape=(nodes, nodes))
    part = connected_components(links, directed=False)[1]
    return np.unique(part[left], return_inverse=True)[1].astype(np.int64)
