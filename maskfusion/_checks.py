"""One place for the wording of errors: the argument, its value, the rule."""

import math
from collections.abc import Iterable, Mapping, Sequence
from numbers import Integral, Real
from typing import TypeVar

import torch
from torch import Tensor, fx

Q = TypeVar("Q")


def expect_number(
    name: str, value: object, *, above: float = -math.inf, least: float = -math.inf, below: float = math.inf
) -> float:
    """Return ``value`` as a float, or say which bound it breaks."""
    rules = [
        f"{word} {bound:g}"
        for word, bound in (("above", above), ("at least", least), ("below", below))
        if math.isfinite(bound)
    ]
    rule = "a finite number" + (" " + " and ".join(rules) if rules else "")
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"`{name}` (={value!r}) must be {rule}.")
    number = float(value)
    if not math.isfinite(number) or number <= above or number < least or number >= below:
        raise ValueError(f"`{name}` (={value!r}) must be {rule}.")
    return number


def expect_int(name: str, value: object, *, least: int | None = None) -> int:
    """Return ``value`` as an int of at least ``least``."""
    rule = "an integer" if least is None else f"an integer of at least {least}"
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise TypeError(f"`{name}` (={value!r}) must be {rule}.")
    if least is not None and value < least:
        raise ValueError(f"`{name}` (={value!r}) must be {rule}.")
    return int(value)


def expect_choice(name: str, value: object, choices: Sequence[str]) -> str:
    """Return ``value`` if it is one of ``choices``."""
    if value not in choices:
        raise ValueError(f"`{name}` (={value!r}) must be one of {', '.join(map(repr, choices))}.")
    return str(value)


def expect_channels(channels: object) -> dict[str, int]:
    """Read the ``channels`` argument of a mask: modality name to number of channels, in order.

    An int is two equal modalities, a sequence names modalities by position, a mapping names them itself.
    """
    rule = "an even int (two equal modalities), a sequence of ints or a mapping of modality to int"
    if not isinstance(channels, bool) and isinstance(channels, Integral):
        total = int(channels)
        if total < 2 or total % 2:
            raise ValueError(
                f"`channels` (={total}) must be even and at least 2 when it is an int: it stands for two equal "
                f"modalities. Give a sequence or a mapping for anything else."
            )
        return {"0": total // 2, "1": total // 2}
    if isinstance(channels, Mapping):
        counts = dict(channels)
    elif isinstance(channels, Sequence) and not isinstance(channels, str):
        counts = {str(position): count for position, count in enumerate(channels)}
    else:
        raise TypeError(f"`channels` (={channels!r}) must be {rule}.")
    if not counts:
        raise ValueError(f"`channels` (={channels!r}) must name at least one modality.")
    for modality in counts:
        if not isinstance(modality, str):
            raise TypeError(f"`channels` names a modality {modality!r}; names must be strings.")
    return {modality: expect_int(f"channels[{modality!r}]", n, least=1) for modality, n in counts.items()}


def expect_features(name: object, features: object, expected: int, channel_dim: int) -> Tensor:
    """Return ``features`` if it is a tensor with ``expected`` channels along ``channel_dim``."""
    if isinstance(features, fx.Proxy):
        raise TypeError(
            f"`{name}` is a proxy of fx.symbolic_trace, which follows no checks. Trace with an fx.Tracer whose `is_leaf_module` keeps "
            f"maskfusion's layers whole, or use torch.export."
        )
    if not isinstance(features, Tensor):
        raise TypeError(f"`{name}` must be a tensor, got {type(features).__name__}.")
    rank = features.ndim
    if rank < 2 or not -rank <= channel_dim < rank or features.shape[channel_dim] != expected:
        raise ValueError(
            f"`{name}` of shape {tuple(features.shape)} must have at least 2 dimensions and {expected} channels along dimension "
            f"{channel_dim}."
        )
    if not features.is_floating_point():
        raise TypeError(f"`{name}` of dtype {features.dtype} must be floating point.")
    return features


def expect_mask(name: str, mask: object, shape: Sequence[int]) -> Tensor:
    """Return ``mask`` if it is a boolean tensor of ``shape``."""
    if not isinstance(mask, Tensor):
        raise TypeError(f"`{name}` must be a tensor, got {type(mask).__name__}.")
    if mask.dtype != torch.bool:
        raise TypeError(f"`{name}` of dtype {mask.dtype} must be boolean: True is real, False is padding.")
    if mask.shape != torch.Size(shape):
        raise ValueError(f"`{name}` of shape {tuple(mask.shape)} must have the shape {tuple(shape)}.")
    return mask


def expect_quantizers(quantizers: Iterable[Q], kind: type[Q], alike: Sequence[str]) -> list[Q]:
    """Return ``quantizers`` as a list if there is at least one, all are of ``kind`` and agree in the attributes ``alike``."""
    checked = list(quantizers)
    if not checked:
        raise ValueError(f"`quantizers` (={checked}) must hold at least one {kind.__name__}.")
    for quantizer in checked:
        if not isinstance(quantizer, kind):
            raise TypeError(
                f"`quantizers` holds a {type(quantizer).__name__}; each must be a {kind.__name__}."
            )
    for name in alike:
        values = [getattr(quantizer, name) for quantizer in checked]
        if len(set(values)) > 1:
            raise ValueError(f"`quantizers` with `{name}` {values} must agree in it.")
    return checked


def refuse_nonfinite(name: str, fine: Tensor) -> None:
    """Raise if not all of the vectors are fine; waits for the device."""
    bad = int((~fine).sum())
    if bad:
        raise ValueError(
            f"`{name}` has {bad} of {fine.numel()} vectors with NaN or inf. Nothing was changed."
        )


def expect_indices(name: str, indices: Tensor, size: int) -> Tensor:
    """Return ``indices`` if they are integers in [0, size); the range is looked at on a CPU only, where it costs no waiting."""
    if indices.is_floating_point() or indices.dtype == torch.bool:
        raise TypeError(f"`{name}` of dtype {indices.dtype} must be integers.")
    if indices.device.type == "cpu" and indices.numel() and not torch.compiler.is_compiling():
        low, high = (int(bound) for bound in indices.aminmax())
        if low < 0 or high >= size:
            raise ValueError(f"`{name}` from {low} to {high} must lie in [0, {size}).")
    return indices
