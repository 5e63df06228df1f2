"""What a page is made of, and how numbers are written on it."""

import json
import math
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup


@dataclass(frozen=True)
class Figure:
    """A figure and what stands under it."""

    body: Markup
    caption: str


@dataclass(frozen=True)
class Table:
    """A table.

    Args:
        caption: Above it.
        head: Headers of the columns; the first column names the rows.
        rows: Rows as words.
    """

    caption: str
    head: list[str]
    rows: list[list[str]]


def number(value: float | None) -> str:
    """Write a number with three digits that count; None is "undefined"."""
    return "undefined" if value is None else f"{value:.3g}"


def percent(value: float) -> str:
    """Write a percentage with one digit; NaN is "-"."""
    return "-" if math.isnan(value) else f"{value:.1f}"


def cell(value: Any) -> str:
    """Write what a JSON file holds for a table; None is "-"."""
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.6g}"
    return value if isinstance(value, str) else json.dumps(value)
