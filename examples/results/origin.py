"""Where numbers come from: versions and machine."""

import os
import platform
from importlib.metadata import version

_PACKAGES = ("maskfusion", "torch", "lightning", "numpy")


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that decide the numbers."""
    return {"python": platform.python_version(), **{name: version(name) for name in _PACKAGES}}


def machine(workers: int, instructions: str, gpu: str = "") -> str:
    """Describe a machine in a few words, without its name.

    Args:
        workers: Processes at work.
        instructions: Instructions that PyTorch uses; with others it sums in another order.
        gpu: What it ran on besides.
    """
    system = f"{platform.system()} {platform.machine()} ({instructions}), {os.cpu_count()} cores"
    return f"{system}, {workers} at work with one thread each{', on one ' if gpu else ''}{gpu}"
