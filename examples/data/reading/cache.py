"""Decode every file of a data set once, into records on disk that are read as needed.

Nothing that was written is ever changed: a file that is new, has changed or lies elsewhere gets a record of its own. So runs
may read while others build, a build that was killed goes on where it stopped, and one clip more decodes one clip.
"""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from shutil import disk_usage
from typing import Any, NamedTuple, TypeAlias

from filelock import FileLock, Timeout
from numpy.typing import NDArray
from rich.console import Console
from rich.filesize import decimal
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from examples.data.place import Place
from examples.data.reading.files import UnreadableError, look, why_unreadable
from examples.data.reading.records import Layout, Records, Store
from examples.errors import UserError

_LISTED = 20  # problems that a message names


class Item(NamedTuple):
    """One sample.

    Attributes:
        name: Unique, in words that a person knows.
        files: Paths of what it is decoded from; all must be there.
        spare: Paths of what may help where those are not enough, and need not be there.
    """

    name: str
    files: tuple[Path, ...]
    spare: tuple[Path, ...] = ()

    def look(self) -> None:
        """Refuse what size and first bytes of its files show to be wrong."""
        for path in self.files:
            look(path)


Decode: TypeAlias = Callable[[Item], Mapping[str, NDArray[Any]]]


@dataclass(frozen=True)
class Decoding:
    """How the samples of a data set are read from their files.

    Args:
        name: Name of the data set.
        settings: All that decides, beside its files, what a sample becomes.
        items: All samples, in order.
        layout: Array name to its dtype and the shape of one sample.
        decode: Item to arrays, called from several threads. Raises `UnreadableError`.
    """

    name: str
    settings: Mapping[str, object]
    items: Sequence[Item]
    layout: Mapping[str, Layout]
    decode: Decode

    def __post_init__(self) -> None:
        """Refuse two samples of one name."""
        by_name: dict[str, Item] = {}
        for item in self.items:
            other = by_name.setdefault(item.name, item)
            if other is not item:
                raise UserError(
                    f"Two samples are called '{item.name}': '{other.files[0]}' and '{item.files[0]}'. Remove or rename one."
                )


@dataclass(frozen=True)
class Decoded:
    """The samples that could be read.

    Args:
        items: Samples to read, in order.
        arrays: Arrays by name, ``(samples, *shape)``.
        problems: Reasons why the others could not be read, by name.
    """

    items: tuple[Item, ...]
    arrays: Mapping[str, Records]
    problems: Mapping[str, str]

    @property
    def names(self) -> list[str]:
        """Of the samples that could be read."""
        return [item.name for item in self.items]

    def read(self) -> dict[str, NDArray[Any]]:
        """Return all arrays, in memory."""
        return {name: rows[:] for name, rows in self.arrays.items()}


def decode_once(decoding: Decoding, place: Place, *, workers: int | None = None) -> Decoded:
    """Return the decoded samples, decoded now where that was not done before.

    Args:
        decoding: The samples, and how they are decoded.
        place: Folder for the decoded copy, and whether samples that cannot be read stop the run or are left out.
        workers: Threads; as many as cores by default.

    Raises:
        UserError: Samples cannot be read and `place` says that this stops the run, or none can; names them with their
            reasons. Files that do not even look right are told before anything is decoded. Or the copy cannot be
            written; says why.
    """
    store = Store(place.copies(), decoding.name, decoding.settings, decoding.layout)
    keys = {item.name: _keys(item, store) for item in decoding.items}
    console = Console(stderr=True)
    missing = _missing(decoding.items, keys, store)
    problems = _hollow(missing)
    _stop_at(problems, len(decoding.items), place, "their size or first bytes are wrong, nothing was decoded")
    if len(problems) < len(missing):
        with _alone(store.folder, console):
            todo = [item for item in _missing(missing, keys, store) if item.name not in problems]
            _expect_space(store, len(todo))
            problems |= _build(decoding, todo, store, keys, workers, console)
    _stop_at(problems, len(decoding.items), place, "what could be read stays decoded")
    if problems:
        told = _told(problems, len(decoding.items), "left out")
        console.print(told, highlight=False, markup=False, soft_wrap=True)
    good = tuple(item for item in decoding.items if item.name not in problems)
    there = store.there()
    chosen = [next(key for key in keys[item.name] if key in there) for item in good]
    return Decoded(good, {name: Records(store, chosen, name) for name in decoding.layout}, problems)


