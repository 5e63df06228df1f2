"""A stack of quantisers, each for what the ones before leave over."""

from collections.abc import Iterable
from functools import reduce

import torch
from torch import Tensor
from typing_extensions import override

from maskfusion._typing import Bool, Float, Int
from maskfusion.functional.gradients import straight_through
from maskfusion.quantizer.quantized import Quantized
from maskfusion.quantizer.quantizer import VectorQuantizer, look_up
from maskfusion.quantizer.several import SeveralQuantizers


class ResidualQuantizer(SeveralQuantizers):
    r"""Quantise, then quantise the residual, and so on; the codes add up.

    .. math:: \hat z = \sum_i \hat r_i, \qquad r_1 = z, \qquad r_{i+1} = r_i - \hat r_i

    Args:
        quantizers: ``VectorQuantizer`` of one ``dim`` and ``channel_dim``, coarse to fine. The same one several times is a shared codebook.

    Shape:
        - Input: as for ``VectorQuantizer``
        - Output: ``Quantized``, with one index per quantiser in a last dimension of ``indices``; losses are summed, perplexities averaged

    Raises:
        TypeError: If something else than a ``VectorQuantizer`` is given.
        ValueError: If none is given, or they do not fit together.

    Examples:
        >>> quantizer = ResidualQuantizer([VectorQuantizer(4, 8), VectorQuantizer(4, 8)])
        >>> quantizer(torch.randn(16, 4, 5)).indices.shape
        torch.Size([16, 5, 2])

    Reference: Zeghidour et al., "SoundStream: An End-to-End Neural Audio Codec", 2021, Sec. III-C.
    """

    def __init__(self, quantizers: Iterable[VectorQuantizer]) -> None:
        super().__init__(quantizers, ("dim", "channel_dim"))

    @override
    def forward(self, z: Float[Tensor, "..."], mask: Bool[Tensor, "..."] | None = None) -> Quantized:
        """Quantise ``z``; in training, update every codebook. Arguments and errors as for ``VectorQuantizer``."""
        rest, found = z, []
        for quantizer in self._each():
            found.append(quantizer(rest, mask))
            rest = rest - found[-1].quantized.detach()
        return Quantized(
            straight_through(z, _total([one.quantized.detach() for one in found])),
            torch.stack([one.indices for one in found], -1),
            torch.stack([one.loss for one in found]).sum(),
            torch.stack([one.perplexity for one in found]).mean(),
        )

    def encode(self, z: Float[Tensor, "..."]) -> Int[Tensor, "..."]:
        """Indices of every quantiser, in a last dimension; changes nothing."""
        rest, indices = z.detach(), []
        for quantizer in self._each():
            indices.append(quantizer.encode(rest))
            rest = rest - look_up(quantizer, indices[-1]).detach().to(z.dtype)
        return torch.stack(indices, -1)

    def decode(self, indices: Int[Tensor, "..."]) -> Float[Tensor, "..."]:
        """Sum of the codes of ``indices``. Fewer indices than quantisers give a coarser result.

        Raises:
            TypeError: If ``indices`` are no integers.
            ValueError: If the last dimension has none or more than there are quantisers, or an index is out of range.
        """
        if not 1 <= indices.shape[-1] <= len(self.quantizers):
            raise ValueError(
                f"`indices` of shape {tuple(indices.shape)} must have 1 to {len(self.quantizers)} of them in the last "
                f"dimension, one per quantiser."
            )
        parts = zip(self._each(), indices.unbind(-1), strict=False)
        return _total([quantizer.decode(part) for quantizer, part in parts])


def _total(codes: list[Tensor]) -> Tensor:
    """Sum tensor by tensor, which keeps their memory format."""
    return reduce(torch.add, codes)
