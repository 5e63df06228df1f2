"""Finding the masks of a model, by the paths that its author would give them."""

from typing import TypeVar

from torch import nn

from maskfusion.mask.attached import AttachedMask, hooks_of
from maskfusion.mask.mask import ComplementaryMask
from maskfusion.mask.wrappers import wraps

M = TypeVar("M", bound=nn.Module)


def expect_masks(name: str, model: object) -> dict[str, ComplementaryMask]:
    """The masks of a model by path, as ``masks_of``, of which there must be one."""
    if not isinstance(model, nn.Module):
        raise TypeError(f"`{name}` (={model!r}) must be a module.")
    masks = masks_of(model)
    if not masks:
        raise ValueError(f"`{name}` ({type(model).__name__}) must hold a ComplementaryMask.")
    return masks


def masks_of(model: nn.Module) -> dict[str, ComplementaryMask]:
    """The masks of a model by path, each once, without what compilers and trainers have put around it."""
    masks = {path: module for path, module in model.named_modules() if isinstance(module, ComplementaryMask)}
    return shortened(model, masks)


def shortened(model: nn.Module, found: dict[str, M]) -> dict[str, M]:
    """Some modules of a model by path, without the wrappers; where two would get the same path, all keep theirs as it is."""
    short = {_unwrapped(model, path): module for path, module in found.items()}
    return short if len(short) == len(found) else found


def expect_hooks(model: nn.Module) -> None:
    """See that every layer that carries an attached mask still does.

    Raises:
        ValueError: If one has lost it, or carries that of another network.
    """
    hooked = hooks_of(model)
    masks = {path: module for path, module in model.named_modules() if isinstance(module, AttachedMask)}
    for path, mask in masks.items():
        theirs = {
            place for hooks in hooked.values() for hook in hooks if hook.mask is mask for place in hook.places
        }
        lost = sorted({place.path for place in mask.places if place not in theirs})
        if lost:
            raise ValueError(
                f"`model`: {lost} no longer carry mask {path!r}; something has put new layers there. `detach` the mask and `attach` it "
                f"again; `mask.state_dict()` keeps Omega."
            )
    known = {id(mask) for mask in masks.values()}
    strange = [path for path, hooks in hooked.items() if any(id(hook.mask) not in known for hook in hooks)]
    if strange:
        raise ValueError(
            f"`model`: {strange} carry a mask that is no part of this network, which neither trains nor saves it. Attach to this network "
            f"instead."
        )


def _unwrapped(model: nn.Module, path: str) -> str:
    kept = []
    for name in filter(None, path.split(".")):
        if not wraps(model, name):
            kept.append(name)
        model = model.get_submodule(name)
    return ".".join(kept)
