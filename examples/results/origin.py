"""Where numbers come from: command, versions, machine."""

import os
import platform
from importlib.metadata import version
from typing import TypedDict

_PACKAGES = ("maskfusion", "torch", "lightning", "numpy")


class Origin(TypedDict):
    """What every file of results says of where it comes from, see `examples.results.file.ResultsFile`."""

    command: str
    versions: dict[str, str]
    machine: str
    seconds: float


def origin(command: str, seconds: float, machine: str, *packages: str) -> Origin:
    """Return it, of the versions that are installed here.

    Args:
        command: Command that was typed.
        seconds: Wall-clock time that it took.
        machine: Machine in words.
        packages: Others that decide the numbers.
    """
    return {"command": command, "versions": versions(*packages), "machine": machine, "seconds": seconds}


def versions(*packages: str) -> dict[str, str]:
    """Return the versions of Python and of the packages that decide the numbers, with others that are named."""
    return {
        "python": platform.python_version(),
        **{name: version(name) for name in (*_PACKAGES, *packages)},
    }


def machine(workers: int, instructions: str, gpu: str = "") -> str:
    """Describe a machine in a few words, without its name.

    Args:
        workers: Processes at work.
        instructions: Instructions that PyTorch uses; with others it sums in another order.
        gpu: What it ran on besides.
    """
    system = f"{platform.system()} {platform.machine()} ({instructions}), {os.cpu_count()} cores"
    return f"{system}, {workers} at work with one thread each{', on one ' if gpu else ''}{gpu}"
