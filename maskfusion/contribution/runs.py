"""Running a model on the same samples with some of their modalities taken away."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn

from maskfusion.contribution.absence import Absence, named
from maskfusion.contribution.calls import Call
from maskfusion.contribution.shapley import Coalition
from maskfusion.mask.sources import Sources


def run_without(
    model: nn.Module,
    call: Call,
    absent: Absence,
    sources: Sources,
    sets: Sequence[Coalition],
    batches: Iterable[tuple[Any, Any]],
) -> tuple[dict[Coalition, Tensor], Tensor]:
    """Predict every sample with each of these sets of modalities; returns predictions by set, and targets, on the CPU."""
    device = next((tensor.device for tensor in chain(model.parameters(), model.buffers())), None)
    predictions: dict[Coalition, list[Tensor]] = {present: [] for present in sets}
    targets: list[Tensor] = []
    seen = 0
    for batch, target in batches:
        inputs = named(batch)
        count = _count(inputs, target, sources)
        here = {name: _moved(values, device) for name, values in inputs.items()}
        gone = {
            modality: {
                name: _replacement(absent, name, here[name], range(seen, seen + count)) for name in names
            }
            for modality, names in sources.items()
        }
        for present, so_far in predictions.items():
            given = dict(here)
            for modality in sources.keys() - set(present):
                given.update(gone[modality])
            # Copies, since a model may work in place.
            copies = {name: _copied(values) for name, values in given.items()}
            prediction = call(model, copies) if present else _without_all(model, call, copies)
            so_far.append(_expect_rows("`call` returned predictions", prediction, count).detach().cpu())
        targets.append(target.detach().cpu())
        seen += count
    if not seen:
        raise ValueError("`batches` is empty; it must hold at least one sample.")
    whole = {present: _whole("`call` returned predictions", parts) for present, parts in predictions.items()}
    return whole, _whole("`batches` gives targets", targets)


def _without_all(model: nn.Module, call: Call, inputs: dict[str, Any]) -> Tensor:
    try:
        return call(model, inputs)
    except Exception as error:
        if any(values is not None for values in inputs.values()):
            raise
        raise ValueError(
            f"`absent` leaves out every input once, to score the model with none, and `call` cannot do without any "
            f"({type(error).__name__}: {error}): return a prediction there, or take another way of being absent."
        ) from error


def _count(inputs: Mapping[str, Any], target: object, sources: Sources) -> int:
    """How many samples a batch has, by its inputs and by its target."""
    counts = {}
    for name in chain.from_iterable(sources.values()):
        if name not in inputs:
            raise ValueError(f"`batches` gives inputs {list(inputs)}; {name!r} must be in every batch.")
        values = inputs[name]
        if not isinstance(values, Tensor) or not values.ndim:
            shape = " of shape ()" if isinstance(values, Tensor) else ""
            raise TypeError(
                f"`batches` gives {name!r} as a {type(values).__name__}{shape}; an input that is taken away must be a "
                f"tensor of samples: name those that are in `modalities`."
            )
        counts[name] = len(values)
    count = next(iter(counts.values()))
    if set(counts.values()) != {count}:
        raise ValueError(f"`batches` gives inputs with {counts} samples; they must have the same number.")
    _expect_rows("`batches` gives a target", target, count)
    return count


def _expect_rows(source: str, found: object, count: int) -> Tensor:
    if not isinstance(found, Tensor):
        raise TypeError(f"{source} of type {type(found).__name__}; it must be a tensor.")
    if not found.ndim or len(found) != count:
        raise ValueError(
            f"{source} of shape {tuple(found.shape)}; its first dimension must be the {count} samples."
        )
    return found


def _replacement(absent: Absence, name: str, values: Tensor, rows: range) -> Tensor | None:
    found: object = absent(name, values, rows)
    if found is None:
        return None
    if not isinstance(found, Tensor):
        raise TypeError(
            f"`absent` gave a {type(found).__name__} for {name!r}; it must give a tensor, or None."
        )
    if found.shape != values.shape:
        raise ValueError(
            f"`absent` gave shape {tuple(found.shape)} for {name!r}; it must give shape {tuple(values.shape)}."
        )
    return found


def _moved(values: Any, device: torch.device | None) -> Any:
    return values.to(device) if isinstance(values, Tensor) and device is not None else values


def _copied(values: Any) -> Any:
    return values.clone() if isinstance(values, Tensor) else values


def _whole(source: str, parts: Sequence[Tensor]) -> Tensor:
    shapes = {tuple(part.shape[1:]) for part in parts}
    if len(shapes) > 1:
        raise ValueError(f"{source} of shapes {sorted(shapes)} per sample; they must have one shape.")
    return torch.cat(list(parts))
