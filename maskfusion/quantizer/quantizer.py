"""A vector quantiser whose codebook fits its data from the first batch."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch import distributed as dist
from typing_extensions import override

from maskfusion import functional
from maskfusion._checks import (
    expect_choice,
    expect_features,
    expect_indices,
    expect_int,
    expect_mask,
    expect_number,
    refuse_nonfinite,
)
from maskfusion._typing import Bool, Float, Int
from maskfusion.functional.gradients import straight_through
from maskfusion.functional.nearest import of_finite_length
from maskfusion.quantizer.assignment import Assignment, assign
from maskfusion.quantizer.codebook import Processes, follow, in_backward
from maskfusion.quantizer.quantized import Quantized
from maskfusion.quantizer.steady_state import SteadyState

USAGE_DECAY = 0.99
"""Decay of the running counts where the codebook learns by gradients and has no decay of its own."""

USED = 0.01
"""A code counts as used while its running count is above this share of the mean count."""


class VectorQuantizer(SteadyState):
    r"""Replace every vector of channels by the nearest code of a learned codebook.

    .. math:: z_i \to \hat z_i = c_q, \qquad q = \arg\min_k \lVert z_i - c_k \rVert

    The gradient of the codes goes to ``z`` unchanged (straight-through). In training the codebook follows the data: with a
    ``decay`` as a running mean of the vectors that chose each code, without one as a parameter, by its loss.

    - The first batch gives the first codes: vectors spread evenly over it, so that latents of any scale fit.
    - Unused codes restart from the batch.
    - Distances and statistics are float32, also under autocast and after ``.half()`` or ``.bfloat16()``.
    - Vectors with NaN or inf, or too long for float32, do not count for loss, statistics and codebook; their output is NaN.
    - Activation checkpointing, which runs a forward twice, moves the codebook once and finds the same codes again, if the quantiser is
      called once between two backward passes.
    - Under ``torch.distributed`` all processes share one codebook, that of the whole batch; evaluation does not communicate.

    Args:
        dim: Number of channels, the length of a code.
        codebook_size: Number of codes.
        decay: Share of the old mean that remains at each step, in [0, 1). ``None`` makes the codebook a parameter.
        commitment_weight: Weight of the commitment loss, beta.
        channel_dim: Dimension of the channels: 1 for ``(batch, channels, *spatial)``, -1 for ``(batch, tokens, channels)``.
        restart_threshold: Share of the mean count below which a code's running count makes it restart; 0 for never.
        epsilon: Laplace smoothing of the counts, used in the division only.
        constraint: Function of ``(..., dim)`` applied to latents and codes: ``unit_length`` gives cosine distance.
        gradient: Function that passes the gradient of the codes to the latents, ``(z, quantized) -> quantized`` of ``(..., dim)``:
            ``straight_through``, ``rotation_trick`` or your own.
        on_nonfinite: Response to NaN or inf: "propagate", or "raise" before anything changes (it waits for the device).
        process_group: Processes that share the codebook; all of them by default. A pickle drops it.
        device: Device of the codebook.

    Shape:
        - Input: ``(batch, dim, *spatial)``, or any rank of at least 2 with ``dim`` channels along ``channel_dim``
        - Output: ``Quantized``

    Raises:
        TypeError: If an argument has the wrong type.
        ValueError: If an argument is out of its range.

    Examples:
        >>> quantizer = VectorQuantizer(dim=4, codebook_size=8)
        >>> quantized, indices, loss, perplexity = quantizer(torch.randn(16, 4, 5, 5))
        >>> quantized.shape, indices.shape
        (torch.Size([16, 4, 5, 5]), torch.Size([16, 5, 5]))

    Reference: Sec. 3.1 and Eq. 3; van den Oord et al., "Neural Discrete Representation Learning", 2017, Appendix A.1.
    """

    codebook: Tensor
    cluster_size: Tensor
    initialized: Tensor
    previous_codebook: Tensor

    def __init__(
        self,
        dim: int = 64,
        codebook_size: int = 512,
        *,
        decay: float | None = 0.99,
        commitment_weight: float = 0.25,
        channel_dim: int = 1,
        restart_threshold: float = 0.05,
        epsilon: float = 1e-5,
        constraint: Callable[[Tensor], Tensor] | None = None,
        gradient: Callable[[Tensor, Tensor], Tensor] = straight_through,
        on_nonfinite: str = "propagate",
        process_group: dist.ProcessGroup | None = None,
        device: torch.device | str | None = None,
    ) -> None:
        super().__init__()
        self.dim = expect_int("dim", dim, least=1)
        self.codebook_size = expect_int("codebook_size", codebook_size, least=1)
        self.decay = None if decay is None else expect_number("decay", decay, least=0.0, below=1.0)
        self.commitment_weight = expect_number("commitment_weight", commitment_weight, least=0.0)
        self.channel_dim = expect_int("channel_dim", channel_dim)
        self.restart_threshold = expect_number("restart_threshold", restart_threshold, least=0.0, below=1.0)
        self.epsilon = expect_number("epsilon", epsilon, least=0.0)
        self.on_nonfinite = expect_choice("on_nonfinite", on_nonfinite, ("propagate", "raise"))
        self.constraint = constraint
        self.gradient = gradient
        self.processes = Processes(process_group)
        self.frozen = False
        codebook = torch.empty(self.codebook_size, self.dim, dtype=torch.float32, device=device)
        if self.decay is None:
            self.codebook = nn.Parameter(codebook)
        else:
            self.register_buffer("codebook", codebook)
        self.register_buffer("cluster_size", torch.empty_like(codebook[:, 0]))
        self.register_buffer("initialized", torch.empty((), dtype=torch.bool, device=device))
        # What the last forward in training quantised with: activation checkpointing must find it again.
        self.register_buffer("previous_codebook", torch.empty_like(codebook), persistent=False)
        self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Forget all codes; the next batch in training gives new ones."""
        self.codebook.normal_()
        self.previous_codebook.copy_(self.codebook)
        self.cluster_size.zero_()
        self.initialized.fill_(False)

    @override
    def forward(self, z: Float[Tensor, "..."], mask: Bool[Tensor, "..."] | None = None) -> Quantized:
        """Quantise ``z``; in training, let the codebook follow.

        Args:
            z: Latents with ``dim`` channels along ``channel_dim``.
            mask: Flags, True for a real vector and False for padding; the shape of ``z`` without the channels. Padding is quantised
                but does not count for loss, statistics and perplexity.

        Raises:
            TypeError: If ``z`` is no floating-point tensor or ``mask`` no boolean one.
            ValueError: If a shape does not fit, or at NaN and inf with ``on_nonfinite="raise"``.
        """
        self._expect(z, mask)
        with torch.autocast(z.device.type, enabled=False):
            vectors, finite, counted = self._read(z, mask)
            found, counts = self._quantize(vectors, finite, counted)
            usage = found.perplexity if counts is found.counts else functional.perplexity(counts)
            quantized = found.quantized
            if self.gradient is not straight_through:  # that one is part of `assign`
                quantized = self.gradient(vectors, quantized.detach())
        shape = z.movedim(self.channel_dim, -1).shape
        quantized = quantized.reshape(shape).movedim(-1, self.channel_dim)
        return Quantized(quantized, found.indices.view(shape[:-1]), found.loss, usage)

    def _expect(self, z: Tensor, mask: Tensor | None) -> None:
        expect_features("z", z, self.dim, self.channel_dim)
        if mask is not None:
            expect_mask("mask", mask, z.movedim(self.channel_dim, -1).shape[:-1])

    def _read(self, z: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        """View ``z`` as ``(groups, size, dim)``; which vectors are finite, and which of them count, ``(groups, size)``."""
        vectors = z.movedim(self.channel_dim, -1)
        vectors = vectors.flatten(1, -2) if vectors.ndim > 2 else vectors[None]
        finite = of_finite_length(vectors.detach())
        counted = finite if mask is None else finite & mask.reshape(finite.shape)
        if self.on_nonfinite == "raise":
            refuse_nonfinite("z", finite if mask is None else finite | ~mask.reshape(finite.shape))
        return self._constrained(vectors), finite, counted

    def _constrained(self, vectors: Tensor) -> Tensor:
        return vectors if self.constraint is None else self.constraint(vectors)

    def _quantize(self, vectors: Tensor, finite: Tensor, counted: Tensor) -> tuple[Assignment, Tensor]:
        """The assignment and its counts over all processes; in training the codebook moves, after it has been used."""
        if not self.training or self.frozen:
            found = self._assign(vectors, self.codebook, finite, counted)
            return found, found.counts
        if in_backward():
            before = functional.straight_through(self.codebook, self.previous_codebook)
            found = self._assign(vectors, before, finite, counted)
            return found, found.counts
        fresh, available = self.processes.evenly_spread(vectors.detach(), counted, self.codebook_size)
        self._begin(fresh, available)
        codebook = self.previous_codebook if self.decay is not None else self.codebook
        found = self._assign(vectors, codebook, finite, counted)
        counts, residuals = self.processes.summed(found.counts, found.residuals)
        self._follow(counts, residuals, fresh)
        return found, counts

    def _assign(self, vectors: Tensor, codebook: Tensor, finite: Tensor, counted: Tensor) -> Assignment:
        """With the loss of Eq. 3, as a mean: ``beta * mse(z, sg[e])``, and ``mse(sg[z], e)`` where the codebook learns by gradients."""
        return assign(
            *(vectors, codebook, finite, counted),
            commitment_weight=self.commitment_weight,
            codebook_weight=1.0 if self.decay is None else 0.0,
        )

    @torch.no_grad()
    def start(
        self, z: Float[Tensor, "..."], mask: Bool[Tensor, "..."] | None = None, *, iterations: int = 10
    ) -> "VectorQuantizer":
        """Take the first codes from ``z`` by k-means, instead of from the first batch in training.

        Args:
            z: Latents as for ``forward``; as many vectors as you can afford.
            mask: Mask as for ``forward``.
            iterations: Number of steps of k-means, from vectors spread evenly over ``z``.

        Raises:
            TypeError: As ``forward``, or if ``iterations`` is no integer.
            ValueError: As ``forward``, if no vector of ``z`` counts, or if ``iterations`` is negative.
        """
        expect_int("iterations", iterations, least=0)
        self._expect(z, mask)
        with torch.autocast(z.device.type, enabled=False):
            vectors, finite, counted = self._read(z, mask)
            codes, available = self.processes.evenly_spread(vectors, counted, self.codebook_size)
            if not available:
                raise ValueError("`z` must have at least one vector that is finite and not padding.")
            counts = torch.zeros_like(self.cluster_size)
            for _ in range(iterations):
                found = assign(vectors, codes, finite, counted)
                counts, residuals = self.processes.summed(found.counts, found.residuals)
                codes = self._constrained(codes + residuals / counts.clamp(min=1)[:, None])
        self.codebook.copy_(codes)
        self.cluster_size.copy_(counts)
        self.initialized.fill_(True)
        return self

    @torch.no_grad()
    def _begin(self, fresh: Tensor, available: Tensor) -> None:
        """Take the first codes from the first batch that has any vector; a codebook that follows does so when it has been used."""
        codes = torch.where(available > self.initialized, fresh, self.codebook, out=self.previous_codebook)
        if self.decay is None:  # an optimiser knows no constraint
            self.codebook.copy_(torch.where(available, self._constrained(codes), codes))
            self.previous_codebook.copy_(self.codebook)

    @torch.no_grad()
    def _follow(self, counts: Tensor, residuals: Tensor, fresh: Tensor) -> None:
        """Move the running counts and means by one batch, then restart what nobody uses."""
        moves = self.decay is not None
        follow(
            *(self.codebook, self.cluster_size, self.initialized),
            self.previous_codebook if moves else self.codebook,
            counts,
            residuals if moves else None,
            fresh,
            rate=1 - (USAGE_DECAY if self.decay is None else self.decay),
            epsilon=self.epsilon,
            restart_threshold=self.restart_threshold,
            constraint=self.constraint if moves else None,
        )

    def encode(self, z: Float[Tensor, "..."]) -> Int[Tensor, "..."]:
        """Index of the nearest code of every vector; changes nothing.

        Args:
            z: Latents as for ``forward``.

        Returns:
            int64, the shape of ``z`` without the channels.
        """
        expect_features("z", z, self.dim, self.channel_dim)
        vectors = self._constrained(z.detach().movedim(self.channel_dim, -1))
        return functional.nearest_code(vectors.reshape(-1, self.dim), self.codebook).view(vectors.shape[:-1])

    def decode(self, indices: Int[Tensor, "..."]) -> Float[Tensor, "..."]:
        """Codes of ``indices``, with the channels put back at ``channel_dim``.

        Raises:
            TypeError: If ``indices`` are no integers.
            ValueError: If an index is out of range; on a CPU only, where it costs no waiting.
        """
        expect_indices("indices", indices, self.codebook_size)
        return nn.functional.embedding(indices, self.codebook).movedim(-1, self.channel_dim)

    def usage(self) -> float:
        """Share of codes in use, in [0, 1]: those with a running count above a hundredth of the mean count."""
        return float((self.cluster_size > USED * self.cluster_size.mean()).float().mean())

    def freeze(self, frozen: bool = True) -> "VectorQuantizer":
        """Stop the codebook from changing, in training too; ``freeze(False)`` lets it follow again."""
        self.frozen = frozen
        if self.decay is None:
            self.codebook.requires_grad_(not frozen)
            self.codebook.grad = None  # an optimiser would still follow one that is there
        return self

    @override
    def extra_repr(self) -> str:
        """Settings and live state, for ``print``."""
        state = "" if self.codebook.is_meta else f", used={self.usage():.0%}"
        return (
            f"dim={self.dim}, codebook_size={self.codebook_size}, decay={self.decay}, "
            f"commitment_weight={self.commitment_weight}, channel_dim={self.channel_dim}, frozen={self.frozen}{state}"
        )
