"""A quantiser in a space of fewer dimensions."""

from torch import Tensor, nn
from typing_extensions import override

from maskfusion._checks import expect_features, expect_int, expect_quantizers
from maskfusion._typing import Bool, Float, Int
from maskfusion.quantizer.quantized import Quantized
from maskfusion.quantizer.quantizer import VectorQuantizer


class ProjectedQuantizer(nn.Module):
    """Project the channels down, quantise there, project back: codes in fewer dimensions are used more evenly.

    Args:
        dim: Channels of input and output.
        quantizer: A ``VectorQuantizer`` of a smaller ``dim``.

    Shape:
        - Input: as for ``VectorQuantizer``
        - Output: ``Quantized``; ``quantized`` has ``dim`` channels

    Raises:
        TypeError: If ``dim`` is no integer or ``quantizer`` no ``VectorQuantizer``.
        ValueError: If ``dim`` is below 1 or the input has another number of channels.

    Examples:
        >>> quantizer = ProjectedQuantizer(64, VectorQuantizer(8, 512))
        >>> quantizer(torch.randn(16, 64, 5)).quantized.shape
        torch.Size([16, 64, 5])

    Reference: Yu et al., "Vector-quantized Image Modeling with Improved VQGAN", 2022, Sec. 3.2.
    """

    def __init__(self, dim: int, quantizer: VectorQuantizer) -> None:
        super().__init__()
        self.dim = expect_int("dim", dim, least=1)
        (self.quantizer,) = expect_quantizers([quantizer], VectorQuantizer, ())
        self.channel_dim = self.quantizer.channel_dim
        self.down = nn.Linear(self.dim, self.quantizer.dim)
        self.up = nn.Linear(self.quantizer.dim, self.dim)

    @override
    def forward(self, z: Float[Tensor, "..."], mask: Bool[Tensor, "..."] | None = None) -> Quantized:
        """Quantise ``z``; in training, update the codebook. Arguments and errors as for ``VectorQuantizer``."""
        codes, *others = self.quantizer(self._along_channels(self.down, self._checked(z)), mask)
        return Quantized(self._along_channels(self.up, codes), *others)

    def encode(self, z: Float[Tensor, "..."]) -> Int[Tensor, "..."]:
        """Indices of the nearest codes; changes nothing."""
        return self.quantizer.encode(self._along_channels(self.down, self._checked(z)))

    def decode(self, indices: Int[Tensor, "..."]) -> Float[Tensor, "..."]:
        """Codes of ``indices``, projected back to ``dim`` channels."""
        return self._along_channels(self.up, self.quantizer.decode(indices))

    def _checked(self, z: Tensor) -> Tensor:
        return expect_features("z", z, self.dim, self.channel_dim)

    def _along_channels(self, layer: nn.Module, z: Tensor) -> Tensor:
        projected: Tensor = layer(z.movedim(self.channel_dim, -1))
        return projected.movedim(-1, self.channel_dim)
