"""Where a data set lies, where its decoded copy goes, and what to do about files that cannot be read."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple, TypeAlias

OnError: TypeAlias = Literal["raise", "skip"]


@dataclass(frozen=True)
class Place:
    """What the command line says about files.

    Args:
        root: Folder of the data set, or its file.
        cache: Folder for decoded copies; a folder ``maskfusion-cache`` inside `root` by default.
        on_error: Whether a file that cannot be read stops the run, after all have been tried, or is left out.
    """

    root: Path | None = None
    cache: Path | None = None
    on_error: OnError = "raise"

    def file(self, name: str) -> Path:
        """Return the file called `name` in the root, or the root where that is a file itself."""
        return self.root if self.root is not None and self.root.is_file() else self.folder() / name

    def folder(self) -> Path:
        """Return the root; the current folder where none was named, and a file's own where it is one."""
        root = Path() if self.root is None else self.root
        return root.parent if root.is_file() else root

    def copies(self) -> Path:
        """Return the folder for decoded copies."""
        return self.cache or self.folder() / "maskfusion-cache"


class Finding(NamedTuple):
    """One line of what `data check` says.

    Attributes:
        what: A file, a folder or a count.
        expected: Words for what should be there.
        found: Words for what is there.
        good: Whether that will do.
    """

    what: str
    expected: str
    found: str
    good: bool


def counted(what: str, unit: str, found: int, expected: int) -> Finding:
    """Return what `data check` says of a count."""
    return Finding(what, f"{expected:,} {unit}", f"{found:,}", found == expected)


def none_of(what: str, names: Sequence[str]) -> Finding:
    """Return what `data check` says of things that should not be there."""
    listed = ", ".join(names[:5]) + (f" ... ({len(names):,})" if len(names) > 5 else "")
    return Finding(what, "none", listed or "none", not names)


def looked_in(place: Place, what: str = "the data set") -> Finding:
    """Return what `data check` says of the folder it looks at."""
    return Finding("folder", what, str(place.folder().resolve()), good=True)
