"""Results as JSON: settings first, then one line for each of many entries; every key is checked when it is read."""

import json
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any


def write_results(path: Path, values: Mapping[str, Any], entries: str) -> None:
    """Write a file, and the folder it lies in.

    Args:
        path: Of the file.
        values: What it holds; no NaN.
        entries: Key of the list that gets one line an entry; it comes last.
    """
    lines = ",\n".join(json.dumps(entry, allow_nan=False) for entry in values[entries])
    rest = {key: value for key, value in values.items() if key != entries}
    head = json.dumps(rest, indent=1, allow_nan=False).removesuffix("\n}")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f'{head},\n "{entries}": [\n{lines}\n ]\n}}\n', encoding="utf-8")


def read_results(path: Path, *, number: int, entries: str, command: str) -> dict[str, Any]:
    """Read what `write_results` wrote.

    Args:
        path: Of the file.
        number: Its `format` must be this one.
        entries: Key of its list.
        command: What writes it.

    Raises:
        FileNotFoundError: There is none.
        ValueError: It is not such a file; says what is wrong.
    """
    if not path.is_file():
        raise FileNotFoundError(f"No results at '{path}'. `{command}` writes them.")
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise ValueError(f"'{path}' is not JSON ({error}).") from error
    if not isinstance(raw, dict) or raw.get("format") != number or not isinstance(raw.get(entries), list):
        raise ValueError(f"'{path}' is not a file of format {number} that `{command}` wrote.")
    return raw


def checked(kind: type[Any], raw: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """Return the keys of a dataclass, all of them and no other.

    Raises:
        ValueError: Some are missing, or unknown; names them.
    """
    known = {key.name for key in fields(kind)}
    if set(raw) != known:
        lacks, extra = sorted(known - set(raw)), sorted(set(raw) - known)
        raise ValueError(f"'{path}': a {kind.__name__} lacks {lacks} and has unknown keys {extra}.")
    return dict(raw)
