"""The records of all epochs of a run; a file has a column for each of their numbers, so that it says each name once."""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Annotated, Any, TypeAlias

from pydantic import BeforeValidator
from pydantic.dataclasses import dataclass

from examples.typed import WRITTEN

_BY_NAME = (
    "loss",
    "complementary",
    "perplexity",
    "validation",
)  # fields of an `EpochRecord` that are mappings


@dataclass(frozen=True, config=WRITTEN)
class EpochRecord:
    """What one epoch ended with.

    Args:
        loss: Mean of each term of Eq. 1 over the epoch, unweighted, and of their weighted sum, `total`.
        complementary: Open channels of each modality in percent of the fused space, Eq. 8; empty without mask.
        zeta: Complementarity, Eq. 7; None where it is undefined.
        flipped: Channels that opened or closed since the epoch before.
        perplexity: Mean over the epoch, by modality; empty without quantisers.
        validation: Task loss and score in percent on the validation part; empty without one.
        mask: One character a channel, ``1`` is open, in the order of the modalities; empty without mask.
    """

    loss: dict[str, float]
    complementary: dict[str, float]
    zeta: float | None
    flipped: int
    perplexity: dict[str, float]
    validation: dict[str, float]
    mask: str


def columns_of(records: Sequence[EpochRecord]) -> dict[str, Any]:
    """Return a list over the epochs for each number; None where an epoch lacks it."""
    if not records:
        return {}
    columns: dict[str, Any] = {}
    for key in (key.name for key in fields(EpochRecord)):
        values = [getattr(record, key) for record in records]
        if key in _BY_NAME:
            names = dict.fromkeys(name for value in values for name in value)
            columns[key] = {name: [value.get(name) for value in values] for name in names}
        else:
            columns[key] = values
    return columns


def _rows(written: Any) -> Any:
    """Return what `columns_of` was made from; what is no columns stays."""
    if not isinstance(written, Mapping):
        return written
    rows: list[dict[str, Any]] = [{} for _ in written.get("mask", ())]
    for key, values in written.items():
        for number, row in enumerate(rows):
            if key in _BY_NAME:
                there = {name: column[number] for name, column in values.items()}
                row[key] = {name: value for name, value in there.items() if value is not None}
            else:
                row[key] = values[number]
    return rows


Epochs: TypeAlias = Annotated[list[EpochRecord], BeforeValidator(_rows)]
"""As a file of results has them, in columns, or as the file of one run has them, one after the other."""
