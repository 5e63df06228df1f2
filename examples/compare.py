"""Rows times seeds: plan the runs, spread them over processes, gather the results."""

import multiprocessing
import os
import queue
import signal
import time
from collections.abc import Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from multiprocessing.synchronize import Event
from pathlib import Path
from threading import Thread
from typing import NamedTuple, Protocol

import torch
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from typing_extensions import Self

from examples.data import load
from examples.data.place import Place
from examples.hardware import Hardware
from examples.methods import create
from examples.recipe import Recipe
from examples.results import METRICS, Results, Run, machine, versions
from examples.runs import RunFolder


@dataclass(frozen=True)
class Job:
    """One row with one seed, complete enough for another process.

    Args:
        row: Its name in the recipe.
        seed: Of split, weights and batches.
        recipe: All settings.
        place: Where the data lies.
        folder: Where the run lies.
        hardware: What it uses of the machine.
        keep: Whether the checkpoints of a finished run stay.
    """

    row: str
    seed: int
    recipe: Recipe
    place: Place
    folder: RunFolder
    hardware: Hardware = field(default_factory=Hardware)
    keep: bool = False


class Tick(NamedTuple):
    """One epoch of one job is done, or, with a score, the whole job."""

    row: str
    seed: int
    loss: float = 0.0
    score: float | None = None


class Inbox(Protocol):
    """Where ticks go: a list, or a queue between processes."""

    def put(self, tick: Tick, /) -> None:
        """Take one tick."""


def plan(
    recipe: Recipe,
    folder: Path,
    *,
    place: Place,
    rows: Sequence[str] | None = None,
    hardware: Hardware | None = None,
    keep: bool = False,
) -> list[Job]:
    """Return the jobs of a comparison, after checking that data and methods are there.

    Raises:
        FileNotFoundError: The data is not where it should be.
        ValueError: The recipe, or a data file, is wrong; says what.
    """
    chosen = recipe.rows(rows)
    data = load(recipe.data, place, seed=recipe.first_seed, options=recipe.data_options)
    recipe.network.expect_pooled(data.modalities)
    for row in chosen.values():
        create(row.method, row.arguments).inputs(list(data.modalities))
    if recipe.select == "validation" and data.validation is None:
        raise ValueError(
            f"`select` (='validation') needs a validation part; '{data.name}' is split without one."
        )
    seeds = range(recipe.first_seed, recipe.first_seed + recipe.seeds)
    return [
        Job(
            name, seed, recipe, place, RunFolder(folder / name / f"seed-{seed}"), hardware or Hardware(), keep
        )
        for name in chosen
        for seed in seeds
    ]


def run_job(job: Job, inbox: Inbox) -> Run:
    """Train and score one job; the same numbers in any process."""
    from examples.training import train  # noqa: PLC0415 - takes seconds, and the process that waits needs none of it

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        run = train(
            job.row,
            job.recipe,
            load(job.recipe.data, job.place, seed=job.seed, options=job.recipe.data_options),
            seed=job.seed,
            folder=job.folder,
            hardware=job.hardware,
            on_epoch=lambda _, record: inbox.put(Tick(job.row, job.seed, record.loss["total"])),
        )
    finally:
        torch.set_num_threads(threads)
    job.folder.finish(run, keep=job.keep)
    inbox.put(Tick(job.row, job.seed, score=run.score))
    return run


def compare(
    jobs: Sequence[Job], *, workers: int | None, command: str, console: Console, fresh: bool = False
) -> Results:
    """Run all jobs that are not finished yet, show progress, return the results.

    Args:
        jobs: From `plan`.
        workers: Processes; one for each core by default, 1 stays in this process.
        command: What was typed, for the record.
        console: Where progress is shown.
        fresh: Whether finished runs are run again.

    Raises:
        ValueError: A run with other settings lies where one of these is to go.
    """
    start = time.perf_counter()
    recipe = jobs[0].recipe
    found = [job.folder.claim(job.row, job.seed, recipe, fresh=fresh) for job in jobs]
    todo = [job for job, run in zip(jobs, found, strict=True) if run is None]
    if len(todo) < len(jobs):
        console.print(
            f"{len(jobs) - len(todo)} of {len(jobs)} runs are finished already; --fresh runs them again.",
            highlight=False,
        )
    workers = max(1, min(workers or os.cpu_count() or 1, len(todo)))
    with Bar(len(todo), len(todo) * recipe.epochs, console) as bar:
        made = iter([run_job(job, bar) for job in todo] if workers == 1 else spread(todo, workers, bar))
    runs = [next(made) if run is None else run for run in found]
    data = load(recipe.data, jobs[0].place, seed=recipe.first_seed, options=recipe.data_options)
    parts = {"train": data.train, "validation": data.validation, "test": data.test}
    return Results(
        data=recipe.data,
        modalities=list(data.modalities),
        classes=len(data.classes),
        metric=METRICS[data.task],
        samples={name: len(part) for name, part in parts.items() if part is not None},
        command=command,
        recipe=asdict(recipe),
        versions=versions(),
        machine=machine(workers),
        seconds=time.perf_counter() - start
        if len(todo) == len(jobs)
        else sum(run.seconds for run in runs) / workers,
        runs=runs,
    )


def spread(jobs: Sequence[Job], workers: int, bar: "Bar") -> list[Run]:
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
                missing -= tick.score is not None
        return [future.result() for future in futures]
    finally:
        leave.set()  # nothing is left to do, or nobody is left to wait for it
        pool.shutdown(cancel_futures=True)


def _raise_first(futures: Sequence[Future[Run]]) -> None:
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


def _run_there(job: Job) -> Run:
    return run_job(job, _inboxes[0])


class Bar:
    """One progress bar over all epochs of all runs; plain lines where the output is no terminal."""

    def __init__(self, runs: int, epochs: int, console: Console) -> None:
        self._runs, self._finished, self._console = runs, 0, console
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
        self._task = self._progress.add_task("starting", total=epochs, finished=0, runs=runs)

    def __enter__(self) -> Self:
        """Show the bar."""
        self._progress.start()
        return self

    def __exit__(self, *error: object) -> None:
        """Take the bar away."""
        self._progress.stop()

    def put(self, tick: Tick) -> None:
        """Show one epoch more, or one run more."""
        name = f"{tick.row}, seed {tick.seed}"
        if tick.score is None:
            self._progress.update(self._task, advance=1, description=f"{name}, loss {tick.loss:.3f}")
            return
        self._finished += 1
        self._progress.update(self._task, finished=self._finished)
        if not self._console.is_terminal:
            line = f"{self._finished}/{self._runs} runs: {name}, {tick.score:.1f} %"
            self._console.print(line, highlight=False)
