"""Where numbers come from: versions and machine."""

import os
import platform
from importlib.metadata import version

_PACKAGES = ("maskfusion", "torch", "lightning", "numpy")


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that decide the numbers."""
    return {"python": platform.python_version(), **{name: version(name) for name in _PACKAGES}}


def machine(workers: int, gpu: str = "") -> str:
    """Describe the machine in a few words, without its name; ``gpu`` is what it ran on besides.

    PyTorch sums in another order with other instructions, so those that it uses stand there too.
    """
    from torch.backends.cpu import get_cpu_capability  # noqa: PLC0415 - tables are drawn without torch

    system = f"{platform.system()} {platform.machine()} ({get_cpu_capability()}), {os.cpu_count()} cores"
    return f"{system}, {workers} at work with one thread each{', on one ' if gpu else ''}{gpu}"
