"""Putting a mask onto a network as it stands, and taking it off again."""

import sys
import warnings
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from difflib import get_close_matches
from itertools import chain, count
from typing import Any

import torch
from torch import nn
from typing_extensions import TypedDict, Unpack

from maskfusion._checks import expect_choice
from maskfusion._typing import Gate
from maskfusion.mask.attached import AttachedMask, Entry, Place, hook_up, hooks_of, keep_padding, unhook
from maskfusion.mask.example import Call, read_example, undisturbed
from maskfusion.mask.given import given_places
from maskfusion.mask.locate import Search
from maskfusion.mask.mask import ComplementaryMask
from maskfusion.mask.settings import by_key, widths_of
from maskfusion.mask.sources import expect_sources, expect_varied
from maskfusion.mask.wiring import WiringWarning, prove
from maskfusion.mask.wrappers import behind_wrappers

CONTAINERS = (nn.Sequential, nn.ModuleList, nn.ModuleDict)
"""Modules that run, count or list their children, so that a mask among these would be noticed."""


class MaskSettings(TypedDict, total=False):
    """Keyword arguments of ``ComplementaryMask`` that ``attach`` passes on."""

    threshold: float
    init: float
    gate: Gate
    min_channels: int


def attach(
    model: nn.Module,
    at: str | Mapping[str, str | Sequence[str]],
    example: Any = None,
    *,
    channels: int | Sequence[int] | Mapping[str, int | Sequence[int]] | None = None,
    side: str = "output",
    entry: Entry | Sequence[int | str] | Mapping[str, Entry | Sequence[int | str]] = None,
    channel_dim: int | Mapping[str, int] | None = None,
    modalities: Sequence[str] | Mapping[str, str | Sequence[str]] | None = None,
    call: Call | None = None,
    name: str = "complementary_mask",
    **settings: Unpack[MaskSettings],
) -> ComplementaryMask:
    """Put a mask onto a network as it stands, however it joins its modalities; nothing is replaced.

    Forward hooks multiply what the layers ``at`` return, or take, by the mask. Every channel starts open, so the network computes the same as
    before. It keeps its classes, attributes, methods and ``state_dict`` keys; one key is new, that of Omega. A checkpoint of the plain
    network loads before and after; copies and pickles have their own hooks.

    ``example`` is run in evaluation mode to find widths, the dimension of the channels and, for a fused layer, which channels belong to which
    modality. Then it proves that a closed modality no longer reaches the output, as ``check`` does at any time.

    Args:
        model: The network. Attach before DDP and FSDP, which must know Omega.
        at: ``{"text": "project_t", "audio": "audio_encoder"}``: for each modality the path, or paths, of the layer whose output holds its
            features; or the path of one layer whose output is fused; or, with side "input", of one that takes the modalities'
            features, as arguments or concatenated.
        example: Arguments of ``forward`` and nothing else, so no labels; at least two samples that differ. A mapping of inputs by name, a tuple by
            position, or a list with one mapping per sample. If None, wiring is not checked until you call ``check``
            (``tracker.update()`` only notices layers that do not run), and ``channels`` must be given.
        channels: Channels of each modality; a sequence for several layers. Found from ``example`` if None; checked against it if given.
        side: "output" masks what the layers return, "input" what the one layer takes.
        entry: Entry of what a layer returns that holds the features, as for ``ComplementaryMask``; with side "input" the argument, by
            name or position. A list names several entries of one layer, or several arguments of one modality; a mapping has one of these
            for each modality, or each path.
        channel_dim: Dimension of the channels, for all or by modality; found from the layers if None.
        modalities: Inputs of each modality, ``{"text": ["input_ids", "attention_mask"]}``. Those of modalities that are not named are found:
            inputs named like a modality belong to it, and others go by what they change. For one layer with side "input", name either one
            modality or all of them. A list names inputs that are a modality each.
        call: ``(model, inputs by name) -> output`` where a plain call will not do.
        name: Name of the mask among the submodules; a number is added where it is taken.
        **settings: ``threshold``, ``init``, ``gate`` and ``min_channels`` of ``ComplementaryMask``.

    Returns:
        The mask.

    Raises:
        TypeError: If an argument has the wrong type.
        ValueError: If a path is unknown, a layer does not run, widths or owners do not fit or cannot be told. The network is left as it was.

    Warns:
        WiringWarning: If the output still depends on a closed modality, or closing one silences another; it names the way.

    Examples:
        >>> class Net(nn.Module):
        ...     def __init__(self):
        ...         super().__init__()
        ...         self.image, self.audio, self.head = nn.Linear(3, 4), nn.Linear(2, 6), nn.Linear(10, 5)
        ...
        ...     def forward(self, image, audio):
        ...         return self.head(torch.cat([self.audio(audio), self.image(image)], 1))
        >>> model = Net()
        >>> mask = attach(model, {"image": "image", "audio": "audio"}, (torch.randn(4, 3), torch.randn(4, 2)))
        >>> mask.channels
        {'image': 4, 'audio': 6}
        >>> detach(model)
        ['complementary_mask']
    """
    if not isinstance(model, nn.Module):
        raise TypeError(f"`model` (={model!r}) must be a module.")
    expect_choice("side", side, ("output", "input"))
    model = _reachable(model)
    layers = _layers(model, at, side)
    known = dict.fromkeys([*filter(None, layers), *chain.from_iterable(layers.values())])
    dims = by_key("channel_dim", channel_dim, known)
    later = side == "input" and isinstance(entry, Mapping)  # the modalities are still to be found
    entries = by_key("entry", entry, None if later else known)
    if example is None:
        places, counts = given_places(model, layers, channels, side, entries, dims)
        mask = _made(model, layers, counts, places, name, settings)
        _settled(model, mask)
        return mask
    read = read_example(model, example, call)
    named = {} if modalities is None else expect_sources(modalities, read.inputs)
    with undisturbed(model):
        expect_varied(read, named)
        search = Search(model, read, named, entries, dims)
        if None not in layers:
            places, counts, sources = search.encoders(layers)
        elif side == "input":
            places, counts, sources = search.mixing_layer(layers)
        else:
            places, counts, sources = search.fused_layer(layers)
        _expect_given(channels, counts)
        mask = _made(model, layers, counts, places, name, settings)
        mask.sources = sources
        with ExitStack() as undone:
            undone.callback(unhook, model, mask)
            wiring = prove({name: mask}, model, read, sources)
            undone.pop_all()  # it stays
    _settled(model, mask)
    for problem in wiring.problems:
        warnings.warn(problem, WiringWarning, stacklevel=2)
    return mask


