"""Data sets, each read once by a process, however many of its runs ask for it."""

import json
from collections.abc import Mapping
from functools import lru_cache

from examples.data import load
from examples.data.contract import MultimodalData
from examples.data.place import Place


def loaded(name: str, place: Place, *, seed: int, options: Mapping[str, object]) -> MultimodalData:
    """Return a data set as `examples.data.load` does, the same object where it was asked for before."""
    return _loaded(name, place, seed, json.dumps(options))


@lru_cache(maxsize=8)  # a few seeds
def _loaded(name: str, place: Place, seed: int, options: str) -> MultimodalData:
    return load(name, place, seed=seed, options=json.loads(options))
