"""What every quantiser returns."""

from typing import NamedTuple

from torch import Tensor

from maskfusion._typing import Float, Int


class Quantized(NamedTuple):
    """What every quantiser returns, always with the same fields."""

    quantized: Float[Tensor, "..."]
    """The codes, in shape and dtype of the input."""
    indices: Int[Tensor, "..."]
    """Index of each code, int64, the shape of the input without the channels."""
    loss: Float[Tensor, ""]
    """Codebook and commitment loss (Eq. 3), 0-d float32."""
    perplexity: Float[Tensor, ""]
    """How many codes the batch uses, as if all were used alike; 0-d float32, no gradient."""
