"""Decode every file of a data set once, into arrays on disk that are read as needed.

A build that was killed goes on where it stopped; of two processes that want the same copy one builds and the other
waits. A file that has changed since is decoded again, a damaged one is remembered with its reason.
"""

import json
import math
import os
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from shutil import disk_usage
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from filelock import FileLock, Timeout
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from examples.data.place import OnError
from examples.data.reading.mapped import Mapped

_TODO, _DONE, _BAD = 0, 1, 2
_STATE, _STAMPS, _PROBLEMS = "state.npy", "files.json", "problems.json"
_FLUSH = 64  # files between two looks at the disk
_LISTED = 20  # problems that an error names


class UnreadableError(ValueError):
    """A file that does not hold what it should; the message is the reason."""


class Item(NamedTuple):
    """One sample.

    Attributes:
        name: Unique, in words that a person knows.
        files: What it is decoded from.
    """

    name: str
    files: tuple[Path, ...]


class Layout(NamedTuple):
    """What the decoded array of one sample looks like.

    Attributes:
        dtype: NumPy's name of it.
        shape: Of one sample.
    """

    dtype: str
    shape: tuple[int, ...]


Decode: TypeAlias = Callable[[Item], Mapping[str, NDArray[np.generic]]]
Result: TypeAlias = tuple[int, Mapping[str, NDArray[np.generic]] | UnreadableError]


@dataclass(frozen=True)
class Decoded:
    """A decoded copy.

    Args:
        arrays: By name, ``(samples, *shape)``; rows of problems hold zeros.
        good: Positions of the samples that were read.
        problems: Why the others were not, by name.
    """

    arrays: Mapping[str, Mapped]
    good: NDArray[np.int64]
    problems: Mapping[str, str]


def decode_once(
    folder: Path,
    items: Sequence[Item],
    layout: Mapping[str, Layout],
    decode: Decode,
    *,
    on_error: OnError = "raise",
    workers: int | None = None,
) -> Decoded:
    """Return the decoded copy of `items`, made now as far as it is missing.

    Args:
        folder: Of this copy, see `Place.decoded`.
        items: All samples, in order; names must be unique.
        layout: Array name to its dtype and the shape of one sample.
        decode: Item to arrays, called from several threads. Raises `UnreadableError`.
        on_error: Whether problems are raised, after all files have been tried, or listed and left out.
        workers: Threads; as many as cores by default.

    Raises:
        UnreadableError: Files could not be read and `on_error` is "raise"; names them with their reasons.
        OSError: The disk is too small.
    """
    folder.mkdir(parents=True, exist_ok=True)
    console = Console(stderr=True)
    with _alone(folder, console):
        problems = _prepare(folder, items, layout)
        state = _map(folder / _STATE)
        todo = np.flatnonzero(state == _TODO)
        if len(todo):
            _expect_space(folder, len(todo), layout)
            arrays = {name: _map(folder / f"{name}.npy") for name in layout}
            missing = [items[number] for number in todo.tolist()]
            results = _decode(missing, decode, workers, console, folder.name)
            for done in _in_blocks(zip(todo.tolist(), results, strict=True)):
                bad = {items[n].name: str(why) for n, why in done if isinstance(why, UnreadableError)}
                problems.update(bad)
                _write_json(folder / _PROBLEMS, problems)
                _write(done, arrays, state)
    if problems and on_error == "raise":
        raise UnreadableError(_listed(problems, len(items)))
    if problems and len(todo):
        console.print(_listed(problems, len(items)), highlight=False)
    good = np.flatnonzero(state == _DONE)
    return Decoded({name: Mapped(folder / f"{name}.npy") for name in layout}, good, problems)


@contextmanager
def _alone(folder: Path, console: Console) -> Iterator[None]:
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


def _prepare(folder: Path, items: Sequence[Item], layout: Mapping[str, Layout]) -> dict[str, str]:
    """Make the files that are missing, forget what has changed; return the problems that are known."""
    names = [item.name for item in items]
    if len(set(names)) < len(names):
        raise ValueError(f"`items` must have unique names; {len(names) - len(set(names))} come twice.")
    stamps = {item.name: [_stamp(path) for path in item.files] for item in items}
    known = _read_json(folder / _STAMPS)
    if list(known) != names or not _is_whole(folder, len(items), layout):
        (folder / _STATE).unlink(missing_ok=True)
        for name, (dtype, shape) in layout.items():
            path = folder / f"{name}.npy"
            np.lib.format.open_memmap(path, "w+", np.dtype(dtype), (len(items), *shape)).flush()
        _write_json(folder / _PROBLEMS, {})
        _write_json(folder / _STAMPS, stamps)
        np.save(folder / _STATE, np.zeros(len(items), dtype=np.uint8))  # last: without it nothing counts
        return {}
    problems: dict[str, str] = _read_json(folder / _PROBLEMS)
    changed = [number for number, name in enumerate(names) if stamps[name] != known[name]]
    if changed:
        state = _map(folder / _STATE)
        state[changed] = _TODO
        state.flush()
        problems = {name: why for name, why in problems.items() if stamps[name] == known[name]}
        _write_json(folder / _PROBLEMS, problems)
        _write_json(folder / _STAMPS, stamps)
    return problems


