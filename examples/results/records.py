"""Results as one small JSON file per comparison: typed reading and writing."""

from dataclasses import asdict, field, replace
from typing import Any, Literal

from pydantic.dataclasses import dataclass
from typing_extensions import override

from examples.recipes import Value
from examples.results.epochs import Epochs, columns_of
from examples.results.file import ResultsFile
from examples.typed import WRITTEN

FORMAT: Literal[3] = 3
METRICS = {"classification": "accuracy", "segmentation": "mIoU"}  # by task


@dataclass(frozen=True, config=WRITTEN)
class Run:
    """One row with one seed.

    Args:
        row: Name of the row in the recipe.
        seed: Seed of split, weights and batches.
        method: Name of the method.
        quantise: Whether it had quantisers and decoders.
        channels: Channels of each modality in the fused space.
        score: Score of the chosen weights on the test samples, percent.
        chosen: The epoch that gave them, from 1.
        complementary: Open channels of each modality in them, percent of the fused space.
        kept: The same, percent of the modality's own channels, Eq. 6.
        zeta: Zeta of these weights, Eq. 7; None where it is undefined.
        alone: Score on the test samples with the inputs of all other modalities at zero, their mean, percent.
        parameters: Number of parameters of the network.
        seconds: Training and test.
        processor_seconds: The same, as time of the processor, which other work on the machine hardly changes.
        epochs: One record each; empty where the file was written without them.
        left_out: Reasons why samples of the data set are in no part, by name.
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
    epochs: Epochs
    left_out: dict[str, str] = field(default_factory=dict)

    @property
    def masked(self) -> bool:
        """Whether its network had a mask; False without epochs."""
        return bool(self.epochs) and bool(self.epochs[0].complementary)


@dataclass(frozen=True, config=WRITTEN)
class Trial:
    """One of the settings that were tried for a row before its seeds were run.

    Args:
        row: Name of the row in the recipe.
        settings: Keys of the row's `tune` to values.
        loss: Lowest validation task loss, the mean over the tuning seeds; None where the trial failed.
        score: Score on the validation part, of the same weights, percent; None where it failed.
        chosen: Whether the row uses it.
        losses: The loss on each tuning seed; empty where it failed, and in older files.
    """

    row: str
    settings: dict[str, Value]
    loss: float | None
    score: float | None
    chosen: bool
    losses: list[float] = field(default_factory=list)


@dataclass(frozen=True, config=WRITTEN)
class Failure:
    """A run that came to nothing.

    Args:
        row: Name of the row in the recipe.
        seed: Seed of the run.
        error: Message of the error.
    """

    row: str
    seed: int
    error: str


@dataclass(frozen=True, config=WRITTEN)
class Results(ResultsFile):
    """Everything that tables and plots are made from.

    Args:
        data: Name of the data set.
        modalities: Their names, in order.
        classes: Number of classes.
        metric: Meaning of a score, "accuracy" or "mIoU", the mean intersection over union of the classes.
        samples: Numbers of samples to train on, to choose the epoch by, and to test on.
        recipe: All settings.
        seconds: Wall-clock time of the whole comparison; where runs were finished before, the seconds of all runs shared
            out over the processes.
        trials: Trials of the rows that are tuned.
        failures: Runs that failed.
        runs: One for each row and seed that came to something.
        format: Format of this file.
    """

    ENTRIES = "runs"
    COMMAND = "python -m examples compare"

    data: str
    modalities: list[str]
    classes: int
    metric: str
    samples: dict[str, int]
    recipe: dict[str, Any]
    trials: list[Trial]
    failures: list[Failure]
    runs: list[Run]
    format: Literal[3] = FORMAT

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

    @override
    def values(self) -> dict[str, Any]:
        """Return the content of the file."""
        return {
            **asdict(self),
            "runs": [{**asdict(run), "epochs": columns_of(run.epochs)} for run in self.runs],
        }


def _small(run: Run) -> Run:
    records = [replace(record, loss={}, perplexity={}, mask="") for record in run.epochs if run.masked]
    return replace(run, epochs=records)
