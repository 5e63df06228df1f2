"""A file of results: what each says of where it comes from, and how it is read and written."""

from dataclasses import asdict
from pathlib import Path
from typing import Any, ClassVar, Self

from pydantic.dataclasses import dataclass

from examples.typed import WRITTEN, read, write


@dataclass(frozen=True, config=WRITTEN, kw_only=True)
class ResultsFile:
    """A dataclass that is a file of results, written by one command; `examples.results.origin.origin` returns these fields.

    Args:
        command: Command that was typed.
        versions: Versions of Python and the packages that matter.
        machine: Machine in words.
        seconds: Wall-clock time of the command.
    """

    ENTRIES: ClassVar[str]
    """Field with one line per entry in the file; it comes last."""
    COMMAND: ClassVar[str]

    command: str
    versions: dict[str, str]
    machine: str
    seconds: float

    def values(self) -> dict[str, Any]:
        """Return the content of the file."""
        return asdict(self)

    def write(self, path: Path) -> None:
        """Write the file, one line per entry, and the folder it lies in."""
        write(path, self.values(), self.ENTRIES)

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read the file.

        Raises:
            UserError: There is none, or it is not a file of this format; says what is wrong.
        """
        return read(cls, path, cls.COMMAND)
