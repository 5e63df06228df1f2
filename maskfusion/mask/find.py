"""Finding the masks of a model, by the paths that its author would give them."""

from typing import TypeVar

from torch import nn

from maskfusion.mask.mask import ComplementaryMask

M = TypeVar("M", bound=nn.Module)

WRAPPERS = {
    ("torch", "OptimizedModule"): "_orig_mod",
    ("torch", "DataParallel"): "module",
    ("torch", "DistributedDataParallel"): "module",
    ("torch", "FullyShardedDataParallel"): "_fsdp_wrapped_module",
    ("torch", "ActivationWrapper"): "_checkpoint_wrapped_module",
    ("torch", "AveragedModel"): "module",
    ("lightning", "_FabricModule"): "_forward_module",
    ("lightning_fabric", "_FabricModule"): "_forward_module",
    ("deepspeed", "DeepSpeedEngine"): "module",
}
"""Package and class of what others put around a module, and where it keeps it."""


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


def _unwrapped(model: nn.Module, path: str) -> str:
    kept = []
    for name in filter(None, path.split(".")):
        if not _wraps(model, name):
            kept.append(name)
        model = model.get_submodule(name)
    return ".".join(kept)


def _wraps(parent: nn.Module, name: str) -> bool:
    classes = ((kind.__module__.partition(".")[0], kind.__name__) for kind in type(parent).__mro__)
    return any(WRAPPERS.get(key) == name for key in classes)
