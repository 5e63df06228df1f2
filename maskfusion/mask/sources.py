"""Which inputs of a network are of which modality."""

from collections.abc import Collection, Mapping, Sequence
from itertools import chain
from typing import Any

from maskfusion.mask.attached import AttachedMask
from maskfusion.mask.example import Example
from maskfusion.mask.mask import ComplementaryMask

Sources = dict[str, tuple[str, ...]]
"""Modality -> names of its inputs."""


def expect_sources(modalities: object, inputs: Mapping[str, Any]) -> Sources:
    """Read the ``modalities`` argument: names of inputs, each a modality, or a mapping of modality to the names of its inputs.

    Raises:
        TypeError: If it is neither.
        ValueError: If it is empty, has a name twice, or names no input.
    """
    if isinstance(modalities, Mapping):
        sources = {
            name: (found,) if isinstance(found, str) else tuple(found) for name, found in modalities.items()
        }
    elif isinstance(modalities, Sequence) and not isinstance(modalities, str):
        sources = {name: (name,) for name in modalities}
    else:
        raise TypeError(
            f"`modalities` (={modalities!r}) must be a sequence of names, or a mapping of modality to names."
        )
    names = list(chain.from_iterable(sources.values()))
    twice = len(names) > len(set(names)) or len(modalities) > len(sources)
    if twice or not sources or not all(sources.values()):
        raise ValueError(f"`modalities` (={modalities!r}) must hold at least one name, and no name twice.")
    unknown = [name for name in names if name not in inputs]
    if unknown:
        raise ValueError(f"`modalities` names {unknown}; the inputs are {list(inputs)}.")
    return sources


def told(masks: Mapping[str, ComplementaryMask], inputs: Collection[str]) -> Sources | None:
    """Which inputs are whose, where ``attach`` has found that for every mask, and the inputs are still the same."""
    found: Sources = {}
    for mask in masks.values():
        sources = mask.sources if isinstance(mask, AttachedMask) else {}
        if not sources or not set(chain.from_iterable(sources.values())) <= set(inputs):
            return None
        found |= {
            name: tuple(dict.fromkeys((*found.get(name, ()), *names))) for name, names in sources.items()
        }
    return found or None


def expect_varied(example: Example, sources: Sources) -> list[str]:
    """The inputs whose samples differ.

    Raises:
        ValueError: If those of a modality do not.
    """
    varied = example.varied()
    still = {name: inputs for name, inputs in sources.items() if not set(inputs) & set(varied)}
    if still or not varied:
        raise ValueError(
            f"`example` must hold at least two samples that differ in every modality; those of {still or list(example.inputs)} are all "
            f"alike."
        )
    return varied


def inputs_of(
    modalities: Sequence[str], example: Example, sources: Sources | None, changes: Mapping[str, set[str]]
) -> Sources:
    """Whose the inputs are: as ``sources`` says; else those named like a modality are its own, and others go by what they change.

    Args:
        modalities: All of them.
        example: Inputs of the network.
        sources: Sources as the user gives them.
        changes: Input -> the modalities whose features change with it.

    Raises:
        ValueError: If a modality has no input.
    """
    if sources is None:
        found = {name: [name] if name in example.inputs else [] for name in modalities}
        for name, changed in changes.items():
            if name not in modalities and len(changed) == 1:
                (owner,) = changed
                if owner not in example.inputs:
                    found[owner].append(name)
        sources = {name: tuple(inputs) for name, inputs in found.items()}
    without = [name for name in modalities if not sources.get(name)]
    if without:
        raise ValueError(
            f"`modalities` must say which of the inputs {list(example.inputs)} are those of {without}: it cannot be told. Where one input "
            f"holds several modalities, give an `example` that has each by name, and a `call` that puts them together."
        )
    return {name: sources[name] for name in modalities}
