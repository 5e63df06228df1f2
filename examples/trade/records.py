"""How large and how slow the networks of a comparison are without closed channels, as one small JSON file: typed reading and writing."""

from typing import Literal

from pydantic.dataclasses import dataclass

from examples.results.file import ResultsFile
from examples.typed import WRITTEN

FORMAT: Literal[1] = 1


@dataclass(frozen=True, config=WRITTEN)
class Size:
    """The network of one run, made smaller.

    Args:
        row: Row of the run.
        seed: Seed of the run.
        channels: Fused channels of each modality that are left.
        unread: Modalities whose input is not needed any more.
        parameters: Number of parameters.
        multiply_adds: Multiply-adds for one sample.
        milliseconds: Median time of one call.
    """

    row: str
    seed: int
    channels: dict[str, int]
    unread: list[str]
    parameters: int
    multiply_adds: int
    milliseconds: float

    @property
    def kept(self) -> int:
        """Number of fused channels that are left."""
        return sum(self.channels.values())


@dataclass(frozen=True, config=WRITTEN)
class TradeResults(ResultsFile):
    """The sizes of all runs of a comparison, whose scores are in the comparison's own file.

    Args:
        data: Name of the data set.
        batch: Number of samples in a call.
        calls: Number of calls of each network that the medians are taken over, those of all networks interleaved.
        seconds: Wall-clock time, without training.
        sizes: One for each run.
        format: Format of this file.
    """

    ENTRIES = "sizes"
    COMMAND = "python -m examples trade"

    data: str
    batch: int
    calls: int
    sizes: list[Size]
    format: Literal[1] = FORMAT

    def row(self, name: str) -> list[Size]:
        """Return the sizes of a row, by seed."""
        return sorted((size for size in self.sizes if size.row == name), key=lambda size: size.seed)
