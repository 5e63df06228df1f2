"""The batches of one data set that a process of a run gets, as Lightning asks for them."""

from collections.abc import Mapping
from typing import Any

from lightning.pytorch import LightningDataModule
from torch.utils.data import DataLoader

from examples.data.contract import Batch, MultimodalData

SCORED_AT_ONCE = 4
"""How many training batches are one batch where nothing is trained: without gradients they take less memory."""


class FusionData(LightningDataModule):
    """Loaders of one data set for this process.

    Args:
        data: All parts.
        batch_size: Over all processes.
        seed: Seed of order and draws.
        readers: Processes that read ahead.
    """

    def __init__(self, data: MultimodalData, batch_size: int, *, seed: int, readers: int) -> None:
        super().__init__()
        self.data, self.batch_size, self.seed, self.readers = data, batch_size, seed, readers

    def train_dataloader(self) -> DataLoader[Batch]:
        """Return the training part, shuffled anew in every epoch."""
        return self.data.train.loader(self.batch_size, seed=self.seed, **self._share())

    def val_dataloader(self) -> DataLoader[Batch] | list[Any]:
        """Return the validation part in order; nothing where there is none."""
        part = self.data.validation
        return [] if part is None else part.loader(SCORED_AT_ONCE * self.batch_size, **self._share())

    def test_dataloader(self) -> DataLoader[Batch]:
        """Return the test part in order."""
        return self.data.test.loader(SCORED_AT_ONCE * self.batch_size, **self._share())

    def _share(self) -> Mapping[str, int]:
        trainer = self.trainer
        if trainer is None:
            raise RuntimeError("`FusionData` gives loaders to a trainer only.")
        return {"rank": trainer.global_rank, "world": trainer.world_size, "workers": self.readers}