def _keys(item: Item, store: Store) -> tuple[str, ...]:
    """Return the names that its record may have: made of its files alone, or with the spare ones too."""
    alone = store.key(item.name, item.files)
    spare = [path for path in item.spare if path.is_file()]
    return (alone, store.key(item.name, (*item.files, *spare))) if spare else (alone,)


def _missing(items: Sequence[Item], keys: Mapping[str, tuple[str, ...]], store: Store) -> list[Item]:
    there = store.there()
    return [item for item in items if there.isdisjoint(keys[item.name])]


def _hollow(items: Sequence[Item]) -> dict[str, str]:
    """Return why files cannot be right, by what a first look says."""
    told = {item.name: why_unreadable(item.look) for item in items}
    return {name: why for name, why in told.items() if why}


@contextmanager
def _alone(folder: Path, console: Console) -> Iterator[None]:
    """Make the folder, and let one process at a time build in it; others would do the same work again."""
    with _writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / "lock")
        try:
            lock.acquire(timeout=0.1)
        except Timeout:
            console.print(f"Waiting for another process that decodes into {folder} ...", highlight=False)
            lock.acquire()
    try:
        yield
    finally:
        lock.release()


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    """Say where it was, and what to do, when the disk refuses."""
    try:
        yield
    except OSError as error:
        raise UserError(
            f"The decoded copy cannot be written to '{folder}' ({error.strerror or error}); `--cache` names another folder. "
            "What is there stays and is not decoded again."
        ) from error


def _expect_space(store: Store, samples: int) -> None:
    needed, free = samples * store.dtype.itemsize, disk_usage(store.folder).free
    if needed > free:
        raise UserError(
            f"The decoded copy in '{store.folder}' needs {decimal(needed)} more and its disk has {decimal(free)} left; "
            "`--cache` names another folder."
        )


def _build(
    decoding: Decoding,
    items: Sequence[Item],
    store: Store,
    keys: Mapping[str, tuple[str, ...]],
    workers: int | None,
    console: Console,
) -> dict[str, str]:
    """Decode in several threads and show how far it is; return why samples cannot be read, in their order."""
    store.sweep()

    def make(item: Item) -> None:
        key, *helped = keys[item.name]
        try:
            values = decoding.decode(item._replace(spare=()))
        except UnreadableError:
            if not helped:
                raise
            (key,), values = helped, decoding.decode(item)
        with _writing(store.folder):
            store.put(key, values)

    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with (
        ThreadPoolExecutor(workers or os.cpu_count()) as pool,
        Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress,
    ):
        told = {pool.submit(why_unreadable, partial(make, item)): item.name for item in items}
        try:
            done = progress.track(as_completed(told), len(told), description=f"decoding {decoding.name}")
            found = {told[future]: why for future in done if (why := future.result())}
        finally:
            pool.shutdown(cancel_futures=True)
    return {item.name: found[item.name] for item in items if item.name in found}


def _stop_at(problems: Mapping[str, str], samples: int, place: Place, words: str) -> None:
    """Raise problems where there may be none, or where they leave no sample."""
    if len(problems) == samples:
        raise UnreadableError(_told(problems, samples, words))
    if problems and place.on_error == "raise":
        raise UnreadableError(_told(problems, samples, f"{words}; `--on-error skip` leaves them out"))


def _told(problems: Mapping[str, str], samples: int, words: str) -> str:
    lines = [f"  {name}: {why}" for name, why in list(problems.items())[:_LISTED]]
    more = [f"  ... and {len(problems) - _LISTED:,} more"] if len(problems) > _LISTED else []
    return "\n".join([f"{len(problems):,} of {samples:,} samples cannot be read ({words}):", *lines, *more])
