"""Plain concatenation of all modalities, the baseline "Multi" of Table 2."""

from dataclasses import dataclass

from examples.methods.base import Method


@dataclass(frozen=True)
class Concatenation(Method):
    """Feed every channel of every modality to the head."""
