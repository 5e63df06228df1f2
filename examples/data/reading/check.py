"""What `data check` says of the files themselves: their first bytes, all of them, and what a few samples hold."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from examples.data.place import Finding
from examples.data.reading.cache import Decoding
from examples.data.reading.files import look, why_unreadable

_SAMPLES = 8  # that are decoded
_REASONS = 3  # that a line tells


def first_bytes(what: str, paths: Sequence[Path]) -> Finding:
    """Look at size and first bytes of files."""
    return _summary(
        f"{what}: size and first bytes",
        "looked at",
        len(paths),
        [why for path in paths if (why := why_unreadable(partial(look, path)))],
    )


def sampled(decoding: Decoding) -> Finding:
    """Decode a few samples, evenly spaced, and write nothing."""
    count = len(decoding.items)
    tried = min(_SAMPLES, count)
    chosen = [decoding.items[number * count // tried] for number in range(tried)]
    told = {
        item.name: why_unreadable(item.look) or why_unreadable(partial(decoding.decode, item))
        for item in chosen
    }
    reasons = [f"{name}: {why}" for name, why in told.items() if why]
    return _summary("content of some samples", "decoded", len(chosen), reasons)


def _summary(what: str, done: str, count: int, reasons: Sequence[str]) -> Finding:
    more = f" ... and {len(reasons) - _REASONS:,} more" if len(reasons) > _REASONS else ""
    bad = f"{len(reasons):,} of {count:,} are bad: {'; '.join(reasons[:_REASONS])}{more}"
    return Finding(what, f"{count:,} {done}, all good", bad if reasons else f"{count:,} good", not reasons)
