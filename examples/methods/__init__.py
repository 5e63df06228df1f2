"""Methods by name. A new one is a file with a frozen dataclass and a line in `METHODS`."""

from collections.abc import Mapping
from dataclasses import dataclass

from examples.errors import UserError
from examples.methods.alone_first import AloneFirst, AloneJoinedPooled, Joined, JoinedPooled, PooledExperts
from examples.methods.base import Method
from examples.methods.complementary_mask import MaskedFusion
from examples.methods.concatenation import Concatenation
from examples.methods.feature_dropout import FeatureDropout
from examples.methods.gated import GatedFusion, RawGate
from examples.methods.gradient_blending import GradientBlending
from examples.methods.mmpareto import MMPareto
from examples.methods.modality_dropout import ModalityDropout
from examples.methods.ogm import OGM
from examples.methods.pmr import PMR
from examples.methods.pruned import Pruned
from examples.methods.steered_mask import SteeredMask
from examples.methods.uniform_losses import MaskedUniformLosses, UniformLosses
from examples.methods.unimodal import MaskedUnimodal, Unimodal
from examples.methods.validated_mask import ValidatedMask
from examples.methods.weakest_first import WeakestFirst
from examples.typed import build

METHODS: dict[str, type[Method]] = {
    "unimodal": Unimodal,
    "masked_unimodal": MaskedUnimodal,
    "concatenation": Concatenation,
    "complementary_mask": MaskedFusion,
    "ogm": OGM,
    "pmr": PMR,
    "gradient_blending": GradientBlending,
    "uniform_losses": UniformLosses,
    "masked_uniform_losses": MaskedUniformLosses,
    "feature_dropout": FeatureDropout,
    "modality_dropout": ModalityDropout,
    "gated_raw": RawGate,
    "gated_literature": GatedFusion,
    "mmpareto": MMPareto,
    "weakest_first": WeakestFirst,
    "pooled_experts": PooledExperts,
    "joined": Joined,
    "joined_pooled": JoinedPooled,
    "alone_joined_pooled": AloneJoinedPooled,
    "alone_validated_pooled": ValidatedMask,
    "steered_mask": SteeredMask,
    "pruned": Pruned,
}


JOINED = "joined+"
"""Before the name of another method: this method, on encoders that were trained alone."""


def create(name: str, arguments: Mapping[str, object]) -> Method:
    """Return a method by name.

    Args:
        name: A key of `METHODS`; or `JOINED` and a key, for that method with the start and the schedule of `Joined`.
        arguments: The method's own arguments; of both where it is joined.

    Raises:
        UserError: There is no such method; or an argument is unknown, missing or wrong; names it.
    """
    own = name.removeprefix(JOINED)
    if own not in METHODS:
        raise UserError(
            f"`method` (='{name}') must be one of {sorted(METHODS)}, or '{JOINED}' and one of them."
        )
    kind = METHODS[own]
    if own != name:
        if issubclass(kind, AloneFirst | Pruned | Unimodal):
            raise UserError(
                f"`method` (='{name}') joins '{own}', which must be a method that trains one network of all modalities at once."
            )
        kind = _joined(kind)
    return build(kind, arguments, f"`arguments` of method '{name}'")


def _joined(kind: type[Method]) -> type[Method]:
    return dataclass(frozen=True)(type(f"Joined{kind.__name__}", (Joined, kind), {"__doc__": kind.__doc__}))
