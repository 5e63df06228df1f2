"""Every value of every dial, times lambdas, times seeds: plan the trials, spread them over processes, gather them."""

import os
import time
from collections.abc import Sequence
from dataclasses import asdict
from itertools import chain, combinations

from rich.console import Console
from rich.progress import Progress

from examples.data.sets.synthetic import ceiling
from examples.errors import UserError
from examples.results.origin import machine, origin
from examples.run.hardware import instructions
from examples.run.pool import Tell, spread
from examples.zeta.dials import DIALS, Dial
from examples.zeta.records import Trial, Truth, Turned, ZetaResults
from examples.zeta.trial import Job, Settings, run
from maskfusion.contribution import shapley_values


def plan(settings: Settings, dials: Sequence[str] | None = None) -> list[Job]:
    """Return every trial to be made.

    Args:
        settings: Settings that they share.
        dials: Names of the dials that are turned; all if None.

    Raises:
        UserError: If a dial is unknown.
    """
    unknown = [name for name in dials or () if name not in DIALS]
    if unknown:
        raise UserError(f"`dials` has unknown names {unknown}; there are {list(DIALS)}.")
    seeds = range(settings.first_seed, settings.first_seed + settings.seeds)
    return [
        Job(name, value, weight, seed, settings)
        for name in dials or DIALS
        for value in DIALS[name].values
        for weight in settings.weights
        for seed in seeds
    ]


def experiment(jobs: Sequence[Job], *, workers: int | None, command: str, console: Console) -> ZetaResults:
    """Make all trials, show progress, return the results.

    Args:
        jobs: Jobs from `plan`.
        workers: Processes; one for each core if None, 1 stays in this process.
        command: Command that was typed, for the record.
        console: Console that shows progress, if it is a terminal.
    """
    start = time.perf_counter()
    workers = min(workers or os.cpu_count() or 1, len(jobs))
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        bar = progress.add_task("trials", total=len(jobs))
        trials = spread(_made, jobs, workers, done=lambda *_: progress.advance(bar))
    turned = {name: DIALS[name] for name in dict.fromkeys(job.dial for job in jobs)}
    data = jobs[0].settings
    return ZetaResults(
        modalities=list(DIALS[jobs[0].dial].turn(jobs[0].value).data.modalities),
        channels=data.channels,
        settings=asdict(data),
        dials={name: truth_of(dial) for name, dial in turned.items()},
        trials=trials,
        **origin(command, round(time.perf_counter() - start, 1), machine(workers, instructions())),
    )


def truth_of(dial: Dial) -> Turned:
    """Return what is true at every value of a dial, from its definition and without a network."""
    truths = []
    for value in dial.values:
        data = dial.turn(value).data
        names = data.modalities
        sets = chain.from_iterable(combinations(names, size) for size in range(len(names) + 1))
        reached = {present: ceiling(data, present) for present in sets}
        worth = shapley_values(names, reached)
        truths.append(
            Truth(
                joint=round(reached[names], 4),
                alone=[round(reached[name,], 4) for name in names],
                shapley=[round(worth[name], 4) for name in names],
            )
        )
    return Turned(dial.title, dial.axis, list(dial.values), truths)


def _made(job: Job, tell: Tell) -> Trial:
    """Return one trial, which tells nothing on the way."""
    del tell
    return run(job)
