"""By which way a closed modality is still heard."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple

from torch import Tensor, nn

from maskfusion.mask.attached import AttachedMask
from maskfusion.mask.entry import entry_name
from maskfusion.mask.example import Example, differs, tensors_in
from maskfusion.mask.listening import Masks
from maskfusion.mask.recording import Recorded
from maskfusion.mask.tensors import arguments_of


class Ran(NamedTuple):
    """One call of one layer."""

    path: str
    took: Any
    returned: Any


def way_round(
    model: nn.Module,
    example: Example,
    modality: str,
    inputs: Sequence[str],
    masks: Masks,
) -> str:
    """Name the way, in a sentence with what to do; the modality is closed."""
    plain, changed = (_trace(model, run) for run in (example.run, lambda: example.exchanged(inputs)))
    pairs = [(a, b) for a, b in zip(plain, changed, strict=False) if a.path == b.path]
    starts = f"Closed, {modality!r} is still heard: "
    for mask in masks.values():
        for place in mask.places if isinstance(mask, AttachedMask) else ():
            met = [b for a, b in pairs if a.path == place.path and differs(a.returned, b.returned)]
            if met and place.argument is None and place.modality not in (None, modality):
                return (
                    f"{starts}the features of {place.modality!r}, the {place}, hold it already, as in a cross-modal encoder. Attach to layers "
                    f"before the modalities meet."
                )
    beside = {spot: said for spot in _spots(masks, modality) if (said := _beside(model, pairs, spot))}
    found = "; ".join(beside.values())
    if beside:
        with _held(model, plain, beside):
            held = example.exchanged(inputs)
        if not differs(example.run(), held):
            return f"{starts}{found}, and the output depends on it. Name it with `entry=`, alone or in a list with what is masked."
    also = f" {found}; name it too with `entry=` if the network reads it." if beside else ""
    borders = {
        *masks,
        *(place.path for mask in masks.values() if isinstance(mask, AttachedMask) for place in mask.places),
    }
    last = max((place for place, (a, _) in enumerate(pairs) if a.path in borders), default=-1)
    for a, b in pairs[last + 1 :]:
        around = any(border == a.path or border.startswith(f"{a.path}.") for border in borders)
        if a.path and not around and differs(a.took, b.took):
            return (
                f"{starts}`{a.path}` gets it past the mask, by a residual or a second path. Attach where its features leave the encoder, "
                f"or to every path.{also}"
            )
    return (
        f"{starts}it reaches the output past the mask, outside of any layer. Attach where its features leave the encoder, or to every "
        f"path.{also}"
    )


class Spot(NamedTuple):
    """A layer that a mask is on, and on which side."""

    path: str
    takes: bool
    """Whether the mask multiplies what the layer takes; else what it returns."""


def _spots(masks: Masks, modality: str) -> list[Spot]:
    """Where features of a modality are masked."""
    found = []
    for path, mask in masks.items():
        if isinstance(mask, AttachedMask):
            places = [place for place in mask.places if place.modality in (None, modality)]
            found += [Spot(place.path, place.argument is not None) for place in places]
        elif mask.side == "output":
            found.append(Spot(path, takes=False))
    return list(dict.fromkeys(found))


def _beside(model: nn.Module, pairs: Sequence[tuple[Ran, Ran]], spot: Spot) -> str:
    """What changes there with a modality that is closed, beside what is masked, in words; empty if nothing does."""
    layer = model.get_submodule(spot.path)
    for a, b in pairs:
        if a.path == spot.path:
            before, after = (_features(layer, ran, spot.takes) for ran in (a, b))
            names = [name for name, tensor in before.items() if differs(tensor, after.get(name))]
            if names:
                verb, noun = ("takes", "argument") if spot.takes else ("returns", "entry")
                return f"`{spot.path}` also {verb} {' and '.join(f'{noun} {name!r}' for name in names)}, unmasked"
    return ""


def _features(layer: nn.Module, ran: Ran, takes: bool) -> dict[int | str, Tensor]:
    """What may be features among what a layer took or returned, as ``entry`` names it."""
    if takes:
        took = arguments_of(layer, Recorded(calls=[(*ran.took, None)]))
        return {argument.name or argument.position or 0: tensor for argument, tensor in took.items()}
    returned = tensors_in(ran.returned)
    return {
        entry_name(keys): tensor
        for keys, tensor in returned.items()
        if keys and tensor.is_floating_point() and tensor.ndim > 1
    }


@contextmanager
def _held(model: nn.Module, plain: Sequence[Ran], spots: Mapping[Spot, str]) -> Iterator[None]:
    """Let layers take, or return, what they did before, call by call."""
    with ExitStack() as hooks:
        for spot in spots:
            layer = model.get_submodule(spot.path)
            before = iter(
                [ran.took if spot.takes else ran.returned for ran in plain if ran.path == spot.path]
            )
            register = layer.register_forward_pre_hook if spot.takes else layer.register_forward_hook
            hooks.callback(register(_next_of(before), with_kwargs=True).remove)
        yield


def _next_of(values: Iterator[Any]) -> Callable[..., Any]:
    """A hook that gives the next of these, and leaves everything as it is when there are no more."""
    return lambda *_: next(values, None)


def _trace(model: nn.Module, run: Callable[[], Any]) -> list[Ran]:
    """What every layer took and returned, in the order in which they were done."""
    found: list[Ran] = []

    def note(path: str) -> Callable[..., None]:
        def hook(layer: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> None:
            del layer
            found.append(Ran(path, (args, kwargs), output))

        return hook

    handles = [
        module.register_forward_hook(note(path), with_kwargs=True) for path, module in model.named_modules()
    ]
    try:
        run()
    finally:
        for handle in handles:
            handle.remove()
    return found
