"""A study: try the settings of every row, choose by validation, run the rows with all seeds, gather the results."""

import os
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from statistics import fmean

from rich.console import Console

from examples.compare.bar import Bar
from examples.compare.jobs import Job, run_all
from examples.data.contract import MultimodalData
from examples.data.place import Place
from examples.errors import UserError
from examples.methods import create
from examples.recipes import Recipe, Value
from examples.results import METRICS, Failure, Results, Run, Trial
from examples.results.origin import machine, origin
from examples.run.folder import RunFolder
from examples.run.hardware import Hardware, instructions
from examples.run.loading import loaded
from examples.run.start import Start

TUNING_SEED = 1000
"""The first seed of the trials; no row is compared with it."""
_STAGES = "stages"


@dataclass(frozen=True)
class Study:
    """A recipe, what it reads and where it writes.

    Args:
        recipe: All settings.
        folder: Folder of the runs.
        place: Location of the data.
        rows: Only these rows; all when none are named.
        hardware: Parts of the machine that each run uses.
        keep: Whether the checkpoints of finished runs stay.
        fresh: Whether finished runs are run again.
        start: Start of a row with a seed, if it is another run.
    """

    recipe: Recipe
    folder: Path
    place: Place
    rows: Sequence[str] | None = None
    hardware: Hardware = field(default_factory=Hardware)
    keep: bool = False
    fresh: bool = False
    start: Callable[[str, int], Start] | None = None

    def __post_init__(self) -> None:
        """Find out what is wrong before the first run.

        Raises:
            UserError: The data is not where it should be.
            UserError: The recipe, or a data file, is wrong; says what.
        """
        recipe, data = self.recipe, self.data()
        if _STAGES in recipe.rows(self.rows):
            raise UserError(
                f"No row can be called '{_STAGES}', the name of the folder of what rows begin with; rename it, or the modality."
            )
        recipe.network.expect_pooled(data.modalities)
        for name, row in recipe.rows(self.rows).items():
            for trial in row.trials():
                own = recipe.of_row(name, trial).comparison[name]
                create(own.method, own.arguments).inputs(list(data.modalities))
        if recipe.select == "validation" and data.validation is None:
            raise UserError(
                f"`select` (='validation') needs a validation part; '{data.name}' is split without one."
            )

    def data(self) -> MultimodalData:
        """Load the data of the first seed."""
        recipe = self.recipe
        return loaded(recipe.data, self.place, seed=recipe.first_seed, options=recipe.data_options)

    def stages(self) -> Path:
        """Return the folder of stages that several rows begin with."""
        return self.folder / _STAGES

    def trials(self) -> list[tuple[Job, dict[str, Value]]]:
        """Return a job for each trial of each row with each tuning seed; none for rows with one trial."""
        return [
            (self._claimed(name, TUNING_SEED + more, trial, f"trial-{number}"), trial)
            for name, row in self.recipe.rows(self.rows).items()
            if len(row.trials()) > 1
            for number, trial in enumerate(row.trials())
            for more in range(self.recipe.tuning_seeds)
        ]

    def jobs(self, chosen: dict[str, dict[str, Value]]) -> list[Job]:
        """Return a job for each row that is left and each seed.

        Args:
            chosen: The trial of each row; a row without one is left out.
        """
        seeds = range(self.recipe.first_seed, self.recipe.first_seed + self.recipe.seeds)
        return [self._claimed(name, seed, chosen[name]) for name in chosen for seed in seeds]

    def _claimed(self, row: str, seed: int, trial: dict[str, Value], *parts: str) -> Job:
        shared = self.stages() if self.start is None else None
        folder = RunFolder(self.folder.joinpath(row, *parts, f"seed-{seed}"), shared)
        recipe = self.recipe.of_row(row, trial)
        start = None if self.start is None else self.start(row, seed)
        folder.claim(row, seed, recipe, fresh=self.fresh, start=None if start is None else start.record())
        return Job(row, seed, recipe, self.place, folder, self.hardware, self.keep and not parts, start)


def compare(study: Study, *, workers: int | None, command: str, console: Console) -> Results:
    """Run what is not finished yet, show progress, return the results. A run that fails is noted, and stops no other.

    Args:
        study: Study to run.
        workers: Processes; one for each core by default, 1 stays in this process.
        command: Command that was typed, for the record.
        console: Console that shows progress.

    Raises:
        UserError: A run with other settings lies where one of these is to go.
    """
    start, recipe = time.perf_counter(), study.recipe
    if study.fresh:
        shutil.rmtree(study.stages(), ignore_errors=True)
    rows, trials = recipe.rows(study.rows), study.trials()
    workers = workers or os.cpu_count() or 1
    with Bar(len(trials) + len(rows) * recipe.seeds, recipe.epochs, console) as bar:
        tried = run_all([job for job, _ in trials], workers, bar)
        measured = _measured([(job.row, trial) for job, trial in trials], tried)
        chosen = {name: row.trials()[0] for name, row in rows.items() if len(row.trials()) == 1}
        chosen |= {trial.row: trial.settings for trial in measured if trial.chosen}
        made = run_all(study.jobs({name: chosen[name] for name in rows if name in chosen}), workers, bar)
    if not study.keep:
        shutil.rmtree(study.stages(), ignore_errors=True)
    data = study.data()
    parts = {"train": data.train, "validation": data.validation, "test": data.test}
    spent = sum(outcome.seconds for outcome in (*tried, *made) if isinstance(outcome, Run))
    seconds = max(time.perf_counter() - start, spent / workers)  # also of runs that were finished before
    return Results(
        data=recipe.data,
        modalities=list(data.modalities),
        classes=len(data.classes),
        metric=METRICS[data.task],
        samples={name: len(part) for name, part in parts.items() if part is not None},
        recipe=asdict(recipe),
        trials=measured,
        failures=[outcome for outcome in (*tried, *made) if isinstance(outcome, Failure)],
        runs=[outcome for outcome in made if isinstance(outcome, Run)],
        **origin(command, seconds, machine(workers, instructions(), study.hardware.gpu())),
    )


def _measured(
    tried: Sequence[tuple[str, dict[str, Value]]], outcomes: Sequence[Run | Failure]
) -> list[Trial]:
    """Return what each trial came to, the best of each row as chosen."""
    by_trial: dict[tuple[str, tuple[tuple[str, Value], ...]], list[Run | Failure]] = {}
    for (row, settings), outcome in zip(tried, outcomes, strict=True):
        by_trial.setdefault((row, tuple(settings.items())), []).append(outcome)
    measured = [_trial(row, dict(settings), runs) for (row, settings), runs in by_trial.items()]
    best: dict[str, Trial] = {}
    for trial in sorted(
        (trial for trial in measured if trial.loss is not None), key=lambda trial: trial.loss or 0.0
    ):
        best.setdefault(trial.row, trial)
    return [replace(trial, chosen=trial is best.get(trial.row)) for trial in measured]


def _trial(row: str, settings: dict[str, Value], outcomes: Sequence[Run | Failure]) -> Trial:
    runs = [run for run in outcomes if isinstance(run, Run)]
    if len(runs) < len(outcomes):
        return Trial(row, settings, None, None, chosen=False)
    losses, scores = (
        [run.epochs[run.chosen - 1].validation[key] for run in runs] for key in ("loss", "score")
    )
    return Trial(row, settings, fmean(losses), fmean(scores), chosen=False, losses=losses)