def _is_whole(folder: Path, samples: int, layout: Mapping[str, Layout]) -> bool:
    """Whether all arrays of a copy are there, in full."""
    expected = {_STATE: Layout("uint8", ()), **{f"{name}.npy": values for name, values in layout.items()}}
    try:
        there = {name: np.load(folder / name, mmap_mode="r") for name in expected}
    except (OSError, ValueError):
        return False
    return all(
        (there[name].dtype, there[name].shape) == (np.dtype(dtype), (samples, *shape))
        for name, (dtype, shape) in expected.items()
    )


def _expect_space(folder: Path, samples: int, layout: Mapping[str, Layout]) -> None:
    """Refuse a disk that would be full before all is written; a mapped file cannot say so later."""
    needed = samples * sum(np.dtype(dtype).itemsize * math.prod(shape) for dtype, shape in layout.values())
    free = disk_usage(folder).free
    if needed > free:
        raise OSError(
            f"'{folder}' needs {needed / 1e9:.1f} GB and its disk has {free / 1e9:.1f} GB left; "
            "`--cache` names another folder."
        )


def _decode(
    items: Sequence[Item], decode: Decode, workers: int | None, console: Console, title: str
) -> Iterator[Mapping[str, NDArray[np.generic]] | UnreadableError]:
    """Decode in several threads, a few files ahead of the writer, and show how far it is."""

    def attempt(item: Item) -> Mapping[str, NDArray[np.generic]] | UnreadableError:
        try:
            return decode(item)
        except UnreadableError as error:
            return error

    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    workers = workers or os.cpu_count() or 1
    with (
        ThreadPoolExecutor(workers) as pool,
        Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress,
    ):
        waiting: deque[Future[Mapping[str, NDArray[np.generic]] | UnreadableError]] = deque()
        try:
            for item in progress.track(items, description=f"decoding {title}"):
                waiting.append(pool.submit(attempt, item))
                if len(waiting) > 2 * workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)


def _in_blocks(results: Iterator[Result]) -> Iterator[list[Result]]:
    while block := list(islice(results, _FLUSH)):
        yield block


def _write(
    done: Sequence[Result], arrays: Mapping[str, np.memmap[Any, Any]], state: np.memmap[Any, Any]
) -> None:
    """Write the arrays to the disk first and that they are there after it, so that a cut leaves no gap."""
    for number, result in done:
        values = None if isinstance(result, UnreadableError) else result
        for name, array in arrays.items():
            array[number] = np.zeros_like(array[number]) if values is None else values[name]
    for array in arrays.values():
        array.flush()
    state[[number for number, _ in done]] = [
        _BAD if isinstance(result, UnreadableError) else _DONE for _, result in done
    ]
    state.flush()


def _listed(problems: Mapping[str, str], samples: int) -> str:
    lines = [f"  {name}: {why}" for name, why in list(problems.items())[:_LISTED]]
    more = [f"  ... and {len(problems) - _LISTED} more"] if len(problems) > _LISTED else []
    head = f"{len(problems)} of {samples} samples cannot be read (`--on-error skip` leaves them out):"
    return "\n".join([head, *lines, *more])


def _map(path: Path) -> np.memmap[Any, Any]:
    return np.lib.format.open_memmap(path, "r+")


def _stamp(path: Path) -> list[int]:
    try:
        status = path.stat()
    except FileNotFoundError:
        return []
    return [status.st_size, status.st_mtime_ns]


def _read_json(path: Path) -> dict[str, Any]:
    try:
        read = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, json.JSONDecodeError):
        return {}
    return read if isinstance(read, dict) else {}


def _write_json(path: Path, values: Mapping[str, object]) -> None:
    fresh = path.with_suffix(".new")
    fresh.write_text(json.dumps(values), encoding="utf-8")
    fresh.replace(path)
