"""What people and networks know of the same clips, as one small JSON file: typed reading and writing."""

from typing import Any, Literal

from pydantic.dataclasses import dataclass

from examples.results.file import ResultsFile
from examples.typed import WRITTEN

FORMAT: Literal[1] = 1


@dataclass(frozen=True, config=WRITTEN)
class Raters:
    """What people know of the clips of one test part. Lists have one number per class, see `examples.people.informed.informedness`.

    Args:
        seed: Seed that drew the test part.
        given: What they were given: "voice", "face" or "both".
        clips: Number of clips.
        majority: Informedness of what most of a clip's raters chose.
        single: Informedness of one rater, the mean over them.
    """

    seed: int
    given: str
    clips: int
    majority: list[float]
    single: list[float]


@dataclass(frozen=True, config=WRITTEN)
class Network:
    """What one trained network knows of the clips of its test part.

    Args:
        row: Row of the run.
        seed: Seed of the run.
        modalities: What it is given, in order.
        informed: Informedness of its answers, one number per class.
        shapley: Shapley values of that, by modality, one number per class, absent modalities at zero, their mean; empty for one
            modality.
        kept: Open channels of each modality in percent of its own, Eq. 6; empty without a mask.
        zeta: Zeta, Eq. 7; None without a mask, and where it is undefined.
    """

    row: str
    seed: int
    modalities: list[str]
    informed: list[float]
    shapley: dict[str, list[float]]
    kept: dict[str, float]
    zeta: float | None


@dataclass(frozen=True, config=WRITTEN)
class PeopleResults(ResultsFile):
    """Everything that the figure and the page are made from.

    Args:
        data: Name of the data set.
        data_options: Options of its loader, of all runs.
        classes: Names of the classes.
        seconds: Wall-clock time, without training.
        raters: One for each seed and what was given.
        networks: One for each run.
        format: Format of this file.
    """

    ENTRIES = "networks"
    COMMAND = "python -m examples people"

    data: str
    data_options: dict[str, Any]
    classes: list[str]
    raters: list[Raters]
    networks: list[Network]
    format: Literal[1] = FORMAT

    def given(self, what: str) -> list[Raters]:
        """Return what people know from the voice, the face or both, by seed."""
        return sorted((each for each in self.raters if each.given == what), key=lambda each: each.seed)

    def row(self, name: str) -> list[Network]:
        """Return the networks of a row, by seed."""
        return sorted((each for each in self.networks if each.row == name), key=lambda each: each.seed)
