"""Work spread over processes, which end with the process that waits for them, however that ends."""

import multiprocessing
import os
import signal
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from threading import Thread
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

if TYPE_CHECKING:
    from multiprocessing.queues import SimpleQueue

Job = TypeVar("Job")
Outcome = TypeVar("Outcome")
Tell: TypeAlias = Callable[[Any], None]

_OFTEN = 0.2  # seconds between two looks at what was told


def spread(
    work: Callable[[Job, Tell], Outcome],
    jobs: Sequence[Job],
    workers: int,
    *,
    done: Callable[[Job, Outcome], None],
    tell: Tell = lambda _: None,
) -> list[Outcome]:
    """Return what comes of each job, in order.

    Args:
        work: A function of a module, so that another process finds it. It gets a job, and something to tell on the way.
        jobs: Jobs, each complete enough for another process.
        workers: Processes of their own; where one is enough it is this one.
        done: Is called here with each job and what came of it, as soon as it is known.
        tell: Function called here with what `work` tells.

    Raises:
        KeyboardInterrupt: Ctrl-C; the processes have ended.
    """
    if min(workers, len(jobs)) <= 1:
        made = []
        for job in jobs:
            made.append(work(job, tell))
            done(job, made[-1])
        return made
    context = multiprocessing.get_context("spawn")
    told: SimpleQueue[Any] = context.SimpleQueue()  # what is told is there before what comes of the job
    before = multiprocessing.active_children()
    pool = ProcessPoolExecutor(
        min(workers, len(jobs)), mp_context=context, initializer=_begin, initargs=(told,)
    )
    try:
        futures = {pool.submit(_work, work, job): job for job in jobs}
        _follow(futures, told, tell, done)
        return [future.result() for future in futures]
    except BaseException:  # Python 3.14 has `pool.kill_workers()`
        for process in set(multiprocessing.active_children()) - set(before):
            process.kill()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def _follow(
    futures: dict[Future[Outcome], Job],
    told: "SimpleQueue[Any]",
    tell: Tell,
    done: Callable[[Job, Outcome], None],
) -> None:
    """Pass on what is told until all is done."""
    waiting = set(futures)
    while waiting:
        ready, waiting = wait(waiting, timeout=_OFTEN, return_when=FIRST_COMPLETED)
        while not told.empty():
            tell(told.get())
        for future in ready:
            done(futures[future], future.result())


_told: list["SimpleQueue[Any]"] = []  # a process of the pool has one for its whole life


def _begin(told: "SimpleQueue[Any]") -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that waits
    _told.append(told)
    Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """End this process, busy as it may be, when its parent has ended; neither joblib nor the standard library does.

    No signal does it: Lightning handles SIGTERM in training, by an exception that the pool takes for the outcome of the job.
    """
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _work(work: Callable[[Job, Tell], Outcome], job: Job) -> Outcome:
    return work(job, _told[0].put)
