"""What quantisers made of several have in common."""

from collections.abc import Iterable, Sequence
from typing import Any, cast

from torch import Tensor, nn
from typing_extensions import override

from maskfusion._checks import expect_quantizers
from maskfusion.quantizer.quantizer import VectorQuantizer


class SeveralQuantizers(nn.Module):
    """Quantisers in a list. One that stands in it several times, a shared codebook, is in the state once."""

    def __init__(self, quantizers: Iterable[VectorQuantizer], alike: Sequence[str]) -> None:
        super().__init__()
        self.quantizers = nn.ModuleList(expect_quantizers(quantizers, VectorQuantizer, alike))

    def _each(self) -> list[VectorQuantizer]:
        return cast("list[VectorQuantizer]", list(self.quantizers))

    def _repeated(self) -> dict[int, int]:
        """Positions of those that stood in the list before, with the position where they did first."""
        each = [id(quantizer) for quantizer in self.quantizers]
        return {position: each.index(one) for position, one in enumerate(each) if each.index(one) < position}

    @override
    def state_dict(self, *args: Any, prefix: str = "", **settings: Any) -> Any:
        """State with each codebook once: two names of one tensor are refused by safetensors."""
        state = super().state_dict(*args, prefix=prefix, **settings)
        for position in self._repeated():
            for key in [key for key in state if key.startswith(f"{prefix}quantizers.{position}.")]:
                del state[key]
        return state

    @override
    def _load_from_state_dict(self, state_dict: dict[str, Tensor], prefix: str, *rest: Any) -> None:
        """Take over a state with each codebook once, or under every name, as older versions saved it."""
        for position, first in self._repeated().items():
            of_first, of_this = (f"{prefix}quantizers.{number}." for number in (first, position))
            for key in [key for key in state_dict if key.startswith(of_first)]:
                state_dict.setdefault(of_this + key.removeprefix(of_first), state_dict[key])
        super()._load_from_state_dict(state_dict, prefix, *rest)
