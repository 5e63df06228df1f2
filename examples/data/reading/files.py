"""Files as people have them: found in spite of litter, links and case, and looked at before anything relies on them."""

import csv
import os
from codecs import BOM_UTF8
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path

from examples.data.place import Place
from examples.errors import UserError

LITTER = {"thumbs.db", "desktop.ini", "__macosx", "maskfusion-cache"}
"""What desktops, archives and we leave behind; and everything that begins with a dot."""

_POINTER = b"version https://git-lfs"
_PAGES = (b"<!doctype", b"<html", b"<?xml")
_BEGINNINGS: dict[str, tuple[bytes, ...]] = {
    ".avi": (b"RIFF",),
    ".flv": (b"FLV",),
    ".gz": (b"\x1f\x8b",),
    ".jpeg": (b"\xff\xd8\xff",),
    ".jpg": (b"\xff\xd8\xff",),
    ".mat": (b"MATLAB", b"\x89HDF"),
    ".npy": (b"\x93NUMPY",),
    ".npz": (b"PK",),
    ".png": (b"\x89PNG",),
    ".wav": (b"RIFF", b"RIFX", b"RF64"),
}
_KEPT = 0.8  # of the bytes that a file says it has; with fewer it was cut
_SHOWN = 8  # names in a message


class UnreadableError(UserError):
    """A file that does not hold what it should; the message names it, the rule and, where there is one, the next step."""


def locate(
    place: Place, is_here: Callable[[Path], bool], *, sign: str, source: str, file: str | None = None
) -> Place:
    """Return the place with the folder of a data set as its root: the one that was named, the one that is in, or one below it.

    Args:
        place: The folder or file that was named.
        is_here: Test whether a folder is the one.
        sign: Words for what it is known by.
        source: A sentence that says where to get the data.
        file: Name of the file that all may be in, so that another one of its kind may be named in place of a folder.

    Raises:
        UserError: None is, or several are; says where it looked, what is there, and which archives wait to be unpacked.
    """
    if (
        file is not None
        and place.root is not None
        and place.root.is_file()
        and place.root.suffix == Path(file).suffix
    ):
        return place
    root = place.folder()
    for folder in (root, root.resolve().parent):
        if is_here(folder):
            return replace(place, root=folder)
    below = _folders(root)
    found = [folder for folder in chain(below, *map(_folders, below)) if is_here(folder)]
    if len(found) == 1:
        return replace(place, root=found[0])
    if found:
        raise UserError(
            f"`root` (='{root.resolve()}') must hold one copy of the data set; there are {listed(map(str, found))}. Name one."
        )
    there = [path.name for path in _entries(root)]
    archives = [
        name for name in there if name.lower().endswith((".zip", ".tar", ".gz", ".tgz", ".rar", ".7z"))
    ]
    unpack = f" Unpack {listed(archives)} first." if archives else ""
    raise UserError(
        f"No {sign} in '{root.resolve()}', in the folder it is in, or up to two folders below it. There: "
        f"{listed(there) or 'nothing'}.{unpack} {source}"
    )


def entry(folder: Path, name: str) -> Path:
    """Return what is called `name` in a folder, in upper or lower case; the path as asked for where nothing is."""
    path = folder / name
    if path.exists():
        return path
    same = [there for there in _entries(folder) if there.name.lower() == name.lower()]
    return same[0] if same else path


def files_in(folder: Path, suffix: str) -> list[Path]:
    """Return the files of a folder that end so, in upper or lower case, without litter, by name."""
    return [path for path in _entries(folder) if path.suffix.lower() == suffix and path.is_file()]


def files_below(folder: Path, suffix: str) -> list[Path]:
    """Return the same for a folder and all below it; links to folders are followed, each folder is visited once."""
    found: list[Path] = []
    visited: set[str] = set()
    for here, folders, _ in os.walk(folder, followlinks=True):
        real = os.path.realpath(here)
        folders[:] = [] if real in visited else sorted(name for name in folders if not _is_litter(name))
        if real not in visited:
            found += files_in(Path(here), suffix)
        visited.add(real)
    return sorted(found)


def look(path: Path) -> None:
    """Refuse what is no file, or only seems to be one: by its size and its first bytes.

    Raises:
        UnreadableError: It is missing, empty, a pointer of Git LFS, a web page, cut, or of another format.
    """
    try:
        with path.open("rb") as file:
            start = file.read(512)
            size = os.fstat(file.fileno()).st_size
    except OSError as error:
        raise UnreadableError(f"'{path}' cannot be opened ({error.strerror})") from error
    if not start.strip(b"\0"):
        raise UnreadableError(
            f"'{path}' is empty" if not start else f"'{path}' holds zeros only; get it again"
        )
    if start.startswith(_POINTER):
        raise UnreadableError(
            f"'{path}' is a pointer of Git LFS; `git lfs pull` in the clone brings the file itself"
        )
    if start.lstrip().lower().startswith(_PAGES):
        raise UnreadableError(f"'{path}' is a web page, not the file itself; get it again")
    beginnings = _BEGINNINGS.get(path.suffix.lower())
    if beginnings and not start.startswith(beginnings):
        raise UnreadableError(
            f"'{path}' does not begin as a {path.suffix.lower()[1:]} file does; get it again"
        )
    said = int.from_bytes(start[4:8], "little")
    if start.startswith(b"RIFF") and said != 0xFFFFFFFF and size < _KEPT * said:  # wav and avi
        raise UnreadableError(f"'{path}' is cut: it says that it has {said + 8:,} bytes and has {size:,}")


def why_unreadable(attempt: Callable[[], object]) -> str:
    """Return why an attempt to read something fails; nothing where it does not."""
    try:
        attempt()
    except UnreadableError as error:
        return str(error)
    return ""


def read_text(path: Path) -> str:
    """Read a text in UTF-8, with or without a byte order mark.

    Raises:
        UnreadableError: It is missing or in another encoding; names the line.
    """
    try:
        content = path.read_bytes().removeprefix(BOM_UTF8)
        return content.decode("utf-8")
    except OSError as error:
        raise UnreadableError(f"'{path}' cannot be opened ({error.strerror})") from error
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise UnreadableError(
            f"'{path}' must be in UTF-8, and line {line} is not (byte {content[error.start]:#04x}); save it as UTF-8"
        ) from error


def read_table(path: Path, columns: Sequence[str]) -> list[dict[str, str]]:
    """Read a table with a line of names at its top, its values between commas, semicolons or tabs.

    Args:
        path: Path of the file.
        columns: Names of the columns that must be there.

    Raises:
        UnreadableError: One is not; says which there are.
    """
    lines = read_text(path).splitlines()
    head = lines[0] if lines else ""
    delimiter = max(",;\t", key=head.count)
    reader = csv.DictReader(lines, delimiter=delimiter)
    there = list(reader.fieldnames or ())
    missing = [name for name in columns if name not in there]
    if missing:
        raise UnreadableError(f"'{path}' must have the columns {list(columns)}; it has {there}")
    return [{name: (row[name] or "").strip() for name in columns} for row in reader]


def listed(names: Iterable[str], shown: int = _SHOWN) -> str:
    """Return the first names, and how many there are where that is not all."""
    names = list(names)
    return ", ".join(names[:shown]) + (f" ... ({len(names):,})" if len(names) > shown else "")


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if not _is_litter(path.name))
    except OSError:
        return []


def _folders(folder: Path) -> list[Path]:
    return [path for path in _entries(folder) if path.is_dir()]


def _is_litter(name: str) -> bool:
    return name.startswith(".") or name.lower() in LITTER