def detach(model: nn.Module) -> list[str]:
    """Remove every mask that ``attach`` has put onto a network.

    Args:
        model: The network.

    Returns:
        Paths of the removed masks.

    Raises:
        ValueError: If there is none.
    """
    if not isinstance(model, nn.Module):
        raise TypeError(f"`model` (={model!r}) must be a module.")
    masks = {path: module for path, module in model.named_modules() if isinstance(module, AttachedMask)}
    hooked = [hook.mask for hooks in hooks_of(model).values() for hook in hooks]
    if not masks and not hooked:
        raise ValueError(f"`model` ({type(model).__name__}) must have a mask that `attach` has put onto it.")
    for mask in dict.fromkeys([*masks.values(), *hooked]):
        unhook(model, mask)
    _forget_compiled()
    return list(masks)


def _reachable(model: nn.Module) -> nn.Module:
    """The network itself, behind a compiler; the wrappers that gather parameters when they are made are refused."""
    inner = behind_wrappers(model)
    if inner is not model and type(model).__name__ != "OptimizedModule":
        raise ValueError(
            f"`model` ({type(model).__name__}) must not be wrapped yet: the wrapper would not know Omega. Attach to the network first."
        )
    return inner


def _layers(model: nn.Module, at: object, side: str) -> dict[str | None, list[str]]:
    """Paths by modality; those of one layer for all under None."""
    if isinstance(at, str):
        return {None: [_known(model, at)]}
    if not isinstance(at, Mapping) or not at:
        raise TypeError(
            f"`at` (={at!r}) must be a mapping of modality to the path of its layer, or the path of one layer for all."
        )
    if side == "input":
        raise ValueError(
            "`side` (='input') needs one layer, which takes all modalities: `at` must be its path."
        )
    layers: dict[str | None, list[str]] = {}
    for modality, paths in at.items():
        given = [paths] if isinstance(paths, str) else list(paths) if isinstance(paths, Sequence) else [paths]
        layers[modality] = [_known(model, path) for path in given]
    modules = [model.get_submodule(path) for path in chain.from_iterable(layers.values())]
    if len({id(module) for module in modules}) < len(modules):
        raise ValueError(
            f"`at` (={dict(at)!r}) must name each layer once: what one layer returns belongs to one modality. Name layers that the "
            f"modalities do not share."
        )
    return layers


