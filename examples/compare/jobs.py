"""What a run of a comparison needs, and what comes of it, in any process."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch

from examples.compare.bar import Bar, Epoch
from examples.data.place import Place
from examples.recipes import Recipe
from examples.results import EpochRecord, Failure, Run
from examples.run.folder import RunFolder
from examples.run.hardware import Hardware
from examples.run.loading import loaded
from examples.run.pool import Tell, spread
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


def run_job(job: Job, tell: Tell) -> Run | Failure:
    """Train and score one job; the same numbers in any process. What goes wrong in it comes back and stops nothing else.

    Args:
        job: Job to run.
        tell: Function called with each `Epoch`.
    """
    from examples.run.training import train, train_once  # noqa: PLC0415 - takes seconds, and the process that waits needs none of it

    recipe, threads = job.recipe, torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        data = loaded(recipe.data, job.place, seed=job.seed, options=recipe.data_options)

        def told(_: int, record: EpochRecord) -> None:
            tell(Epoch(job.row, job.seed, record.loss["total"]))

        if job.folder.shared is not None and recipe.comparison[job.row].method == "unimodal":
            stage = job.folder.stage(job.row, job.seed, recipe)  # which other rows may begin with
            run = train_once(
                job.row,
                recipe,
                data,
                seed=job.seed,
                folder=stage,
                hardware=job.hardware,
                on_epoch=told,
            )
            job.folder.take(stage)
        else:
            run = train(
                job.row,
                recipe,
                data if job.start is None else job.start.scored(data),
                seed=job.seed,
                folder=job.folder,
                hardware=job.hardware,
                on_epoch=told,
                initialise=(lambda _: None) if job.start is None else job.start.initialise,
            )
        job.folder.finish(run, keep=job.keep)
    except Exception as error:  # noqa: BLE001 - a failing cell is shown as failed, for any reason
        return Failure(job.row, job.seed, f"{type(error).__name__}: {' '.join(str(error).split())}")
    finally:
        torch.set_num_threads(threads)
    return run


def run_all(jobs: Sequence[Job], workers: int, bar: Bar) -> list[Run | Failure]:
    """Run the jobs that are not finished yet, and return what came of all of them, in order."""
    found = [job.folder.read_result() for job in jobs]
    todo = [job for job, run in zip(jobs, found, strict=True) if run is None]
    bar.skip(len(jobs) - len(todo), len(jobs))
    made = iter(
        spread(
            run_job,
            todo,
            workers,
            tell=bar.show_epoch,
            done=lambda job, outcome: bar.show_run(job.row, job.seed, outcome),
        )
    )
    return [next(made) if run is None else run for run in found]
