"""Whether the Triton kernels run where a tensor is."""

import os
from functools import cache
from importlib.util import find_spec

import torch
from torch import Tensor, nn
from torch._C import _functorch as functorch

KERNEL_DIM = 128
"""The search in Triton has no room in the registers for longer vectors; they are left to the blocked search."""

MEASURED = (9, 0)
"""Compute capability of the GPUs on which the kernels were measured against the plain path: NVIDIA's Hopper."""

PLAIN = (Tensor, nn.Parameter)
"""Not their subclasses, which are often no tensors with memory of their own."""


def prefers_kernels(tensor: Tensor, dim: int = 1) -> bool:
    """Whether to use them, for vectors of ``dim``: on plain tensors; not on what a compiler traces, which fuses by itself."""
    return not torch.compiler.is_compiling() and is_plain(tensor) and runs_kernels(tensor.device, dim)


def is_plain(tensor: Tensor) -> bool:
    """Whether a tensor has memory of its own and no transform of ``torch.func`` is at work."""
    return (
        type(tensor) in PLAIN
        and not torch._C._are_functorch_transforms_active()
        and not functorch.is_legacy_batchedtensor(tensor)
    )


def runs_kernels(device: torch.device, dim: int) -> bool:
    """Whether a device is one on which they were measured to be faster.

    ``MASKFUSION_TRITON=1`` asks for them on other GPUs too, and ``MASKFUSION_TRITON=0`` on none. They add up in no fixed order, so that
    ``torch.use_deterministic_algorithms`` turns them off.
    """
    wish = os.environ.get("MASKFUSION_TRITON")
    if (
        device.type != "cuda"
        or dim > KERNEL_DIM
        or wish == "0"
        or torch.are_deterministic_algorithms_enabled()
    ):
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