def _known(model: nn.Module, path: object) -> str:
    known = {name: module for name, module in model.named_modules(remove_duplicate=False) if name}
    if isinstance(path, nn.Module):
        names = [name for name, module in known.items() if module is path]
        raise TypeError(f"`at` holds a module ({type(path).__name__}); it must hold paths: {names}.")
    if not isinstance(path, str):
        raise TypeError(f"`at` holds {path!r}; it must hold paths of layers.")
    if path not in known:
        near = get_close_matches(path, known, n=5, cutoff=0.3) or list(known)[:5]
        raise ValueError(
            f"`at` holds {path!r}; it must be the path of a layer of {type(model).__name__}, such as {near}."
        )
    if isinstance(known[path], AttachedMask):
        raise ValueError(f"`at` holds {path!r}; it must be a layer, not a mask.")  # noqa: TRY004 - the path is wrong
    return path


def _expect_given(channels: Any, found: Mapping[str, int]) -> None:
    """See that the channels that were given are those that the example shows, in its order."""
    if channels is None:
        return
    if not isinstance(channels, Mapping):
        raise TypeError(
            f"`channels` (={channels!r}) must be a mapping of modality to channels where there is an `example`, or None."
        )
    given = {name: sum(widths_of(name, each)) for name, each in channels.items()}
    if list(given.items()) != list(found.items()):
        raise ValueError(
            f"`channels` (={channels!r}) must be what `example` shows, {dict(found)}, in this order."
        )


def _made(
    model: nn.Module,
    layers: Mapping[str | None, list[str]],
    counts: Mapping[str, int],
    places: Sequence[Place],
    name: str,
    settings: Mapping[str, Any],
) -> AttachedMask:
    """Make the mask, a submodule of the network, and its hooks."""
    paths = list(chain.from_iterable(layers.values()))
    taken = [path for path in hooks_of(model) if path in paths]
    if taken:
        raise ValueError(
            f"`at` names {taken}, which carry a mask already. `detach` it first, or name other layers."
        )
    tensors = chain(
        *(chain(part.parameters(), part.buffers()) for part in (model.get_submodule(paths[0]), model))
    )
    device = next((tensor.device for tensor in tensors), torch.get_default_device())
    mask = AttachedMask(counts, places, device=device, **settings)
    owner = _owner(model, paths[0])
    names = chain([name], (f"{name}_{number}" for number in count(2)))
    free = next(each for each in names if not hasattr(owner, each))
    owner.add_module(free, mask)
    hook_up(model, mask)
    return mask


def _owner(model: nn.Module, path: str) -> nn.Module:
    """The outermost module on the way to a layer that is no container; a child of a container would be run or counted by it."""
    way = [model]
    for part in path.split("."):
        way.append(way[-1].get_submodule(part))
    return next(module for module in chain(way, way[-1].modules()) if not isinstance(module, CONTAINERS))


def _settled(model: nn.Module, mask: AttachedMask) -> None:
    mask.train(model.training)
    keep_padding(model, mask)
    _forget_compiled()


def _forget_compiled() -> None:
    """Compiled code does not look at hooks again, so what was compiled before is compiled anew."""
    if "torch._dynamo" in sys.modules:
        torch.compiler.reset()
