"""Methods by name. A new one is a file with a frozen dataclass and a line in `METHODS`."""

from collections.abc import Mapping

from examples.errors import UserError
from examples.methods.alone_first import AloneJoinedPooled, Joined, JoinedPooled, PooledExperts
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
from examples.methods.uniform_losses import MaskedUniformLosses, UniformLosses
from examples.methods.unimodal import MaskedUnimodal, Unimodal
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
}


def create(name: str, arguments: Mapping[str, object]) -> Method:
    """Return a method by name.

    Args:
        name: A key of `METHODS`.
        arguments: The method's own arguments.

    Raises:
        UserError: There is no such method; or an argument is unknown, missing or wrong; names it.
    """
    if name not in METHODS:
        raise UserError(f"`method` (='{name}') must be one of {sorted(METHODS)}.")
    return build(METHODS[name], arguments, f"`arguments` of method '{name}'")
