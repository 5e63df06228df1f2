"""A codebook: how it begins, which codes a batch uses, and how it follows its data."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch import distributed as dist
from typing_extensions import override

from maskfusion._checks import expect_int, expect_number
from maskfusion._processes import Processes
from maskfusion.functional.gradients import straight_through
from maskfusion.kernels.private import in_backward
from maskfusion.kernels.way import Way
from maskfusion.quantizer.batch import Batch
from maskfusion.quantizer.float32_state import Float32State

USAGE_DECAY = 0.99
"""Decay of the running counts where the codebook learns by gradients and has no decay of its own."""

TINY = torch.finfo(torch.float32).tiny


class Codebook(Float32State):
    """Codes and their running counts. One forward in training is ``_begin``, a search among the codes that are ``_used``, and ``_follow``.

    The arguments are those of ``VectorQuantizer``.
    """

    codebook: Tensor
    cluster_size: Tensor
    initialized: Tensor
    is_frozen: Tensor
    previous_codebook: Tensor

    def __init__(
        self,
        dim: int,
        codebook_size: int,
        *,
        decay: float | None,
        restart_threshold: float,
        epsilon: float,
        constraint: Callable[[Tensor], Tensor] | None,
        process_group: dist.ProcessGroup | None,
        device: torch.device | str | None,
    ) -> None:
        super().__init__()
        self.dim = expect_int("dim", dim, least=1)
        self.codebook_size = expect_int("codebook_size", codebook_size, least=1)
        self.decay = None if decay is None else expect_number("decay", decay, least=0.0, below=1.0)
        self.restart_threshold = expect_number("restart_threshold", restart_threshold, least=0.0, below=1.0)
        self.epsilon = expect_number("epsilon", epsilon, least=0.0)
        self.constraint = constraint
        self.processes = Processes(process_group)
        self._frozen = False
        codebook = torch.empty(self.codebook_size, self.dim, dtype=torch.float32, device=device)
        if self.decay is None:
            self.codebook = nn.Parameter(codebook)
        else:
            self.register_buffer("codebook", codebook)
        self.register_buffer("cluster_size", torch.empty_like(codebook[:, 0]))
        # Flags are numbers, 0 or 1, so that averages of buffers over a training can be taken of them.
        self.register_buffer("initialized", torch.empty_like(codebook[0, 0]))
        self.register_buffer("is_frozen", torch.empty_like(codebook[0, 0]))
        # What the last forward in training quantised with: activation checkpointing must find it again.
        self.register_buffer("previous_codebook", torch.empty_like(codebook), persistent=False)

    @override
    def _load_from_state_dict(self, state_dict: dict[str, Tensor], prefix: str, *rest: Any) -> None:
        """Take over a state; one from before codebooks kept that they are frozen leaves that as it is."""
        given = state_dict.get(f"{prefix}codebook")
        if given is not None:
            state_dict.setdefault(
                f"{prefix}is_frozen", torch.full((), float(self._frozen), device=given.device)
            )
        super()._load_from_state_dict(state_dict, prefix, *rest)

    @override
    def _settle(self) -> None:
        super()._settle()
        if self.codebook.is_meta:
            return
        self._frozen = bool(self.is_frozen > 0.5)
        if self.previous_codebook.device != self.codebook.device:  # it is in no checkpoint
            self.previous_codebook = torch.zeros_like(self.codebook, requires_grad=False)

    @property
    def frozen(self) -> bool:
        """Whether the codebook stays as it is, in training too: by ``freeze``, or as a parameter that wants no gradient."""
        still = isinstance(self.codebook, nn.Parameter) and not self.codebook.requires_grad
        return self._frozen or still

    @torch.no_grad()
    def _begin(self, batch: Batch) -> None:
        """Take the first codes from the first batch that has any vector, and remember what this forward uses."""
        if self.decay is None and self.constraint is not None:  # an optimiser knows no constraint
            self.codebook.copy_(self.constraint(self.codebook))
        if not batch.looks or self.initialized.item() == 0:
            fresh, available = batch.fresh(self.codebook_size)
            self.codebook.copy_(torch.where(available & (self.initialized == 0), fresh, self.codebook))
        self.previous_codebook.copy_(self.codebook)

    def _used(self) -> Tensor:
        """Codes that this forward uses: those there are, or in a second run of the same forward those that there were in the first."""
        if self.training and not self.frozen and is_second_run():
            return straight_through(self.codebook, self.previous_codebook)
        return self.codebook

    @torch.no_grad()
    def _follow(self, batch: Batch, counts: Tensor, residuals: Tensor) -> None:
        """Move codes and running counts by a batch with ``counts`` and ``residuals``, then restart unused codes.

        A batch that counts no vector changes nothing. Where the codebook learns by gradients, codes move by restarts only.
        """
        rate = 1 - (USAGE_DECAY if self.decay is None else self.decay)
        if batch.way is Way.KERNELS and self.constraint is None:
            from maskfusion.kernels import launch

            state = self.codebook, self.cluster_size, self.initialized
            moves, (fresh, _) = None if self.decay is None else residuals, batch.fresh(self.codebook_size)
            launch.follow(*state, counts, moves, fresh, rate, self.epsilon, self.restart_threshold)
            return
        seen = batch.number(counts.sum()) > 0
        step = seen * rate
        size = self.cluster_size.lerp_(counts, step)
        total, codes = batch.number(size.sum()), len(size)
        if self.decay is not None:
            pace = step * (1 + codes * self.epsilon / (total + TINY))
            # A pace of zero divides by infinity: nothing moves.
            self.codebook.addcdiv_(residuals, ((size + (self.epsilon + TINY)) / pace)[:, None])
            if self.constraint is not None:
                self.codebook.copy_(
                    torch.where(counts.sum() > 0, self.constraint(self.codebook), self.codebook)
                )
        restarts = size < seen * total * (self.restart_threshold / codes)
        if batch.may_hold(restarts):
            fresh, _ = batch.fresh(codes)
            self.codebook.copy_(torch.where(restarts[:, None], fresh, self.codebook))
            size.copy_(torch.where(restarts, total / codes, size))
        self.initialized.clamp_(min=seen)


def is_second_run() -> bool:
    """Whether activation checkpointing runs a forward again, which must not move the codebook again."""
    return not torch.compiler.is_compiling() and in_backward()
