"""Tables that are printed, and the sentences below them."""

import textwrap
from collections.abc import Sequence

COLUMNS = 100
"""Width that what is printed fits."""


def wrapped(sentence: str) -> str:
    """Break a sentence into lines that fit."""
    return "\n".join(textwrap.wrap(sentence, COLUMNS, break_long_words=False, break_on_hyphens=False))


def aligned(rows: Sequence[Sequence[str]], words: int = 1) -> list[str]:
    """Lines of a table, whose first row is its head; the first ``words`` columns are flush left, the others, numbers, flush right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.ljust(width) if place < words else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
