"""What a run uses of the machine. It decides how long a run takes, not what comes out."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Literal, TypeAlias

import torch
from pydantic import NonNegativeInt, PositiveInt
from pydantic.dataclasses import dataclass

from examples.errors import UserError
from examples.typed import KNOWN_KEYS

Accelerator: TypeAlias = Literal["auto", "cpu", "gpu", "cuda", "mps", "tpu"]
Log: TypeAlias = Literal["csv", "tensorboard"]
PATIENCE = timedelta(minutes=10)
"""Time that a process waits for the others at any one step. PyTorch's own half an hour is long where a machine is gone."""
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


def instructions() -> str:
    """Return the vector instructions that PyTorch uses here, such as AVX2; DEFAULT where there are none."""
    return torch.backends.cpu.get_cpu_capability()


def first_process() -> bool:
    """Whether this is the process that writes and speaks, of the several that a run may have."""
    return all(os.environ.get(name, "0") == "0" for name in _RANKS)


@contextmanager
def company(hardware: Hardware) -> Iterator[None]:
    """Say in a sentence that another process of this run has ended, or is silent for `PATIENCE`.

    Raises:
        UserError: It has.
    """
    try:
        yield
    except RuntimeError as error:
        if hardware.alone or not (isinstance(error, torch.distributed.DistError) or "gloo" in str(error)):
            raise
        raise UserError(
            "Another process of this run has ended, or was not heard of for "
            f"{PATIENCE // timedelta(minutes=1)} minutes; its own output says why. The same command, on every machine, "
            "goes on after the last whole epoch."
        ) from error


def leave_processes() -> None:
    """End the group of processes, if there is one: its threads may abort an interpreter that ends before them."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()
