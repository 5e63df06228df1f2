"""One modality alone, the first rows of Table 2."""

from collections.abc import Sequence
from dataclasses import dataclass

from examples.errors import UserError
from examples.methods.base import Method


@dataclass(frozen=True)
class Unimodal(Method):
    """Train on one modality.

    Args:
        modality: Name of the modality.
    """

    modality: str

    def inputs(self, available: Sequence[str]) -> list[str]:
        """Choose the one modality."""
        if self.modality not in available:
            raise UserError(f"`modality` (='{self.modality}') must be one of {list(available)}.")
        return [self.modality]
