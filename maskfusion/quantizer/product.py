"""Several quantisers side by side, each for its share of the channels."""

from collections.abc import Iterable

import torch
from torch import Tensor
from typing_extensions import override

from maskfusion._checks import expect_features
from maskfusion._typing import Bool, Float, Int
from maskfusion.quantizer.quantized import Quantized
from maskfusion.quantizer.quantizer import VectorQuantizer
from maskfusion.quantizer.several import SeveralQuantizers


class ProductQuantizer(SeveralQuantizers):
    """Split the channels into parts and quantise each with its own codebook: several heads, or a product codebook.

    Args:
        quantizers: ``VectorQuantizer`` of one ``channel_dim``; part by part they take ``dim`` channels each. The same one several
            times makes heads that share a codebook.

    Shape:
        - Input: as for ``VectorQuantizer``, with the sum of all ``dim`` as channels
        - Output: ``Quantized``, with one index per part in a last dimension of ``indices``; losses and perplexities are averaged

    Raises:
        TypeError: If something else than a ``VectorQuantizer`` is given.
        ValueError: If none is given, or they do not fit together.

    Examples:
        >>> quantizer = ProductQuantizer([VectorQuantizer(2, 8), VectorQuantizer(6, 16)])
        >>> quantizer(torch.randn(16, 8, 5)).indices.shape
        torch.Size([16, 5, 2])

    Reference: Jegou et al., "Product Quantization for Nearest Neighbor Search", 2011, Sec. II-B.
    """

    def __init__(self, quantizers: Iterable[VectorQuantizer]) -> None:
        super().__init__(quantizers, ("channel_dim",))
        self.channel_dim: int = self._each()[0].channel_dim
        self.dims: list[int] = [quantizer.dim for quantizer in self._each()]

    @override
    def forward(self, z: Float[Tensor, "..."], mask: Bool[Tensor, "..."] | None = None) -> Quantized:
        """Quantise ``z``; in training, update every codebook. Arguments and errors as for ``VectorQuantizer``."""
        found = [quantizer(part, mask) for quantizer, part in zip(self._each(), self._parts(z), strict=True)]
        return Quantized(
            torch.cat([one.quantized for one in found], self.channel_dim),
            torch.stack([one.indices for one in found], -1),
            torch.stack([one.loss for one in found]).mean(),
            torch.stack([one.perplexity for one in found]).mean(),
        )

    def _parts(self, z: Tensor) -> tuple[Tensor, ...]:
        expect_features("z", z, sum(self.dims), self.channel_dim)
        return torch.split(z, self.dims, self.channel_dim)

    def encode(self, z: Float[Tensor, "..."]) -> Int[Tensor, "..."]:
        """Indices of every part, in a last dimension; changes nothing."""
        parts = zip(self._each(), self._parts(z), strict=True)
        return torch.stack([quantizer.encode(part) for quantizer, part in parts], -1)

    def decode(self, indices: Int[Tensor, "..."]) -> Float[Tensor, "..."]:
        """Codes of ``indices``, part beside part.

        Raises:
            TypeError: If ``indices`` are no integers.
            ValueError: If the last dimension does not have one index per part, or an index is out of range.
        """
        if indices.shape[-1] != len(self.quantizers):
            raise ValueError(
                f"`indices` of shape {tuple(indices.shape)} must have {len(self.quantizers)} of them in the last dimension, "
                f"one per part."
            )
        parts = zip(self._each(), indices.unbind(-1), strict=True)
        return torch.cat([quantizer.decode(part) for quantizer, part in parts], self.channel_dim)
