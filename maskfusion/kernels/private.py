"""Questions that PyTorch answers only in its private parts, each asked in one place."""

import torch
from torch import Tensor
from torch._C import _functorch as functorch
from torch.autograd import forward_ad


def is_exporting() -> bool:
    """As ``torch.compiler.is_exporting()``, which is new in PyTorch 2.7, and for which Dynamo put True up to 2.12 wherever it compiles."""
    return getattr(torch.compiler, "_is_exporting_flag", False)


def is_tracing() -> bool:
    """As ``torch.jit.is_tracing()``, which has no types."""
    return torch._C._get_tracing_state() is not None


def in_transform() -> bool:
    """Whether a transform of ``torch.func`` or forward-mode differentiation is at work."""
    return torch._C._are_functorch_transforms_active() or forward_ad._current_level >= 0


def is_batched(tensor: Tensor) -> bool:
    """Whether it is a batch in the guise of one tensor, as ``torch.autograd.grad(..., is_grads_batched=True)`` makes them."""
    return functorch.is_legacy_batchedtensor(tensor)


def in_backward() -> bool:
    """Whether this runs inside a backward pass: activation checkpointing recomputes there what it has already done once."""
    return torch._C._current_graph_task_id() != -1


def rounds_products() -> bool:
    """Whether a product of float32 matrices on a CPU may be one of bfloat16, as ``torch.set_float32_matmul_precision("medium")`` allows.

    Where the same was asked for in PyTorch's old and in its new words, it does not say, and it may be.
    """
    try:
        return torch.get_float32_matmul_precision() == "medium"
    except RuntimeError:
        return True
