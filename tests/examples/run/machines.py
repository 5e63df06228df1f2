"""Runs on two machines, which are agents of torchrun on this one."""

import json
import socket
import subprocess
import sys
from pathlib import Path

from tests.examples.cli.test_commands import ENVIRONMENT

TWO = """
data: synthetic
data_options: {bits: 2, features: 8, train: 40, validation: 20, test: 20}
epochs: 2
batch_size: 10
select: validation
network: {width: 8, residual_width: 4, residual_blocks: 1, latent: 6, codes: 5, head_width: 4, head_hidden: 8}
comparison:
  mask: {method: complementary_mask, arguments: {mask_weight: 0.001, init: 0.0015, threshold: 0.0005}}
"""


def words(root: Path, output: Path, recipe_file: Path, *more: str) -> list[str]:
    return ["train", str(recipe_file), "--root", str(root), "--output", str(output), *more]


def result(folder: Path) -> dict[str, object]:
    run: dict[str, object] = json.loads((folder / "run.json").read_text())
    del run["seconds"], run["processor_seconds"]
    return run


def agents(arguments: list[str], folder: Path) -> list["subprocess.Popen[str]"]:
    """Begin a command on two machines, which are agents of torchrun on this one."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    place = [
        "--nnodes",
        "2",
        "--nproc-per-node",
        "1",
        "--master-addr",
        "127.0.0.1",
        "--master-port",
        str(port),
    ]
    launcher = [sys.executable, "-m", "torch.distributed.run", *place]
    return [
        subprocess.Popen(
            [*launcher, "--node-rank", rank, "-m", *arguments],
            env=ENVIRONMENT,
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in "01"
    ]


def together(arguments: list[str], folder: Path) -> str:
    """Run a command on two machines, and return what both said."""
    begun = agents(arguments, folder)
    try:
        said = "".join(agent.communicate(timeout=300)[0] for agent in begun)
    finally:
        for agent in begun:
            agent.terminate()
    assert [agent.returncode for agent in begun] == [0, 0]
    return said
