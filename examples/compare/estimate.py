"""How long a comparison will take: a few steps of each row, times the steps that there are to do."""

from dataclasses import replace
from math import ceil
from statistics import median
from time import perf_counter

import torch

from examples.compare.study import Study
from examples.data.batches import Draw
from examples.data.contract import MultimodalData
from examples.methods import create
from examples.nets.model import build_model
from examples.recipes import Recipe, Row
from examples.run.folder import RunFolder
from maskfusion import parameter_groups

_STEPS = 6  # of a row that are measured, the first of them not
_PATIENCE = 3.0  # seconds after which no further row is measured
_FORWARD = 0.4  # of a training step is one without gradients
# What Lightning takes besides, in seconds, as seen on one machine. One half as fast takes twice that, and is said to take less than
# it does where networks are so small that a step takes a few milliseconds; of larger ones it is a small part.
_PER_STEP, _PER_EPOCH, _PER_RUN, _PER_PROCESS = 0.002, 0.06, 0.3, 8.0


def estimate(study: Study, workers: int) -> float:
    """Return the seconds that those runs of a study will take which are not finished, roughly.

    Each row is measured by a few steps on one thread, as its runs have. Where that takes long, the last rows count as the
    dearest of the others. A row that cannot run counts nothing, and what several rows begin with counts once.

    Args:
        study: Study to run.
        workers: Processes that share the runs.
    """
    recipe, data, begun = study.recipe, study.data(), perf_counter()
    todo, costs = 0.0, [0.0]
    rows = recipe.rows(study.rows)
    own = {name: recipe.of_row(name, row.trials()[0]) for name, row in rows.items()}
    known = list(own.values())
    for name, row in rows.items():
        runs = _runs(study, name, row)
        if runs and perf_counter() - begun < _PATIENCE:
            try:
                costs.append(_seconds(own[name], data, known))
            except Exception:  # noqa: BLE001 - its runs will fail too, and say why; the other rows go on
                costs.append(0.0)
        else:
            costs.append(max(costs))
        todo += runs * costs[-1]
    return todo / workers + (_PER_PROCESS if todo else 0.0)


def in_words(seconds: float) -> str:
    """Return a time in a unit that fits."""
    if seconds < 100:
        return f"{10 * ceil(seconds / 10)} seconds"
    return f"{seconds / 60:.0f} minutes" if seconds < 5400 else f"{seconds / 3600:.1f} hours"


def _runs(study: Study, name: str, row: Row) -> int:
    recipe, trials = study.recipe, len(row.trials())
    seeds = range(recipe.first_seed, recipe.first_seed + recipe.seeds)
    left = [
        seed
        for seed in seeds
        if study.fresh or RunFolder(study.folder / name / f"seed-{seed}").read_result() is None
    ]
    return len(left) + (trials * recipe.tuning_seeds if left and trials > 1 else 0)


def _seconds(recipe: Recipe, data: MultimodalData, known: list[Recipe]) -> float:
    """Return what one run of a recipe of one row takes, and what it begins with where that is not known; it is then."""
    (row,) = recipe.comparison.values()
    method = create(row.method, row.arguments)
    stages = (
        replace(recipe, comparison={name: stage})
        for name, stage in method.stages(list(data.modalities)).items()
    )
    new = [stage for stage in stages if stage not in known]
    known += new
    before = sum(_seconds(stage, data, known) for stage in new)
    data = data.select(method.inputs(list(data.modalities)))
    last = method.schedule(recipe)
    step = _step(recipe, row, data)
    learned, chosen, tested = (
        0 if part is None else len(part) / recipe.batch_size
        for part in (data.train, data.validation, data.test)
    )
    epoch = learned * (step + _PER_STEP) + chosen * _FORWARD * step + _PER_EPOCH
    looks = 1 + len(data.modalities)  # at the test part: together, and each alone
    epochs = 0 if last is None else last.epochs
    return before + epochs * epoch + looks * tested * _FORWARD * step + _PER_RUN


def _step(recipe: Recipe, row: Row, data: MultimodalData) -> float:
    """Return what one step of training takes, reading and all."""
    draw = Draw(list(range(min(recipe.batch_size, len(data.train)))), None)
    threads = torch.get_num_threads()
    times: list[float] = []
    torch.set_num_threads(1)
    try:
        with torch.random.fork_rng(devices=()):
            method = create(row.method, row.arguments)
            model = build_model(data, recipe.network, quantise=row.quantise)
            method.configure(model)
            criterion = method.loss(recipe.loss)
            optimizer = torch.optim.AdamW(parameter_groups(model, lr=recipe.learning_rate), fused=True)
            while len(times) < _STEPS and sum(times) < _PATIENCE / 2:
                start = perf_counter()
                batch = data.train[draw]
                criterion(model, model(batch.inputs), batch).total.backward()
                optimizer.step()
                optimizer.zero_grad()
                times.append(perf_counter() - start)
    finally:
        torch.set_num_threads(threads)
    return median(times[1:] or times)
