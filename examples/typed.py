"""Values and files whose types are checked: pydantic looks, this says in sentences what is wrong where."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from difflib import get_close_matches
from pathlib import Path
from reprlib import repr as shortened
from typing import Any, TypeVar, get_args, get_type_hints

from pydantic import ConfigDict, TypeAdapter, ValidationError

from examples.errors import UserError

T = TypeVar("T")

KNOWN_KEYS = ConfigDict(extra="forbid")
"""For a dataclass that people fill in: keys that it does not have are refused."""
WRITTEN = ConfigDict(extra="forbid", strict=True)
"""For a dataclass that a command wrote: nothing is converted either."""

_SHOWN = 3  # faults; more are counted
_UNION = {
    "bool",
    "int",
    "float",
    "str",
    "list[int]",
    "list[str]",
    "dict[str,str]",
}  # types that a value may have, in a fault's place
_SAYS = "Input should be "
_RULES = {
    "greater_than_equal": "at least {ge:g}",
    "greater_than": "above {gt:g}",
    "less_than_equal": "at most {le:g}",
    "less_than": "below {lt:g}",
}


def build(kind: type[T], values: Mapping[str, Any], where: str = "") -> T:
    """Return a dataclass made from a mapping, the types of all values checked, also of those inside others.

    Args:
        kind: The dataclass.
        values: Fields by name.
        where: Beginning of the message, such as the name of a file.

    Raises:
        UserError: A key is missing or unknown, or a value is not of its type; names them.
    """
    with explained(kind, where):
        return TypeAdapter(kind).validate_python(values)


def read(kind: type[T], path: Path, command: str) -> T:
    """Return a dataclass made from a file of results.

    Args:
        kind: The dataclass.
        path: The JSON file.
        command: Command that writes the file.

    Raises:
        UserError: There is none, or it is not such a file; says what is wrong.
    """
    if not path.is_file():
        raise UserError(f"No results at '{path}'. `{command}` writes them.")
    with explained(kind, f"'{path}' is not what `{command}` writes"):
        return TypeAdapter(kind).validate_json(path.read_bytes())


def write(path: Path, values: Mapping[str, Any], entries: str) -> None:
    """Write a file of results, and the folder it lies in: settings first, then one line for each of many entries.

    Args:
        path: The JSON file.
        values: Content of the file; no NaN.
        entries: Key of the list that gets one line an entry; it comes last.
    """
    lines = ",\n".join(json.dumps(entry, allow_nan=False) for entry in values[entries])
    rest = {key: value for key, value in values.items() if key != entries}
    head = json.dumps(rest, indent=1, allow_nan=False).removesuffix("\n}")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f'{head},\n "{entries}": [\n{lines}\n ]\n}}\n', encoding="utf-8")


@contextmanager
def explained(kind: Any, where: str = "") -> Iterator[None]:
    """Turn what pydantic says of a value into sentences, and begin each error of ours with the place it comes from.

    Args:
        kind: The dataclass that is read.
        where: Beginning of the message, as in `build`.

    Raises:
        UserError: In place of what was raised inside the context.
    """
    start = f"{where}: " if where else ""
    try:
        yield
    except ValidationError as error:
        raise UserError(start + _sentences(error, kind)) from error
    except UserError as error:
        raise UserError(f"{start}{error}") from error


def _sentences(error: ValidationError, kind: Any) -> str:
    rules: dict[str, list[str]] = {}  # of one value may be several: one for each type that it could have had
    # A file of another format lacks much besides.
    for fault in sorted(error.errors(include_url=False), key=lambda fault: fault["loc"] != ("format",)):
        place = [step for step in fault["loc"] if step not in _UNION]
        above = f"`{_path(place[:-1])}`" if place[1:] else "It"
        match fault["type"]:
            case "missing":
                rules[f"{above} lacks '{place[-1]}'."] = []
            case "unexpected_keyword_argument":
                rules[f"{above} has the unknown key '{place[-1]}'{_hint(place, kind)}"] = []
            case "value_error":  # of a dataclass's own `__post_init__`
                rules[str(fault["ctx"]["error"])] = []
            case "json_invalid":
                rules[f"It is not JSON ({fault['ctx']['error']})."] = []
            case rule:
                words = _RULES.get(rule, "").format(**fault.get("ctx", {})) or fault["msg"].removeprefix(
                    _SAYS
                )
                subject = f"`{_path(place)}` (={shortened(fault['input'])})" if place else "It"
                rules.setdefault(f"{subject} must be ", []).append(words)
    said = [start + " or ".join(words) + ("." if words else "") for start, words in rules.items()]
    return " ".join(said[:_SHOWN]) + (f" And {len(said) - _SHOWN} more." if len(said) > _SHOWN else "")


def _hint(place: list[Any], kind: Any) -> str:
    """Return what may have been meant by a key that is unknown."""
    known = _keys(kind, place[:-1])
    near = get_close_matches(str(place[-1]), known, n=1)
    return f"; did you mean '{near[0]}'?" if near else f"; it knows {known}."


def _path(place: list[Any]) -> str:
    return ".".join(map(str, place))


def _keys(kind: Any, place: list[Any]) -> list[str]:
    """Return the names of the fields of what lies at a place inside a dataclass."""
    for step in place:
        kind = get_type_hints(kind)[step] if is_dataclass(kind) else get_args(kind)[-1]
    return sorted(key.name for key in fields(kind))
