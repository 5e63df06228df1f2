"""Runs spread over processes: what a run needs, what it tells on the way, and what came of it."""

import json
import multiprocessing
import os
import queue
import signal
from collections.abc import Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from multiprocessing.synchronize import Event
from threading import Thread
from typing import NamedTuple, Protocol

import torch
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from typing_extensions import Self

from examples.data import load
from examples.data.contract import MultimodalData
from examples.data.place import Place
from examples.recipes import Recipe
from examples.results import Failure, Run
from examples.run.folder import RunFolder
from examples.run.hardware import Hardware
from examples.run.start import Start


@dataclass(frozen=True)
class Job:
    """One row with one seed, complete enough for another process.

    Args:
        row: Name of the row in the recipe.
        seed: Seed of split, weights and batches.
        recipe: All settings.
        place: Location of the data.
        folder: Folder of the run.
        hardware: Parts of the machine to use.
        keep: Whether the checkpoints of a finished run stay.
        start: Start of the run, if it is another run.
    """

    row: str
    seed: int
    recipe: Recipe
    place: Place
    folder: RunFolder
    hardware: Hardware = field(default_factory=Hardware)
    keep: bool = False
    start: Start | None = None


class Tick(NamedTuple):
    """One epoch of one job is done, or, with an outcome, the whole job: its score in percent, or what it said."""

    row: str
    seed: int
    loss: float = 0.0
    outcome: float | str | None = None


class Inbox(Protocol):
    """Where ticks go: a list, or a queue between processes."""

    def put(self, tick: Tick, /) -> None:
        """Take one tick."""


def run_job(job: Job, inbox: Inbox) -> Run | Failure:
    """Train and score one job; the same numbers in any process. What goes wrong in it comes back and stops nothing else."""
    from examples.run.training import train  # noqa: PLC0415 - takes seconds, and the process that waits needs none of it

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    outcome: Run | Failure
    try:
        data = _loaded(job.recipe.data, job.place, job.seed, json.dumps(job.recipe.data_options))
        outcome = train(
            job.row,
            job.recipe,
            data if job.start is None else job.start.scored(data),
            seed=job.seed,
            folder=job.folder,
            hardware=job.hardware,
            on_epoch=lambda _, record: inbox.put(Tick(job.row, job.seed, record.loss["total"])),
            initialise=(lambda _: None) if job.start is None else job.start.initialise,
        )
        job.folder.finish(outcome, keep=job.keep)
    except Exception as error:  # noqa: BLE001 - a failing cell is shown as failed, whatever the reason
        outcome = Failure(job.row, job.seed, f"{type(error).__name__}: {' '.join(str(error).split())}")
    finally:
        torch.set_num_threads(threads)
    inbox.put(Tick(job.row, job.seed, outcome=outcome.score if isinstance(outcome, Run) else outcome.error))
    return outcome


@lru_cache(maxsize=8)
def _loaded(name: str, place: Place, seed: int, options: str) -> MultimodalData:
    """Return the data of a run; runs of other rows with the same seed, next in the line, need not wait for it."""
    return load(name, place, seed=seed, options=json.loads(options))


def run_all(jobs: Sequence[Job], workers: int, bar: "Bar") -> list[Run | Failure]:
    """Run the jobs that are not finished yet, and return what came of all of them, in order."""
    found = [job.folder.read_result() for job in jobs]
    todo = [job for job, run in zip(jobs, found, strict=True) if run is None]
    bar.skip(jobs, todo)
    workers = min(workers, len(todo))
    made = iter([run_job(job, bar) for job in todo] if workers <= 1 else _spread(todo, workers, bar))
    return [next(made) if run is None else run for run in found]


def _spread(jobs: Sequence[Job], workers: int, bar: "Bar") -> list[Run | Failure]:
    """Run all jobs in processes of their own, and return what they return, in order.

    They end with this process, whatever ends it.
    """
    context = multiprocessing.get_context("spawn")
    inbox: multiprocessing.Queue[Tick] = context.Queue()
    leave = context.Event()
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_join, initargs=(inbox, leave))
    try:
        futures = [pool.submit(_run_there, job) for job in jobs]
        missing = len(jobs)
        while missing:
            _raise_first(futures)
            with suppress(queue.Empty):
                tick = inbox.get(timeout=0.5)
                bar.put(tick)
                missing -= tick.outcome is not None
        return [future.result() for future in futures]
    finally:
        leave.set()  # nothing is left to do, or nobody is left to wait for it
        pool.shutdown(cancel_futures=True)


def _raise_first(futures: Sequence[Future[Run | Failure]]) -> None:
    """Raise what ended a process, such as a lack of memory; what goes wrong in a run does not come here."""
    for future in futures:
        if future.done():
            future.result()


_inboxes: list[Inbox] = []  # a process of the pool has one for its whole life


def _join(inbox: Inbox, leave: Event) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that waits
    _inboxes.append(inbox)
    Thread(target=_leave_with_parent, args=(leave,), daemon=True).start()


def _leave_with_parent(leave: Event) -> None:
    parent = multiprocessing.parent_process()
    while not leave.wait(1.0) and parent is not None and parent.is_alive():
        pass
    os._exit(1)


def _run_there(job: Job) -> Run | Failure:
    return run_job(job, _inboxes[0])


class Bar:
    """One progress bar over all epochs of all runs; plain lines where the output is no terminal."""

    def __init__(self, runs: int, epochs: int, console: Console) -> None:
        self._runs, self._epochs, self._finished, self._console = runs, epochs, 0, console
        self._progress = Progress(
            TextColumn("{task.fields[finished]}/{task.fields[runs]} runs"),
            BarColumn(bar_width=12),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("left,"),
            TextColumn("{task.description}"),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._task = self._progress.add_task("starting", total=runs * epochs, finished=0, runs=runs)

    def __enter__(self) -> Self:
        """Show the bar."""
        self._progress.start()
        return self

    def __exit__(self, *error: object) -> None:
        """Take the bar away."""
        self._progress.stop()

    def skip(self, jobs: Sequence[Job], todo: Sequence[Job]) -> None:
        """Count what is finished already, and say so."""
        done = len(jobs) - len(todo)
        if done:
            self._console.print(
                f"{done} of {len(jobs)} runs are finished already; --fresh runs them again.", highlight=False
            )
            self._finished += done
            self._progress.update(self._task, advance=done * self._epochs, finished=self._finished)

    def put(self, tick: Tick) -> None:
        """Show one epoch more, or one run more."""
        name = f"{tick.row}, seed {tick.seed}"
        if tick.outcome is None:
            self._progress.update(self._task, advance=1, description=f"{name}, loss {tick.loss:.3f}")
            return
        self._finished += 1
        self._progress.update(self._task, finished=self._finished)
        what = f"failed, {tick.outcome}" if isinstance(tick.outcome, str) else f"{tick.outcome:.1f} %"
        if not self._console.is_terminal or isinstance(tick.outcome, str):
            self._console.print(
                f"{self._finished}/{self._runs} runs: {name}, {what}", highlight=False, markup=False
            )
