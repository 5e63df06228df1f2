"""Data sets by name. A new one is a file with two functions, and a line in `DATA_SETS`."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from examples.data.contract import MultimodalData
from examples.data.place import Finding, Place
from examples.data.sets import (
    arrays,
    av_digits,
    crema_d,
    crema_d_votes,
    cwfid,
    digits,
    grid,
    mfeat,
    nyuv2,
    penn_action,
    rml,
    synthetic,
    utd_mhad,
)
from examples.errors import UserError


@dataclass(frozen=True)
class DataSet:
    """What a file of `sets` offers.

    Args:
        load: ``(place, *, seed, **options)``, returns the data, split.
        check: Looks at layout and counts, without decoding everything. Raises what `load` would raise. Takes a place, and with
            `identify` the options of `load`, which say what the files are.
        source: Sentences that say where to get it.
        identify: Options of `load` that tell the files at a place from others of their form, so that no run is taken for one on
            other data; None for data that is known.
    """

    load: Callable[..., MultimodalData]
    check: Callable[..., list[Finding]]
    source: str
    identify: Callable[[Place], dict[str, str]] | None = None


DATA_SETS: dict[str, DataSet] = {
    "arrays": DataSet(arrays.load_arrays, arrays.check_arrays, arrays.SOURCE, arrays.identify_arrays),
    "av-digits": DataSet(av_digits.load_av_digits, av_digits.check_av_digits, av_digits.SOURCE),
    "crema-d": DataSet(crema_d.load_crema_d, crema_d.check_crema_d, crema_d.SOURCE),
    "crema-d-votes": DataSet(
        crema_d_votes.load_crema_d_votes, crema_d_votes.check_crema_d_votes, crema_d_votes.SOURCE
    ),
    "cwfid": DataSet(cwfid.load_cwfid, cwfid.check_cwfid, cwfid.SOURCE),
    "digits": DataSet(digits.load_digits, digits.check_digits, digits.SOURCE),
    "grid": DataSet(grid.load_grid, grid.check_grid, grid.SOURCE),
    "mfeat": DataSet(mfeat.load_mfeat, mfeat.check_mfeat, mfeat.SOURCE),
    "nyuv2": DataSet(nyuv2.load_nyuv2, nyuv2.check_nyuv2, nyuv2.SOURCE),
    "penn-action": DataSet(penn_action.load_penn_action, penn_action.check_penn_action, penn_action.SOURCE),
    "rml": DataSet(rml.load_rml, rml.check_rml, rml.SOURCE),
    "synthetic": DataSet(synthetic.load_synthetic, synthetic.check_synthetic, synthetic.SOURCE),
    "utd-mhad": DataSet(utd_mhad.load_utd_mhad, utd_mhad.check_utd_mhad, utd_mhad.SOURCE),
}


def find(name: str) -> DataSet:
    """Return a data set by name."""
    if name not in DATA_SETS:
        raise UserError(f"`data` (='{name}') must be one of {sorted(DATA_SETS)}.")
    return DATA_SETS[name]


def load(name: str, place: Place, *, seed: int, options: Mapping[str, object]) -> MultimodalData:
    """Load a data set by name.

    Args:
        name: A key of `DATA_SETS`.
        place: Folder of its files; each data set has its default.
        seed: Seed of the split, for data sets that draw it.
        options: Further arguments of that data set's loader.
    """
    return _knowing(name, options).load(place, seed=seed, **options)


def check(name: str, place: Place, *, options: Mapping[str, object]) -> list[Finding]:
    """Look at the files of a data set by name.

    Args:
        name: A key of `DATA_SETS`.
        place: Folder of its files; each data set has its default.
        options: Further arguments of that data set's loader. Of data that is known all files are looked at, whatever they say.
    """
    data_set = _knowing(name, options)
    return data_set.check(place) if data_set.identify is None else data_set.check(place, **options)


def _knowing(name: str, options: Mapping[str, object]) -> DataSet:
    """Return a data set, whose loader has these options."""
    data_set = find(name)
    known = set(inspect.signature(data_set.load).parameters) - {"place", "seed"}
    unknown = sorted(set(options) - known)
    if unknown:
        raise UserError(f"`data_options` has unknown keys {unknown}; '{name}' knows {sorted(known)}.")
    return data_set
