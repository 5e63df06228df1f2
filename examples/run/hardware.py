"""What a run uses of the machine. It decides how long a run takes, not what comes out."""

import os
from typing import Literal, TypeAlias

import torch
from pydantic import NonNegativeInt, PositiveInt
from pydantic.dataclasses import dataclass

from examples.typed import KNOWN_KEYS

Accelerator: TypeAlias = Literal["auto", "cpu", "gpu", "cuda", "mps", "tpu"]
Log: TypeAlias = Literal["csv", "tensorboard"]
_RANKS = ("RANK", "LOCAL_RANK", "NODE_RANK", "SLURM_PROCID")  # as torchrun, Lightning and Slurm set them


@dataclass(frozen=True, config=KNOWN_KEYS)
class Hardware:
    """Processes and devices.

    Args:
        accelerator: Accelerator for Lightning: "cpu", "gpu", "auto", ...
        devices: Processes on each machine, one for each device.
        nodes: Machines.
        readers: Processes of each process that read batches ahead; 0 where the samples are in memory.
    """

    accelerator: Accelerator = "cpu"
    devices: PositiveInt = 1
    nodes: PositiveInt = 1
    readers: NonNegativeInt = 0

    @property
    def alone(self) -> bool:
        """Whether there is one process only."""
        return self.devices * self.nodes == 1

    def gpu(self) -> str:
        """Name of the GPU that runs share; empty where there is none."""
        if self.accelerator == "cpu" or not torch.cuda.is_available():
            return ""
        return torch.cuda.get_device_name()


def first_process() -> bool:
    """Whether this is the process that writes and speaks, of the several that a run may have."""
    return all(os.environ.get(name, "0") == "0" for name in _RANKS)


def leave_processes() -> None:
    """End the group of processes, if there is one: its threads may abort an interpreter that ends before them."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()
