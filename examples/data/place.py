"""Where a data set lies, where its decoded copy goes, and what to do about files that cannot be read."""

import hashlib
import json
from collections.abc import Mapping
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

    def decoded(self, name: str, settings: Mapping[str, object]) -> Path:
        """Return the folder of one decoded copy; other settings have another folder.

        Args:
            name: Of the data set.
            settings: Everything that decides what the copy holds.
        """
        digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:12]
        return (self.cache or self.folder() / "maskfusion-cache") / f"{name}-{digest}"


class Finding(NamedTuple):
    """One line of what `data check` says.

    Attributes:
        what: A file, a folder or a count.
        expected: In words.
        found: In words.
        good: Whether that will do.
    """

    what: str
    expected: str
    found: str
    good: bool


def counted(what: str, unit: str, found: int, expected: int) -> Finding:
    """Return what `data check` says of a count."""
    return Finding(what, f"{expected:,} {unit}", f"{found:,}", found == expected)
