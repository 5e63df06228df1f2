"""Records on disk, one file each: put in place whole, never changed after, and read in part as needed."""

import hashlib
import json
import math
import os
import threading
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from examples.data.reading.exact import exact
from examples.errors import UserError

_FORMAT = 1  # counts up when old records must not be read any more
_RECORD, _UNFINISHED = ".record", ".new"


class Layout(NamedTuple):
    """What the array of one sample looks like.

    Attributes:
        dtype: NumPy's name of it.
        shape: Axes of one sample.
    """

    dtype: str
    shape: tuple[int, ...]


class Store:
    """A folder of records of one kind. A record's name is made of what it was made from, so it never needs to change.

    Args:
        folder: The folder of all stores.
        name: Name of the data set.
        settings: Settings that decide, with its files, what a record holds.
        layout: Array name to its dtype and the shape of one sample.
    """

    def __init__(
        self, folder: Path, name: str, settings: Mapping[str, object], layout: Mapping[str, Layout]
    ) -> None:
        self.dtype = np.dtype([(name, np.dtype(dtype).str, shape) for name, (dtype, shape) in layout.items()])
        self.folder = folder / f"{name}-{_digest([_FORMAT, settings, self.dtype.descr])}"

    def key(self, name: str, files: Iterable[Path]) -> str:
        """Return the name of a record: that of its sample, and where its files lie, how large and how old they are."""
        return _digest([name, [_stamp(path) for path in files]])

    def there(self) -> set[str]:
        """Return the keys of the records that can be read."""
        try:
            with os.scandir(self.folder) as entries:
                return {
                    entry.name.removesuffix(_RECORD)
                    for entry in entries
                    if entry.name.endswith(_RECORD) and entry.stat().st_size == self.dtype.itemsize
                }
        except (FileNotFoundError, NotADirectoryError):
            return set()

    def path(self, key: str) -> Path:
        """Return where a record lies."""
        return self.folder / f"{key}{_RECORD}"

    def put(self, key: str, values: Mapping[str, NDArray[Any]]) -> None:
        """Write a record beside its place and move it there whole; a kill leaves all of it or nothing.

        Args:
            key: Name of the record.
            values: An array for each of the layout.

        Raises:
            UnreadableError: A value does not fit the layout.
        """
        record = np.zeros((), dtype=self.dtype)
        for name in self.dtype.names or ():
            record[name] = exact(np.asarray(values[name]), self.dtype[name].base, name)
        fresh = self.folder / f"{key}.{os.getpid()}-{threading.get_ident()}{_UNFINISHED}"
        try:
            fresh.write_bytes(record.tobytes())
            fresh.replace(self.path(key))
        except OSError:
            fresh.unlink(missing_ok=True)
            raise

    def sweep(self) -> None:
        """Remove what a killed process left unfinished; only the one that writes may do so."""
        for path in self.folder.glob(f"*{_UNFINISHED}"):
            path.unlink(missing_ok=True)


class Records:
    """One array of many records, ``(samples, *shape)``, read as needed, also by processes that read ahead.

    Args:
        store: The folder of the records.
        keys: Names of their records, in order.
        name: Name of the array.
    """

    def __init__(self, store: Store, keys: Sequence[str], name: str) -> None:
        self.store, self.keys, self.name = store, list(keys), name
        field, self._offset = dict(store.dtype.fields or {})[name][:2]
        self._dtype, self._shape = field.subdtype or (field, ())

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the whole array."""
        return (len(self.keys), *self._shape)

    def __len__(self) -> int:
        """Return the number of samples."""
        return len(self.keys)

    def __getitem__(self, index: Any) -> NDArray[Any]:
        """Read some samples; a pair of indices reads one row of each, such as one frame of each clip.

        Raises:
            UserError: A record is gone, or was cut.
        """
        chosen, row = index if isinstance(index, tuple) else (index, None)
        samples = np.arange(len(self))[chosen]
        if row is None:
            parts = [self._read(int(sample), 0, self._shape) for sample in samples.flat]
            shape = self._shape
        else:
            shape = self._shape[1:]
            size = math.prod(shape) * self._dtype.itemsize
            parts = [self._read(s, r * size, shape) for s, r in np.broadcast(samples, row)]
        return np.array(parts, dtype=self._dtype).reshape(*samples.shape, *shape)

    def _read(self, sample: int, start: int, shape: tuple[int, ...]) -> NDArray[Any]:
        path = self.store.path(self.keys[sample])
        try:
            values = np.fromfile(path, self._dtype, math.prod(shape), offset=self._offset + start)
            return values.reshape(shape)
        except (OSError, ValueError) as error:
            raise UserError(
                f"'{path}' was removed or cut while it was in use; the same command decodes it again."
            ) from error


def _digest(values: object) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:20]


def _stamp(path: Path) -> list[object]:
    try:
        status = path.stat()
    except OSError:
        return []
    return [f"{_real(path.parent)}/{path.name}", status.st_size, status.st_mtime_ns]


@lru_cache(maxsize=4096)
def _real(folder: Path) -> str:
    return os.path.realpath(folder)
