"""Rows times seeds: plan the runs, spread them over processes, gather the results."""

import multiprocessing
import os
import queue
import signal
import time
from collections.abc import Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

import torch
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from typing_extensions import Self

from examples.data import load
from examples.methods import create
from examples.recipe import Recipe
from examples.results import Results, Run, machine, versions


@dataclass(frozen=True)
class Job:
    """One row with one seed, complete enough for another process.

    Args:
        row: Its name in the recipe.
        seed: Of split, weights and batches.
        recipe: All settings.
        root: Where the data lies.
        accelerator: What Lightning runs on.
    """

    row: str
    seed: int
    recipe: Recipe
    root: Path | None
    accelerator: str = "cpu"


class Tick(NamedTuple):
    """One epoch of one job is done, or, with an accuracy, the whole job."""

    row: str
    seed: int
    loss: float = 0.0
    accuracy: float | None = None


class Inbox(Protocol):
    """Where ticks go: a list, or a queue between processes."""

    def put(self, tick: Tick, /) -> None:
        """Take one tick."""


def plan(
    recipe: Recipe, *, root: Path | None, rows: Sequence[str] | None, accelerator: str = "cpu"
) -> list[Job]:
    """Return the jobs of a comparison, after checking that data and methods are there.

    Raises:
        FileNotFoundError: The data is not where it should be.
        ValueError: The recipe, or a data file, is wrong; says what.
    """
    chosen = recipe.rows(rows)
    data = load(recipe.data, root, seed=recipe.first_seed, options=recipe.data_options)
    for row in chosen.values():
        create(row.method, row.arguments).inputs(list(data.modalities))
    seeds = range(recipe.first_seed, recipe.first_seed + recipe.seeds)
    return [Job(name, seed, recipe, root, accelerator) for name in chosen for seed in seeds]


def run_job(job: Job, inbox: Inbox) -> Run:
    """Train and score one job; the same numbers in any process."""
    from examples.training import train  # noqa: PLC0415 - takes seconds, and the process that waits needs none of it

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        run = train(
            job.row,
            job.recipe.comparison[job.row],
            job.recipe,
            load(job.recipe.data, job.root, seed=job.seed, options=job.recipe.data_options),
            seed=job.seed,
            on_epoch=lambda loss: inbox.put(Tick(job.row, job.seed, loss)),
            accelerator=job.accelerator,
        )
    finally:
        torch.set_num_threads(threads)
    inbox.put(Tick(job.row, job.seed, accuracy=run.accuracy))
    return run


def compare(jobs: Sequence[Job], *, workers: int | None, command: str, console: Console) -> Results:
    """Run all jobs, show progress, return the results.

    Args:
        jobs: From `plan`.
        workers: Processes; one for each core by default, 1 stays in this process.
        command: What was typed, for the record.
        console: Where progress is shown.
    """
    start = time.perf_counter()
    recipe = jobs[0].recipe
    workers = min(workers or os.cpu_count() or 1, len(jobs))
    with Bar(len(jobs), len(jobs) * recipe.epochs, console) as bar:
        runs = [run_job(job, bar) for job in jobs] if workers == 1 else spread(jobs, workers, bar)
    data = load(recipe.data, jobs[0].root, seed=recipe.first_seed, options=recipe.data_options)
    return Results(
        data=recipe.data,
        modalities=list(data.modalities),
        classes=len(data.classes),
        samples={"train": len(data.train), "test": len(data.test)},
        command=command,
        recipe=asdict(recipe),
        versions=versions(),
        machine=machine(workers),
        seconds=time.perf_counter() - start,
        runs=runs,
    )


def spread(jobs: Sequence[Job], workers: int, bar: "Bar") -> list[Run]:
    """Run all jobs in processes of their own, and return what they return, in order."""
    context = multiprocessing.get_context("spawn")
    inbox: multiprocessing.Queue[Tick] = context.Queue()
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_join, initargs=(inbox,))
    try:
        futures = [pool.submit(_run_there, job) for job in jobs]
        missing = len(jobs) * (jobs[0].recipe.epochs + 1)
        while missing:
            _raise_first(futures)
            with suppress(queue.Empty):
                bar.put(inbox.get(timeout=0.5))
                missing -= 1
        return [future.result() for future in futures]
    finally:
        pool.shutdown(cancel_futures=True)


def _raise_first(futures: Sequence[Future[Run]]) -> None:
    for future in futures:
        if future.done():
            future.result()


_inboxes: list[Inbox] = []  # a process of the pool has one for its whole life


def _join(inbox: Inbox) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that waits
    _inboxes.append(inbox)


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
        if tick.accuracy is None:
            self._progress.update(self._task, advance=1, description=f"{name}, loss {tick.loss:.3f}")
            return
        self._finished += 1
        self._progress.update(self._task, finished=self._finished)
        if not self._console.is_terminal:
            line = f"{self._finished}/{self._runs} runs: {name}, accuracy {tick.accuracy:.1f} %"
            self._console.print(line, highlight=False)
