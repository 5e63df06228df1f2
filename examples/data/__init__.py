"""Data sets by name. A new one is a function that returns `MultimodalData` and a line in `LOADERS`."""

import inspect
from collections.abc import Callable, Mapping
from pathlib import Path

from examples.data.contract import MultimodalData
from examples.data.mfeat import load_mfeat
from examples.data.utd_mhad import load_utd_mhad

LOADERS: dict[str, Callable[..., MultimodalData]] = {"mfeat": load_mfeat, "utd-mhad": load_utd_mhad}


def load(name: str, root: Path | None, *, seed: int, options: Mapping[str, object]) -> MultimodalData:
    """Load a data set by name.

    Args:
        name: A key of `LOADERS`.
        root: Where its files lie; each data set has its default.
        seed: For data sets whose split is drawn.
        options: Further arguments of that data set's loader.
    """
    if name not in LOADERS:
        raise ValueError(f"`data` (='{name}') must be one of {sorted(LOADERS)}.")
    known = set(inspect.signature(LOADERS[name]).parameters) - {"root", "seed"}
    unknown = sorted(set(options) - known)
    if unknown:
        raise ValueError(f"`data_options` has unknown keys {unknown}; '{name}' knows {sorted(known)}.")
    return LOADERS[name](root, seed=seed, **options)
