"""What compilers and trainers put around a module, and how to look behind it."""

from torch import nn

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
"""Package and class of a wrapper, and where it keeps what it wraps."""


def wraps(parent: nn.Module, name: str) -> bool:
    """Whether ``parent`` is a wrapper that keeps a module under this name."""
    return _place(parent) == name


def behind_wrappers(module: nn.Module) -> nn.Module:
    """What is left when all wrappers are taken off."""
    while (name := _place(module)) is not None:
        module = module.get_submodule(name)
    return module


def _place(module: nn.Module) -> str | None:
    classes = ((kind.__module__.partition(".")[0], kind.__name__) for kind in type(module).__mro__)
    return next((WRAPPERS[key] for key in classes if key in WRAPPERS), None)
