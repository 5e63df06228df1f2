"""A joined network that begins where networks trained alone have ended."""

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Any

from torch import Tensor, nn

from maskfusion.mask.wrappers import behind_wrappers

MOST = 4
"""Names that a message lists."""


def warm_start(model: nn.Module, parts: Mapping[str, nn.Module | Mapping[str, Tensor]]) -> list[str]:
    """Copy the weights of networks trained alone, part by part, into a network that joins them.

    Each part is copied completely, including buffers (the statistics of batch normalisation), or nothing is changed. Call it before the network is
    compiled, wrapped or sharded.

    Args:
        model: The joined network.
        parts: Path of a part of ``model`` -> the trained module that it is initialised from, or its ``state_dict``.

    Returns:
        Names of the parameters of ``model`` that were not initialised from any part, such as those of the joint head and Omega. They may need a
        larger learning rate than the rest.

    Raises:
        TypeError: If an argument has the wrong type.
        ValueError: If there are no parts, a path is no part of ``model``, or a part lacks a weight, has one more, or one of another shape.

    Examples:
        >>> video, sound = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2)), nn.Sequential(nn.Linear(5, 4), nn.Linear(4, 2))
        >>> joined = nn.ModuleDict({"video": nn.Linear(3, 4), "sound": nn.Linear(5, 4), "head": nn.Linear(8, 2)})
        >>> warm_start(joined, {"video": video[0], "sound": sound[0].state_dict()})
        ['head.weight', 'head.bias']
    """
    if not isinstance(model, nn.Module):
        raise TypeError(f"`model` (={model!r}) must be a module.")
    states = _states(parts)
    targets = {path: _part_of(model, path) for path in states}
    for path, state in states.items():
        if problems := "; ".join(_differences(targets[path].state_dict(), state)):
            raise ValueError(
                f"`parts[{path!r}]` does not fit the {type(targets[path]).__name__} there: {problems}. Nothing was carried; pass the part itself, "
                f"as in `video.encoder`, built like the one in `model`."
            )
    for path, state in states.items():
        targets[path].load_state_dict(state)
    begun = {id(parameter) for target in targets.values() for parameter in target.parameters()}
    return [name for name, parameter in model.named_parameters() if id(parameter) not in begun]


def _states(parts: object) -> dict[str, dict[str, Any]]:
    """The state of each part by its path."""
    rule = 'must say what to carry where, as in {"encoders.video": video.encoder}'
    if not isinstance(parts, Mapping):
        raise TypeError(f"`parts` (={parts!r}) {rule}.")
    if not parts:
        raise ValueError(f"`parts` (={parts!r}) {rule}.")
    return {path: _state(path, part) for path, part in parts.items()}


def _state(path: str, part: object) -> dict[str, Any]:
    if not isinstance(part, (nn.Module, Mapping)):
        raise TypeError(
            f"`parts[{path!r}]` must be a module or its state_dict, got {type(part).__name__}; a file is read by torch.load."
        )
    state = behind_wrappers(part).state_dict() if isinstance(part, nn.Module) else dict(part)
    if not state:
        raise ValueError(f"`parts[{path!r}]` has no weights to carry.")
    return state


def _part_of(model: nn.Module, path: str) -> nn.Module:
    known: dict[str, nn.Module] = dict(model.named_modules(remove_duplicate=False))
    if path in known:
        return known[path]
    near = get_close_matches(str(path), known, n=5, cutoff=0.3) or list(known)[1:6]
    raise ValueError(
        f"`parts` holds {path!r}; it must be the path of a part of {type(model).__name__}, such as {near}."
    )


def _differences(there: Mapping[str, Any], state: Mapping[str, Any]) -> Iterator[str]:
    """What keeps a state from being loaded, in words."""
    for words, names in (("it lacks", there.keys() - state), ("it also has", state.keys() - there)):
        if names:
            yield f"{words} {sorted(names)[:MOST]}" + f" and {len(names) - MOST} more" * (len(names) > MOST)
    for name in [name for name in there if name in state]:
        got, wanted = (tuple(getattr(each[name], "shape", ())) for each in (state, there))
        if got != wanted:
            yield f"its {name!r} has the shape {got} and that of `model` {wanted}"
