"""By which way a closed modality is still heard."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from torch import nn

from maskfusion.mask.attached import AttachedMask
from maskfusion.mask.example import Example, differs
from maskfusion.mask.listening import Masks


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
                f"or to every path."
            )
    return f"{starts}it reaches the output past the mask, outside of any layer. Attach where its features leave the encoder, or to every path."


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
