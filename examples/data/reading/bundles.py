"""Named arrays as people keep them: an .npz archive, a folder of .npy files, or a safetensors file."""

import hashlib
import math
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache, partial
from pathlib import Path
from typing import IO, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from examples.data.place import Place
from examples.data.reading.extras import needs
from examples.data.reading.files import LITTER, UnreadableError, files_in, listed, look
from examples.errors import UserError

Values: TypeAlias = NDArray[Any] | Tensor

ENDINGS = (".npz", ".npy", ".safetensors")
_KINDS = {
    "O": "Python objects, which are not loaded, since loading them can run code",
    "V": "records",
    "c": "complex numbers",
    "M": "dates",
    "m": "spans of time",
}


@dataclass(frozen=True)
class Stored:
    """One array of a bundle, known by its header.

    Args:
        shape: Of the whole array.
        kind: NumPy's letter for the kind of its type, such as "f".
        type: Name of the type.
        bytes: Size in memory; 0 where it is not known.
        read: Return it; from a file that can be mapped into memory, rows are read as they are needed.
    """

    shape: tuple[int, ...]
    kind: str
    type: str
    bytes: int
    read: Callable[[], Values] = field(repr=False, compare=False)

    @property
    def holds(self) -> str:
        """What its values are, in words."""
        return _KINDS.get(self.kind, "texts" if self.kind in "US" else "numbers")


@dataclass(frozen=True)
class Bundle:
    """Arrays that belong together.

    Args:
        path: The file, or the folder of the files.
        files: All files.
        arrays: Name to array, in the order of the file, or of the names of the files.
        mapped: Whether the arrays are mapped into memory, and not read into it.
    """

    path: Path
    files: tuple[Path, ...]
    arrays: dict[str, Stored]
    mapped: bool

    def digest(self) -> str:
        """Return what tells this content from any other."""
        return _digest(self.stamps())

    def stamps(self) -> tuple[tuple[Path, int, int], ...]:
        """Return the files, their sizes and when they were changed."""
        return tuple((path, *_stamp(path)) for path in self.files)


def open_bundle(place: Place) -> Bundle:
    """Look at the headers of all arrays.

    Raises:
        UserError: There is nothing of the kind, or several that it could be; names what is there.
        UnreadableError: A file is damaged, or not what its ending says.
    """
    if place.root is None:
        raise UserError(f"Name your file with --root: {_WANTED}.")
    path = place.root
    if path.is_dir():
        loose = files_in(path, ".npy")
        whole = [found for ending in ENDINGS if ending != ".npy" for found in files_in(path, ending)]
        if loose and not whole:
            return _bundle(path, tuple(loose), _of_npy, mapped=True)
        if loose or len(whole) != 1:
            there = listed(found.name for found in sorted([*loose, *whole])) or "none of them"
            raise UserError(f"'{path}' must hold one bundle of arrays ({_WANTED}); it holds {there}.")
        path = whole[0]
    match path.suffix.lower():
        case ".npz":
            return _bundle(path, (path,), _of_npz, mapped=False)
        case ".safetensors":
            return _bundle(path, (path,), _of_safetensors, mapped=True)
        case ".npy":
            raise UserError(
                f"`root` (='{path}') is one array; name the folder that holds it and the others, --root {path.parent}."
            )
    table = " Of a table, save one array per modality: frame[columns].to_numpy()."
    raise UserError(f"`root` (='{path}') must be {_WANTED}.{table if path.suffix.lower() in _TABLES else ''}")


_TABLES = (".parquet", ".feather", ".csv", ".tsv", ".xlsx")
_WANTED = "an .npz archive, a folder of .npy files, or a .safetensors file"


def _bundle(
    path: Path,
    files: tuple[Path, ...],
    arrays_of: Callable[[Path], Iterator[tuple[str, Stored]]],
    *,
    mapped: bool,
) -> Bundle:
    found = [pair for file in files for pair in _read(arrays_of, file)]
    folded = [name.casefold() for name, _ in found]
    same = [name for name, _ in found if folded.count(name.casefold()) > 1]
    if same:
        raise UserError(f"'{path}' has the names {same}, which differ in case or not at all; rename some.")
    return Bundle(path, files, dict(found), mapped)


def _read(arrays_of: Callable[[Path], Iterator[tuple[str, Stored]]], file: Path) -> list[tuple[str, Stored]]:
    look(file)
    with _explained(file):
        return list(arrays_of(file))


@contextmanager
def _explained(file: Path) -> Iterator[None]:
    """Say in a sentence that a file cannot be read."""
    try:
        yield
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, RuntimeError) as error:
        # The last is what zipfile raises at archives with a password, or a compression that it does not know.
        raise UnreadableError(f"'{file}' is damaged or cut short ({error}); save it again") from error


def _of_npz(path: Path) -> Iterator[tuple[str, Stored]]:
    with zipfile.ZipFile(path) as archive:
        for member in archive.namelist():
            name, ending = member.removesuffix(".npy"), member.endswith(".npy")
            if ending and not name.startswith(".") and Path(name).parts[0].lower() not in LITTER:
                with archive.open(member) as stream:
                    yield name, _stored(stream, partial(_read_member, path, member))


def _read_member(path: Path, member: str) -> NDArray[Any]:
    with _explained(path), zipfile.ZipFile(path) as archive, archive.open(member) as stream:
        values: NDArray[Any] = np.lib.format.read_array(stream, allow_pickle=False)
        return values


def _of_npy(path: Path) -> Iterator[tuple[str, Stored]]:
    with path.open("rb") as stream:
        yield path.stem, _stored(stream, partial(_map, path))


def _map(path: Path) -> NDArray[Any]:
    with _explained(path):
        values: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
        return values


def _stored(stream: IO[bytes], read: Callable[[], Values]) -> Stored:
    version = np.lib.format.read_magic(stream)
    header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = header(stream)
    return Stored(shape, dtype.kind, str(dtype), math.prod(shape) * dtype.itemsize, read)


def _of_safetensors(path: Path) -> Iterator[tuple[str, Stored]]:
    with needs("examples"):
        from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt") as file:
            for name in file.keys():  # noqa: SIM118 - it is no mapping
                shape, kind = tuple(file.get_slice(name).get_shape()), str(file.get_slice(name).get_dtype())
                letter = "f" if kind == "BF16" else kind[0].lower()  # BOOL, U8, I64, F32, C64
                yield name, Stored(shape, letter, kind, 0, partial(_tensor, path, name))
    except SafetensorError as error:
        raise UnreadableError(f"'{path}' is no safetensors file, or cut ({error}); save it again") from error


def _tensor(path: Path, name: str) -> Tensor:
    from safetensors import safe_open

    with safe_open(path, "pt") as file:
        values: Tensor = file.get_tensor(name)  # a view of the file, which is mapped into memory
        return values


def _stamp(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_size, status.st_mtime_ns


@lru_cache(maxsize=8)
def _digest(files: tuple[tuple[Path, int, int], ...]) -> str:
    digest = hashlib.sha256()
    for path, size, _ in files:
        digest.update(f"{path.stem if path.suffix == '.npy' else ''} {size}\n".encode())
        with path.open("rb") as stream:
            while block := stream.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()[:16]
