"""What the numbers have to reach, and the floor that no quantiser can go below."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import prod

from tests.benchmarks.contenders import CODES, DIM, SHAPES
from tests.benchmarks.measure import Ceiling
from tests.benchmarks.small import ALIKE, BASES

Entry = Mapping[str, float]
"""``median``, ``low``, ``high`` in ms, ``peak`` in MiB, ``ratio`` of medians to the base of the group; on a GPU ``device`` in ms, the
time in which it is busy, and ``kernels``."""

SMALL = dict(zip(BASES, (1.2, 1.0, 1.3), strict=True))
"""How much longer a small step may take than the textbook's."""

NO_SLOWER = 1.05
"""The limit of "no slower": two runs of the same code differ by so much."""


@dataclass(frozen=True)
class Target:
    """One claim and what was measured."""

    group: str
    claim: str
    limit: float
    value: float
    met: bool


@dataclass(frozen=True)
class Floor:
    """Operations and bytes of one training step that cannot be avoided, and the time that they take at least."""

    operations: float
    bytes: float
    milliseconds: float
    ratio: float
    """Of our median to it; on a GPU, of the time in which it is busy."""


def targets(group: str, entries: Mapping[str, Entry], differing: float | None = None) -> list[Target]:
    """Every target of a group; ``differing`` is the share of codes that bf16 changes."""
    found = [
        Target(group, claim, limit, value, value <= limit) for claim, limit, value in _claims(group, entries)
    ]
    if differing is not None:
        found.append(Target(group, "codes that bf16 changes", 0.0, differing, differing == 0))
    return found


def _claims(group: str, entries: Mapping[str, Entry]) -> Iterator[tuple[str, float, float]]:
    def ratio(of: str, to: str, field: str = "median") -> float:
        return entries[of][field] / entries[to][field]

    if group in SMALL:
        for other in (name for name in (BASES[group], ALIKE) if name in entries):
            yield f"time over {other}", SMALL[group], ratio("ours", other, "ratio")
        return
    fields = {"time": "median"} | ({"GPU time": "device"} if "device" in next(iter(entries.values())) else {})
    for what, field in fields.items():
        if group in SHAPES:
            yield (
                f"{what} over vector-quantize-pytorch",
                1 / 8,
                ratio("ours", "vector-quantize-pytorch", field),
            )
            yield f"{what} over one-hot", 1 / 5, ratio("ours", "one-hot", field)
            yield f"{what} over bare search", 1.5, ratio("ours", "bare search", field)
            yield (
                f"bf16 autocast over float32, {what}",
                NO_SLOWER,
                ratio("ours, bf16 autocast", "ours", field),
            )
            yield f"compiled over eager, {what}", NO_SLOWER, ratio("ours, compiled", "ours", field)
        elif group == "mask":
            yield f"{what} over multiply by a constant", 1.3, ratio("ours", "multiply by a constant", field)
            yield f"compiled over eager, {what}", NO_SLOWER, ratio("ours, compiled", "ours", field)
    if group in SHAPES:
        yield "memory over vector-quantize-pytorch", 1 / 5, ratio("ours", "vector-quantize-pytorch", "peak")
    elif group == "mask":
        yield "memory over multiply by a constant", 1.1, ratio("ours", "multiply by a constant", "peak")


def floor(group: str, ours: Entry, ceiling: Ceiling) -> Floor:
    """Count a step of a shape: the products of the search, and every tensor that is read or written once.

    Forward reads the latents and writes codes and indices; backward reads gradient, latents and codes and writes a gradient; the
    codebook is read and written.
    """
    vectors = prod(SHAPES[group].size) // DIM
    operations = 2.0 * vectors * CODES * DIM
    moved = 6.0 * 4 * vectors * DIM + 8 * vectors + 2 * 4 * CODES * DIM
    least = 1e3 * max(operations / ceiling.operations, moved / ceiling.bytes)
    return Floor(operations, moved, least, ours.get("device", ours["median"]) / least)
