"""Values that are not of their type: what is said of them, and where."""

from dataclasses import field
from pathlib import Path
from typing import Annotated

import pytest
from pydantic import Field, PositiveInt
from pydantic.dataclasses import dataclass

from examples.errors import UserError
from examples.typed import KNOWN_KEYS, build, explained, read


@dataclass(frozen=True, config=KNOWN_KEYS)
class Inner:
    size: PositiveInt
    values: dict[str, int | str] = field(default_factory=dict)


@dataclass(frozen=True, config=KNOWN_KEYS)
class Outer:
    rows: dict[str, Inner]
    share: Annotated[float, Field(ge=0, lt=1)] = 0.5

    def __post_init__(self) -> None:
        if self.share == 0.25:
            raise ValueError("`share` (=0.25) must be another one.")
        if self.share == 0.75:
            raise UserError("`share` (=0.75) must be another one.")


ROWS = {"a": {"size": 1}}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "It lacks 'rows'."),
        ({"rows": ROWS, "shares": 1}, "It has the unknown key 'shares'; did you mean 'share'?"),
        ({"rows": {"a": {"size": 1, "x": 1}}}, "`rows.a` has the unknown key 'x'; it knows ['size', 'values']."),
        ({"rows": {"a": {}}}, "`rows.a` lacks 'size'."),
        ({"rows": {"a": {"size": 0}}}, "`rows.a.size` (=0) must be above 0."),
        ({"rows": ROWS, "share": -1}, "`share` (=-1) must be at least 0."),
        ({"rows": ROWS, "share": 1}, "`share` (=1) must be below 1."),
        ({"rows": {"a": {"size": 1, "values": {"b": []}}}}, "`rows.a.values.b` (=[]) must be a valid integer or a valid string."),
        ({"rows": 3}, "`rows` (=3) must be a valid dictionary."),
        ({"rows": ROWS, "share": 0.25}, "`share` (=0.25) must be another one."),
        ({"rows": ROWS, "share": 0.75}, "`share` (=0.75) must be another one."),
        (dict.fromkeys("wxyz", 1), "It lacks 'rows'. It has the unknown key 'w'; it knows ['rows', 'share']."),
    ],
)  # fmt: skip
def test_what_is_said(values: dict[str, object], message: str):
    with pytest.raises(UserError) as caught:
        build(Outer, values, "Here")
    assert str(caught.value).startswith(f"Here: {message}")


def test_more_than_three_faults_are_counted():
    with pytest.raises(UserError, match=r"And 2 more\.$"):
        build(Outer, dict.fromkeys("wxyz", 1))


def test_what_is_right():
    assert build(Outer, {"rows": ROWS, "share": 0.1}) == Outer({"a": Inner(1)}, 0.1)


def test_other_errors_pass():
    with pytest.raises(KeyError), explained(Outer, "Here"):
        raise KeyError("a fault of the program")


def test_files(tmp_path: Path):
    path = tmp_path / "some.json"
    with pytest.raises(UserError, match=r"No results at '.*some.json'. `this` writes them."):
        read(Outer, path, "this")
    path.write_text("{")
    with pytest.raises(UserError, match=r"'.*some.json' is not what `this` writes: It is not JSON \(EOF"):
        read(Outer, path, "this")
    path.write_text('{"rows": {"a": {"size": 2}}}')
    assert read(Outer, path, "this") == Outer({"a": Inner(2)})
