"""Results as one small JSON file a comparison: typed reading and writing."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from examples.files import checked, read_results, write_results
from examples.recipes import Value

FORMAT = 3
METRICS = {"classification": "accuracy", "segmentation": "mIoU"}  # by task
_BY_NAME = (
    "loss",
    "complementary",
    "perplexity",
    "validation",
)  # fields of an `EpochRecord` that are mappings


@dataclass(frozen=True)
class EpochRecord:
    """What one epoch ended with.

    Args:
        loss: Mean of each term of Eq. 1 over the epoch, unweighted, and of their weighted sum, `total`.
        complementary: Kept channels of each modality in percent of the fused space, Eq. 8; empty without mask.
        zeta: Complementarity, Eq. 7; None where it is undefined.
        flipped: Channels that opened or closed since the epoch before.
        perplexity: Mean over the epoch, by modality; empty without quantisers.
        validation: Task loss and score in percent on the validation part; empty without one.
        mask: One character a channel, ``1`` is kept, in the order of the modalities; empty without mask.
    """

    loss: dict[str, float]
    complementary: dict[str, float]
    zeta: float | None
    flipped: int
    perplexity: dict[str, float]
    validation: dict[str, float]
    mask: str


@dataclass(frozen=True)
class Run:
    """One row with one seed.

    Args:
        row: Its name in the recipe.
        seed: Of split, weights and batches.
        method: By name.
        quantise: Whether it had quantisers and decoders.
        channels: Channels of each modality in the fused space.
        score: Of the chosen weights on the test samples, percent.
        chosen: The epoch that gave them, from 1.
        complementary: Kept channels of each modality in them, percent of the fused space.
        kept: The same, percent of the modality's own channels, Eq. 6.
        zeta: Of them, Eq. 7; None where it is undefined.
        alone: Score on the test samples with the inputs of all other modalities at zero, their mean, percent.
        parameters: How many the network has.
        seconds: Training and test.
        processor_seconds: The same, as time of the processor, which other work on the machine hardly changes.
        epochs: One record each; empty where the file was written without them.
    """

    row: str
    seed: int
    method: str
    quantise: bool
    channels: dict[str, int]
    score: float
    chosen: int
    complementary: dict[str, float]
    kept: dict[str, float]
    zeta: float | None
    alone: dict[str, float]
    parameters: int
    seconds: float
    processor_seconds: float
    epochs: list[EpochRecord]


@dataclass(frozen=True)
class Trial:
    """One of the settings that were tried for a row before its seeds were run.

    Args:
        row: Its name in the recipe.
        settings: Keys of the row's `tune` to values.
        loss: Lowest validation task loss, the mean over the tuning seeds; None where the trial failed.
        score: On the validation part, of the same weights, percent; None where it failed.
        chosen: Whether the row uses it.
    """

    row: str
    settings: dict[str, Value]
    loss: float | None
    score: float | None
    chosen: bool


@dataclass(frozen=True)
class Failure:
    """A run that came to nothing.

    Args:
        row: Its name in the recipe.
        seed: Of the run.
        error: What it said.
    """

    row: str
    seed: int
    error: str


@dataclass(frozen=True)
class Results:
    """Everything that tables and plots are made from.

    Args:
        data: Name of the data set.
        modalities: Their names, in order.
        classes: How many.
        metric: What a score is, "accuracy" or "mIoU", the mean intersection over union of the classes.
        samples: How many to train on, to choose the epoch by, and to test on.
        command: What was typed.
        recipe: All settings.
        versions: Of Python and the packages that matter.
        machine: In words.
        seconds: Wall-clock time of the whole comparison; where runs were finished before, the seconds of all runs shared
            out over the processes.
        trials: What was tried before, of the rows that are tuned.
        failures: What came to nothing.
        runs: One for each row and seed that came to something.
        format: Of this file.
    """

    data: str
    modalities: list[str]
    classes: int
    metric: str
    samples: dict[str, int]
    command: str
    recipe: dict[str, Any]
    versions: dict[str, str]
    machine: str
    seconds: float
    trials: list[Trial]
    failures: list[Failure]
    runs: list[Run]
    format: int = FORMAT

    def rows(self) -> dict[str, list[Run]]:
        """Return the runs by row, in order of first appearance."""
        rows: dict[str, list[Run]] = {}
        for run in self.runs:
            rows.setdefault(run.row, []).append(run)
        return rows

    def row_names(self) -> list[str]:
        """Return all rows in the order of the recipe, those without a run too."""
        there = {run.row for run in self.runs} | {failure.row for failure in self.failures}
        return [name for name in self.recipe["comparison"] if name in there]

    def small(self) -> "Results":
        """Return the same without what only pictures of single runs need: no masks, and epochs of masked runs only."""
        return replace(self, runs=[_small(run) for run in self.runs])

    def write(self, path: Path) -> None:
        """Write the file, one line a run, and the folder it lies in."""
        runs = [{**asdict(run), "epochs": _columns(run.epochs)} for run in self.runs]
        write_results(path, {**asdict(self), "runs": runs}, "runs")

    @classmethod
    def read(cls, path: Path) -> "Results":
        """Read the file.

        Raises:
            FileNotFoundError: There is none.
            ValueError: It is not a results file of this format; says what is wrong.
        """
        raw = read_results(path, number=FORMAT, entries="runs", command="python -m examples compare")
        lists: dict[str, list[Any]] = {
            "trials": [Trial(**checked(Trial, trial, path)) for trial in raw.get("trials", [])],
            "failures": [Failure(**checked(Failure, failure, path)) for failure in raw.get("failures", [])],
            "runs": [_run({**run, "epochs": _rows(run["epochs"])}, path) for run in raw["runs"]],
        }
        return cls(**{**checked(cls, raw, path), **lists})


def read_run(path: Path) -> Run:
    """Read the file of one run."""
    return _run(json.loads(path.read_text(encoding="utf-8")), path)


def _run(raw: Mapping[str, Any], path: Path) -> Run:
    return Run(**{**checked(Run, raw, path), "epochs": [_epoch(record, path) for record in raw["epochs"]]})


def _epoch(raw: Mapping[str, Any], path: Path) -> EpochRecord:
    return EpochRecord(**checked(EpochRecord, raw, path))


def _small(run: Run) -> Run:
    masked = bool(run.epochs) and bool(run.epochs[0].complementary)
    records = [replace(record, loss={}, perplexity={}, mask="") for record in run.epochs] if masked else []
    return replace(run, epochs=records)


def _columns(records: Sequence[EpochRecord]) -> dict[str, Any]:
    """Return a list over the epochs for each name, so that a file says it once; None where an epoch lacks it."""
    if not records:
        return {}
    columns: dict[str, Any] = {}
    for key in (key.name for key in fields(EpochRecord)):
        values = [getattr(record, key) for record in records]
        if key in _BY_NAME:
            names = dict.fromkeys(name for value in values for name in value)
            columns[key] = {name: [value.get(name) for value in values] for name in names}
        else:
            columns[key] = values
    return columns


def _rows(columns: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return what `_columns` was made from."""
    rows: list[dict[str, Any]] = [{} for _ in columns.get("mask", ())]
    for key, values in columns.items():
        for number, row in enumerate(rows):
            if key in _BY_NAME:
                there = {name: column[number] for name, column in values.items()}
                row[key] = {name: value for name, value in there.items() if value is not None}
            else:
                row[key] = values[number]
    return rows
