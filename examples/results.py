"""Results as one small JSON file a comparison: typed reading and writing, means and intervals."""

import json
import math
import os
import platform
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from scipy.special import stdtrit

from examples.files import checked, read_results, write_results

FORMAT = 2
METRICS = {"classification": "accuracy", "segmentation": "mIoU"}  # by task
_PACKAGES = ("maskfusion", "torch", "lightning", "numpy")


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
        parameters: How many the network has.
        seconds: Training and test.
        epochs: One record each.
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
    parameters: int
    seconds: float
    epochs: list[EpochRecord]


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
        runs: One for each row and seed.
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
    runs: list[Run]
    format: int = FORMAT

    def rows(self) -> dict[str, list[Run]]:
        """Return the runs by row, in order of first appearance."""
        rows: dict[str, list[Run]] = {}
        for run in self.runs:
            rows.setdefault(run.row, []).append(run)
        return rows

    def write(self, path: Path) -> None:
        """Write the file, one line a run, and the folder it lies in."""
        write_results(path, asdict(self), "runs")

    @classmethod
    def read(cls, path: Path) -> "Results":
        """Read the file.

        Raises:
            FileNotFoundError: There is none.
            ValueError: It is not a results file of this format; says what is wrong.
        """
        raw = read_results(path, number=FORMAT, entries="runs", command="python -m examples compare")
        runs = [_run(run, path) for run in raw["runs"]]
        return cls(**{**checked(cls, raw, path), "runs": runs})


@dataclass(frozen=True)
class Interval:
    """A mean and the half-width of its 95 % interval.

    Args:
        mean: Over the seeds.
        half_width: By Student's t; NaN for a single seed.
        count: How many values.
    """

    mean: float
    half_width: float
    count: int


def interval(values: Sequence[float]) -> Interval:
    """Return the mean and its 95 % interval, t(0.975, n - 1) * s / sqrt(n)."""
    count = len(values)
    if count == 0:
        raise ValueError("`values` (=[]) must hold at least one number.")
    mean = math.fsum(values) / count
    if count == 1:
        return Interval(mean, math.nan, 1)
    deviation = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (count - 1))
    return Interval(mean, float(stdtrit(count - 1, 0.975)) * deviation / math.sqrt(count), count)


def paired_difference(runs: Iterable[Run], base: Iterable[Run]) -> Interval:
    """Return the mean difference in score to other runs on the same seeds, and its interval."""
    other = {run.seed: run.score for run in base}
    return interval([run.score - other[run.seed] for run in runs if run.seed in other])


def rounded(values: Mapping[str, float]) -> dict[str, float]:
    """Return the values with six digits that count: enough to draw and to compare, and short in a file."""
    return {name: float(f"{value:.6g}") for name, value in values.items()}


def finite(value: float) -> float | None:
    """Return None for NaN: JSON has no NaN."""
    return value if math.isfinite(value) else None


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that decide the numbers."""
    return {"python": platform.python_version(), **{name: version(name) for name in _PACKAGES}}


def machine(workers: int) -> str:
    """Describe the machine in a few words, without its name."""
    system = f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores"
    return f"{system}, {workers} at work with one thread each"


def read_run(path: Path) -> Run:
    """Read the file of one run."""
    return _run(json.loads(path.read_text(encoding="utf-8")), path)


def _run(raw: Mapping[str, Any], path: Path) -> Run:
    return Run(**{**checked(Run, raw, path), "epochs": [_epoch(record, path) for record in raw["epochs"]]})


def _epoch(raw: Mapping[str, Any], path: Path) -> EpochRecord:
    return EpochRecord(**checked(EpochRecord, raw, path))
