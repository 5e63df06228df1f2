"""Which way a forward pass goes, decided once for all that it does."""

import os
from enum import Enum
from functools import cache
from importlib.util import find_spec

import torch
from torch import Tensor, nn

from maskfusion.kernels.private import in_transform, is_batched, is_exporting, is_tracing

KERNEL_DIM = 128
"""The search in Triton has no room in the registers for longer vectors; they are left to the blocked search."""

MEASURED = (9, 0)
"""Compute capability of the GPUs on which the kernels were measured against the plain path: NVIDIA's Hopper."""

PLAIN = (Tensor, nn.Parameter)
"""Not their subclasses, which are often no tensors with memory of their own."""


class Way(Enum):
    """How the same result is computed."""

    TRACED = "in operations of PyTorch alone, which exporters, tracers, `torch.func` and forward mode follow by themselves"
    OPERATOR = "as an operator of our own, which a compiler takes as one and a tensor without numbers has a shape for"
    BLOCKS = "at once, block by block"
    KERNELS = "at once, by the Triton kernels"


def way_for(tensor: Tensor, dim: int = 1) -> Way:
    """Which way to go with a tensor of vectors of ``dim``."""
    if is_exporting():
        return Way.TRACED
    if torch.compiler.is_compiling() or type(tensor) not in PLAIN:
        return Way.OPERATOR
    if is_tracing() or in_transform() or is_batched(tensor):
        return Way.TRACED
    return Way.KERNELS if runs_kernels(tensor.device, dim) else Way.BLOCKS


def runs_kernels(device: torch.device, dim: int) -> bool:
    """Whether a device is one on which they were measured to be faster.

    ``MASKFUSION_TRITON=1`` asks for them on other GPUs too, and ``MASKFUSION_TRITON=0`` on none. They add up in no fixed order, so that
    ``torch.use_deterministic_algorithms`` turns them off.
    """
    if device.type != "cuda" or dim > KERNEL_DIM or torch.are_deterministic_algorithms_enabled():
        return False
    wish = os.environ.get("MASKFUSION_TRITON")
    if wish == "0":
        return False
    return _runs_triton(device) if wish == "1" else _is_measured(device)


@cache
def _is_measured(device: torch.device) -> bool:
    return _runs_triton(device) and torch.cuda.get_device_capability(device) == MEASURED


@cache
def _runs_triton(device: torch.device) -> bool:
    """Whether Triton is here and the device is one that it compiles the kernels for: NVIDIA's, from Ampere on."""
    is_new = torch.version.hip is None and torch.cuda.get_device_capability(device) >= (8, 0)
    return is_new and find_spec("triton") is not None
