"""Which inputs of a network are of which modality."""

from collections.abc import Collection, Iterable, Mapping, Sequence
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
    if isinstance(modalities, Mapping) and all(isinstance(found, Iterable) for found in modalities.values()):
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


def amended(known: Sources | None, named: Sources) -> Sources:
    """What is known of the inputs, with the modalities that the user names in its place: an input goes to one of them alone."""
    claimed = set(chain.from_iterable(named.values()))
    rest = {
        name: tuple(each for each in inputs if each not in claimed) for name, inputs in (known or {}).items()
    }
    return {**{name: inputs for name, inputs in rest.items() if inputs}, **named}


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
    modalities: Sequence[str], example: Example, sources: Sources, changes: Mapping[str, set[str]]
) -> Sources:
    """Whose the inputs are: as ``sources`` says; else those named like a modality are its own, and others go by what they change.

    Args:
        modalities: All of them.
        example: Inputs of the network.
        sources: Sources as the user gives them, of all modalities or some; those of others may be among them.
        changes: Input -> the modalities whose features change with it.

    Raises:
        ValueError: If a modality has no input.
    """
    claimed = set(chain.from_iterable(sources.values()))
    free = [name for name in example.inputs if name not in claimed]
    found = {name: list(sources.get(name, [name] if name in free else [])) for name in modalities}
    settled = {name for name in modalities if found[name]}
    for name, changed in changes.items():
        if name in free and name not in modalities and len(changed) == 1 and not changed & settled:
            found[next(iter(changed))].append(name)
    without = [name for name in modalities if not found[name]]
    if without:
        unknown = [name for name in sources if name not in modalities]
        raise ValueError(
            f"`modalities` must say which of the inputs {list(example.inputs)} are those of {without}: it cannot be told. Where one input "
            f"holds several modalities, give an `example` that has each by name, and a `call` that puts them together."
            + (f" It names {unknown}, which the mask does not have." if unknown else "")
        )
    return {name: tuple(found[name]) for name in modalities}
