"""Which samples make a batch: in order, or shuffled anew in every epoch, shared out among processes."""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch.utils.data import Sampler


class Draw(NamedTuple):
    """What one batch of one process holds.

    Attributes:
        positions: Positions of its samples.
        seed: Seed of what is drawn anew in every epoch, such as the frame of a clip; None outside training.
    """

    positions: list[int]
    seed: int | None


class Batches(Sampler[Draw]):
    """Batches of positions; what an epoch holds is a function of seed and epoch, and of nothing else.

    So a run that was cut short goes on as if it had not been, and several processes see the very batches of one.

    Args:
        samples: Number of samples.
        size: Size of a batch, over all processes.
        seed: Shuffles; None keeps the order.
        rank: Number of this process.
        world: Number of processes that share each batch.
    """

    def __init__(
        self, samples: int, size: int, *, seed: int | None = None, rank: int = 0, world: int = 1
    ) -> None:
        self.samples, self.size, self.seed, self.rank, self.world = (
            samples,
            min(size, samples),
            seed,
            rank,
            world,
        )
        self.epoch = 0
        if self.size < world:
            raise ValueError(
                f"`size` (={self.size}) of a batch must be at least the number of processes, {world}."
            )

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch; the trainer calls this."""
        self.epoch = epoch

    def __len__(self) -> int:
        """Return the number of batches, the same in every process."""
        whole, rest = divmod(self.samples, self.size)
        return whole + (self.seed is None and rest >= self.world)

    def __iter__(self) -> Iterator[Draw]:
        """Give each batch once.

        A shuffled epoch leaves out the last, smaller batch: each leaves out other samples, and batch norm never
        sees a batch of one. In order nothing is left out: too few for all processes join the batch before.
        """
        if self.seed is None:
            order, generator = list(range(self.samples)), None
        else:
            generator = torch.Generator().manual_seed(self.seed * 1_000_003 + self.epoch)
            order = torch.randperm(self.samples, generator=generator).tolist()
        last = len(self) - 1
        for number in range(len(self)):
            stop = None if self.seed is None and number == last else (number + 1) * self.size
            chosen = order[number * self.size : stop]
            seed = (
                None if generator is None else int(torch.randint(2**62, (), generator=generator)) + self.rank
            )
            yield Draw(chosen[self.rank :: self.world], seed)
