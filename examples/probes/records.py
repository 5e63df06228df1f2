"""What the probes found, as one small JSON file: typed reading and writing."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

from pydantic.dataclasses import dataclass

from examples.results.file import ResultsFile
from examples.typed import WRITTEN

FORMAT: Literal[1] = 1
FILE = "probes.json"


@dataclass(frozen=True, config=WRITTEN)
class Probe:
    """One probe on one part of the channels of one trained run. Shares are in percent.

    Args:
        row: Row of the run.
        seed: Seed of the run.
        label: Label that is asked for: a side label, or "target".
        modality: Whose channels, or "all".
        channels: "complementary" or "contradictory".
        count: Number of channels; with 0 there is no accuracy.
        accuracy: Accuracy of the probe, cross-validated.
        low: Lower end of its 95 % interval, Wilson's with each group of samples as one trial.
        high: Upper end.
        chance: Share that the most frequent label gets right under the same folds.
        control: Accuracy on the control task, mean over draws. What accuracy has above it is the selectivity.
        matched: Accuracy with as many channels as the smaller of both parts, mean over random subsets.
        matched_count: Number of these channels; with 0 there is no such accuracy.
        samples: Asked about.
        groups: Number of groups they are in, see `groups_of`.
        classes: Number of labels.
    """

    row: str
    seed: int
    label: str
    modality: str
    channels: str
    count: int
    accuracy: float | None
    low: float | None
    high: float | None
    chance: float
    control: float | None
    matched: float | None
    matched_count: int
    samples: int
    groups: int
    classes: int


@dataclass(frozen=True, config=WRITTEN)
class ProbeResults(ResultsFile):
    """Everything that the tables are made from.

    Args:
        data: Name of the data set.
        part: Part of it that the probes saw.
        learned: Whether the networks had learned from some of these samples.
        settings: Settings of the probes.
        recipe: Recipe of the runs, and their rows under "comparison".
        seconds: Wall-clock time of all probes, without training.
        probes: One for each run, label, modality and part of the channels.
        format: Format of this file.
    """

    ENTRIES = "probes"
    COMMAND = "python -m examples probe"

    data: str
    part: str
    learned: bool
    settings: dict[str, Any]
    recipe: dict[str, Any]
    probes: list[Probe]
    format: Literal[1] = FORMAT


def write_probes(folder: Path, probes: Sequence[Probe]) -> None:
    """Write the probes of one run into its folder, a list with a line a probe."""
    lines = ",\n".join(json.dumps(asdict(probe), allow_nan=False) for probe in probes)
    (folder / FILE).write_text(f"[\n{lines}\n]\n", encoding="utf-8")
