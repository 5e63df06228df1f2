"""Methods by name. A new one is a file with a frozen dataclass and a line in `METHODS`."""

from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields

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
from examples.methods.unimodal import Unimodal
from examples.methods.weakest_first import WeakestFirst

METHODS: dict[str, type[Method]] = {
    "unimodal": Unimodal,
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
}


def create(name: str, arguments: Mapping[str, object]) -> Method:
    """Return a method by name.

    Args:
        name: A key of `METHODS`.
        arguments: The method's own arguments; unknown and missing ones are refused by name.
    """
    if name not in METHODS:
        raise ValueError(f"`method` (='{name}') must be one of {sorted(METHODS)}.")
    known = {field.name: field for field in fields(METHODS[name])}
    unknown = sorted(set(arguments) - set(known))
    if unknown:
        raise ValueError(
            f"`arguments` of method '{name}' has unknown keys {unknown}; it knows {sorted(known)}."
        )
    missing = [key for key, value in known.items() if value.default is MISSING and key not in arguments]
    if missing:
        raise ValueError(f"`arguments` of method '{name}' lacks {missing}.")
    make: Callable[..., Method] = METHODS[name]
    return make(**arguments)
