"""What the experiment wrote down, as one small JSON file: typed reading and writing."""

from typing import Any, Literal

from pydantic.dataclasses import dataclass

from examples.results.file import ResultsFile
from examples.typed import WRITTEN

FORMAT: Literal[1] = 1


@dataclass(frozen=True, config=WRITTEN)
class Truth:
    """What one who knows the dials could reach, see `examples.data.sets.synthetic.ceiling`. Lists have one number per modality.

    Args:
        joint: Accuracy with all modalities, in [0, 1].
        alone: Accuracy with each alone.
        shapley: Shapley values of that accuracy: the worth of each.
    """

    joint: float
    alone: list[float]
    shapley: list[float]

    @property
    def balance(self) -> float:
        """The smallest over the largest worth: what zeta would be if it measured worth; in [0, 1]."""
        return min(self.shapley) / max(self.shapley)


@dataclass(frozen=True, config=WRITTEN)
class Turned:
    """One dial, and what is true at each of its values.

    Args:
        title: Title of the dial, in a few words.
        axis: Meaning of a value, with its unit.
        values: Values from one end to the other.
        truth: One for each value.
    """

    title: str
    axis: str
    values: list[float]
    truth: list[Truth]


@dataclass(frozen=True, config=WRITTEN)
class Trial:
    """One trained network. Lists have one number per modality.

    Args:
        dial: Name of the dial.
        value: Value at which the dial stood.
        weight: Lambda.
        seed: Seed of data, first weights and batches.
        accuracy: Accuracy on test samples, in [0, 1].
        zeta: Zeta at the end, Eq. 7; None where nothing is open.
        course: Zeta after each quarter of training.
        open: Open channels.
        shapley: Shapley values of the accuracy on test samples, with absent modalities set to zero.
        alone: Accuracy of the same network on test samples with that modality only.
    """

    dial: str
    value: float
    weight: float
    seed: int
    accuracy: float
    zeta: float | None
    course: list[float | None]
    open: list[int]
    shapley: list[float]
    alone: list[float]


@dataclass(frozen=True, config=WRITTEN)
class ZetaResults(ResultsFile):
    """Everything that the picture and the page are made from.

    Args:
        modalities: Their names, in order.
        channels: Number of channels of each modality in the fused space.
        settings: All of them.
        seconds: Wall-clock time of all trials.
        dials: Dials by name.
        trials: One for each value, lambda and seed of each dial.
        format: Format of this file.
    """

    ENTRIES = "trials"
    COMMAND = "python -m examples zeta"

    modalities: list[str]
    channels: int
    settings: dict[str, Any]
    dials: dict[str, Turned]
    trials: list[Trial]
    format: Literal[1] = FORMAT

    @property
    def weights(self) -> list[float]:
        """Every lambda, from the smallest."""
        return sorted({trial.weight for trial in self.trials})

    def of(self, dial: str, weight: float, value: float | None = None) -> list[Trial]:
        """Return the trials of a dial with one lambda, at one of its values or at all."""
        return [
            trial
            for trial in self.trials
            if trial.dial == dial and trial.weight == weight and value in (None, trial.value)
        ]

    def truth(self, trial: Trial) -> Truth:
        """Return what is true where a trial's dial stood."""
        turned = self.dials[trial.dial]
        return turned.truth[turned.values.index(trial.value)]

    def kept(self, trial: Trial) -> list[float]:
        """Return the open channels of each modality in percent of its own, Eq. 6."""
        return [100 * count / self.channels for count in trial.open]

    def complementary(self, trial: Trial) -> list[float]:
        """Return compl of each modality, percent of the fused space, Eq. 8."""
        return [share / len(self.modalities) for share in self.kept(trial)]

    def contradictory(self, trial: Trial) -> list[float]:
        """Return contr of each modality, percent of the fused space; with compl they add up to 100, Eq. 8."""
        return [100 / len(self.modalities) - share for share in self.complementary(trial)]
