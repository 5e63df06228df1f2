"""A vector quantiser whose codebook fits its data from the first batch."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

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
from maskfusion.kernels.private import in_transform
from maskfusion.kernels.way import Way, way_for
from maskfusion.quantizer.assignment import Assignment, assign
from maskfusion.quantizer.batch import Batch
from maskfusion.quantizer.codebook import Codebook, is_second_run
from maskfusion.quantizer.quantized import Quantized

USED = 0.01
"""A code counts as used while its running count is above this share of the mean count."""


class VectorQuantizer(Codebook):
    r"""Replace every vector of channels by the nearest code of a learned codebook.

    .. math:: z_i \to \hat z_i = c_q, \qquad q = \arg\min_k \lVert z_i - c_k \rVert

    The gradient of the codes goes to ``z`` unchanged (straight-through). In training the codebook follows the data: with a
    ``decay`` as a running mean of the vectors that chose each code, without one as a parameter, by its loss.

    - The first batch gives the first codes: vectors spread evenly over it, so that latents of any scale fit.
    - Unused codes restart from the batch.
    - Distances and statistics are float32, also under autocast and after ``.half()`` or ``.bfloat16()``.
    - Vectors with NaN or inf, or too long for float32, do not count for loss, statistics and codebook; their output is NaN.
    - Activation checkpointing, which runs a forward pass twice, updates the codebook once and finds the same codes again, if the quantiser is
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
        on_nonfinite: Response to NaN or inf: "propagate", or "raise" before anything changes (it synchronises with the device).
        process_group: Processes that share the codebook; all of them by default. It is not pickled.
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
        super().__init__(
            dim,
            codebook_size,
            decay=decay,
            restart_threshold=restart_threshold,
            epsilon=epsilon,
            constraint=constraint,
            process_group=process_group,
            device=device,
        )
        self.commitment_weight = expect_number("commitment_weight", commitment_weight, least=0.0)
        self.channel_dim = expect_int("channel_dim", channel_dim)
        self.on_nonfinite = expect_choice("on_nonfinite", on_nonfinite, ("propagate", "raise"))
        self.gradient = gradient
        self.reset_parameters()

    @override
    def reset_parameters(self) -> None:
        """Forget all codes; the next batch in training gives new ones."""
        # By torch.nn.init only: `from_pretrained` of transformers makes these functions pass over what it has loaded.
        nn.init.normal_(self.codebook)
        for state in (self.cluster_size, self.initialized, self.previous_codebook):
            nn.init.zeros_(state)
        nn.init.constant_(self.is_frozen, float(self._frozen))

    @override
    def forward(self, z: Float[Tensor, "..."], mask: Bool[Tensor, "..."] | None = None) -> Quantized:
        """Quantise ``z``; in training, update the codebook.

        Args:
            z: Latents with ``dim`` channels along ``channel_dim``.
            mask: Flags, True for a real vector and False for padding; the shape of ``z`` without the channels. Padding is quantised
                but does not count for loss, statistics and perplexity.

        Raises:
            TypeError: If ``z`` is no floating-point tensor or ``mask`` no boolean one.
            ValueError: If a shape does not fit, or at NaN and inf with ``on_nonfinite="raise"``.
            RuntimeError: If the codebook moves under a transform of ``torch.func`` or forward-mode differentiation.
        """
        self._expect(z, mask)
        with _without_autocast(z):
            z, way = self._constrained(z), way_for(z, self.dim)
            found, used = self._quantize(way, z, mask)
            quantized = found.quantized
            if self.gradient is not straight_through:  # that one is part of `assign`
                last, codes = (
                    z.movedim(self.channel_dim, -1),
                    quantized.detach().movedim(self.channel_dim, -1),
                )
                quantized = self.gradient(last, codes).movedim(-1, self.channel_dim)
        return Quantized(quantized, found.indices, found.loss, used)

    def _expect(self, z: Tensor, mask: Tensor | None) -> None:
        expect_features("z", z, self.dim, self.channel_dim)
        if mask is not None:
            expect_mask("mask", mask, z.movedim(self.channel_dim, -1).shape[:-1])
        if self.on_nonfinite == "raise":
            fine = of_finite_length(z.detach().movedim(self.channel_dim, -1))
            refuse_nonfinite("z", fine if mask is None else fine | ~mask)

    def _constrained(self, z: Tensor) -> Tensor:
        if self.constraint is None:
            return z
        return self.constraint(z.movedim(self.channel_dim, -1)).movedim(-1, self.channel_dim)

    def _quantize(self, way: Way, z: Tensor, mask: Tensor | None) -> tuple[Assignment, Tensor]:
        """The assignment, and the perplexity over all processes; in training the codebook moves, after it has been used."""
        weights = self.commitment_weight, 1.0 if self.decay is None else 0.0
        if not self.training or self.frozen or is_second_run():
            found = assign(way, z, self._used(), mask, self.channel_dim, *weights)
            return found, found.perplexity
        if way is Way.TRACED and in_transform():
            raise RuntimeError(
                f"{type(self).__name__} moves its codebook in training, which torch.func and forward-mode differentiation cannot "
                f"follow. Call `eval()` or `freeze()` on it before."
            )
        batch = Batch(way, z, mask, self.channel_dim, self.processes)
        self._begin(batch)
        found = assign(way, z, self.codebook, mask, self.channel_dim, *weights)
        counts, residuals = self.processes.summed(found.counts, found.residuals)
        self._follow(batch, counts, residuals)
        return found, found.perplexity if counts is found.counts else functional.perplexity(counts)

    @torch.no_grad()
    def start(
        self, z: Float[Tensor, "..."], mask: Bool[Tensor, "..."] | None = None, *, iterations: int = 10
    ) -> "VectorQuantizer":
        """Take the first codes from ``z`` by k-means, instead of from the first batch in training.

        Args:
            z: Latents as for ``forward``; the more vectors, the better.
            mask: Mask as for ``forward``.
            iterations: Number of steps of k-means, from vectors spread evenly over ``z``.

        Raises:
            TypeError: As ``forward``, or if ``iterations`` is no integer.
            ValueError: As ``forward``, if no vector of ``z`` counts, or if ``iterations`` is negative.
        """
        expect_int("iterations", iterations, least=0)
        self._expect(z, mask)
        with _without_autocast(z):
            z, way = self._constrained(z), way_for(z, self.dim)
            codes, available = Batch(way, z, mask, self.channel_dim, self.processes).fresh(self.codebook_size)
            if not available:
                raise ValueError("`z` must have at least one vector that is finite and not padding.")
            counts = torch.zeros_like(self.cluster_size)
            for _ in range(iterations):
                found = assign(way, z, codes, mask, self.channel_dim)
                counts, residuals = self.processes.summed(found.counts, found.residuals)
                codes = codes + residuals / counts.clamp(min=1)[:, None]
                codes = codes if self.constraint is None else self.constraint(codes)
        self.codebook.copy_(codes)
        self.cluster_size.copy_(counts)
        self.initialized.fill_(1)
        return self

    def encode(self, z: Float[Tensor, "..."]) -> Int[Tensor, "..."]:
        """Index of the nearest code of every vector; changes nothing.

        Args:
            z: Latents as for ``forward``.

        Returns:
            int64, the shape of ``z`` without the channels.
        """
        expect_features("z", z, self.dim, self.channel_dim)
        vectors = self._constrained(z.detach()).movedim(self.channel_dim, -1)
        return functional.nearest_code(vectors.reshape(-1, self.dim), self.codebook).view(vectors.shape[:-1])

    def decode(self, indices: Int[Tensor, "..."]) -> Float[Tensor, "..."]:
        """Codes of ``indices``, with the channels put back at ``channel_dim``, in the precision of the model.

        That is the precision in which the quantiser was built or loaded, or to which it was cast with the model around it.

        Raises:
            TypeError: If ``indices`` are no integers.
            ValueError: If an index is out of range; checked on a CPU only, where it needs no synchronisation.
        """
        return look_up(self, indices).to(self.precision)

    def usage(self) -> float:
        """Share of the codes in use, in [0, 1]: those whose running count is above a hundredth of the mean count."""
        return float((self.cluster_size > USED * self.cluster_size.mean()).float().mean())

    def freeze(self, frozen: bool = True) -> "VectorQuantizer":
        """Keep the codebook as it is, in training too; ``freeze(False)`` lets it follow again. This is saved in the state.

        A codebook with a ``decay`` has no gradient, so ``requires_grad_(False)`` on a model has no effect on it.
        """
        self._frozen = frozen
        self.is_frozen.fill_(frozen)
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


def look_up(quantizer: VectorQuantizer, indices: Tensor) -> Tensor:
    """Codes of ``indices`` as the codebook has them, float32."""
    expect_indices("indices", indices, quantizer.codebook_size)
    return nn.functional.embedding(indices.long(), quantizer.codebook).movedim(-1, quantizer.channel_dim)


def _without_autocast(z: Tensor) -> AbstractContextManager[object]:
    """Distances and statistics are float32, under autocast too; without autocast there is nothing to turn off."""
    kind = z.device.type
    return torch.autocast(kind, enabled=False) if torch.is_autocast_enabled(kind) else nullcontext()
