"""Whose the channels of a tensor are, from what changes with each modality's inputs."""

from collections.abc import Mapping, Sequence
from itertools import groupby

import torch
from torch import Tensor

Runs = tuple[tuple[int, int], ...]
"""Stretches of Omega, start and stop."""


def changed_channels(before: Tensor, after: Tensor | None, dim: int) -> Tensor:
    """Which channels differ, bool ``(channels,)``; all of them where the shape does."""
    if after is None or before.shape != after.shape:
        return torch.ones(before.shape[dim], dtype=torch.bool)
    return (before != after).movedim(dim, 0).flatten(1).any(1).cpu()


def owners(flags: Mapping[str, Tensor], name: str, *, told: bool = False) -> list[str]:
    """Whose each channel of a tensor is. A channel that nothing changes goes with the known ones beside it.

    Args:
        flags: Modality -> the channels that change with it, bool ``(channels,)``.
        name: Name of the tensor in errors.
        told: Whether the user has said which inputs are whose.

    Raises:
        ValueError: If channels are mixed, a modality has none, or a channel has no owner.
    """
    missing = [key for key, flag in flags.items() if not flag.any()]
    if missing or not flags:
        raise ValueError(
            f"`at`: no channel of the {name} changes with {missing or 'any input'}. Name the layer where its features are."
        )
    table = torch.stack(list(flags.values()))
    shared = table.sum(0) > 1
    if shared.any():
        mixed = [key for key, flag in flags.items() if (flag & shared).any()]
        raise ValueError(
            f"`at`: channels of the {name} change with each of {mixed}, so they belong to none alone. Name the layers whose outputs "
            f"are the modalities' own features, before they are mixed"
            + ("." if told else ", or say with `modalities=` which inputs are whose.")
        )
    names = list(flags)
    known = [names[int(column.int().argmax())] if column.any() else None for column in table.T]
    filled = [_beside(known, place) for place in range(len(known))]
    if None in filled:
        raise ValueError(
            f"`at`: whose channel {filled.index(None)} of the {name} is cannot be told: it changes with no input. Give an `example` of "
            f"more samples, or `channels=` without `example`."
        )
    return [owner for owner in filled if owner is not None]


def independent(flags: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The inputs that are modalities: not those that change nothing, what another does, or what several others do together.

    So lengths and padding masks are none.
    """
    seen = {name: flag for name, flag in flags.items() if flag.any()}
    kept: dict[str, Tensor] = {}
    for name, flag in seen.items():
        parts = [other for other in seen.values() if not (other & ~flag).any() and (flag & ~other).any()]
        covers = len(parts) > 1 and torch.equal(torch.stack(parts).any(0), flag)
        if not covers and not any(torch.equal(flag, other) for other in kept.values()):
            kept[name] = flag
    return kept


def lay_out(owned: Sequence[Sequence[str]]) -> tuple[dict[str, int], list[Runs]]:
    """Channels of each modality, and of each tensor, by the owners of its channels, the stretches of Omega in its order."""
    total: dict[str, int] = {}
    for owner in (owner for tensor in owned for owner in tensor):
        total[owner] = total.get(owner, 0) + 1
    cursor, start = {}, 0
    for name, count in total.items():
        cursor[name], start = start, start + count
    runs = []
    for tensor in owned:
        stretches = []
        for name, group in groupby(tensor):
            length = len(list(group))
            stretches.append((cursor[name], cursor[name] + length))
            cursor[name] += length
        runs.append(tuple(stretches))
    return total, runs


def _beside(known: Sequence[str | None], place: int) -> str | None:
    if known[place] is not None:
        return known[place]
    before = next((owner for owner in reversed(known[:place]) if owner is not None), None)
    after = next((owner for owner in known[place:] if owner is not None), None)
    if before is None or after is None:
        return before or after
    return before if before == after else None
