"""One run in processes of its own: goes on where one was killed, and spreads over two."""

import json
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from examples.__main__ import main
from tests.examples.cli.test_commands import ENVIRONMENT

pytestmark = pytest.mark.slow


def words(root: Path, output: Path, recipe_file: Path, *more: str) -> list[str]:
    return ["train", str(recipe_file), "--root", str(root), "--output", str(output), *more]


def result(folder: Path) -> dict[str, object]:
    run: dict[str, object] = json.loads((folder / "run.json").read_text())
    del run["seconds"], run["processor_seconds"]
    return run


def test_killed_and_typed_again(recipe_file: Path, mfeat_root: Path, tmp_path: Path, capsys):
    """Killed in a process of its own, gone on with in this one."""
    more = ("--epochs", "25")
    arguments = words(mfeat_root, tmp_path / "killed", recipe_file, *more)
    command = [sys.executable, "-m", "examples", *arguments]
    with subprocess.Popen(
        command, env=ENVIRONMENT, cwd=tmp_path, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("epoch  3/25"):
                process.send_signal(signal.SIGKILL)
                break
    assert process.wait() == -signal.SIGKILL
    assert not (tmp_path / "killed" / "run.json").exists()
    assert main(arguments) == 0
    first = re.match(r"epoch +(\d+)/25", capsys.readouterr().out)
    assert first is not None
    assert int(first[1]) >= 3
    assert main(words(mfeat_root, tmp_path / "whole", recipe_file, *more)) == 0
    assert result(tmp_path / "killed") == result(tmp_path / "whole")
    capsys.readouterr()
    assert main(arguments) == 0
    captured = capsys.readouterr()
    assert "is finished already" in captured.out
    assert captured.err == ""


def finished(arguments: list[str], folder: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-m", *arguments],
        env=ENVIRONMENT,
        cwd=folder,
        check=False,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return done.stdout


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


def test_two_processes(recipe_file: Path, tmp_path: Path):
    """Lightning's launcher and torchrun give the same run, and both processes the same mask and codebooks."""
    recipe_file.write_text(TWO)
    more = ("--devices", "2")
    text = finished(["examples", *words(tmp_path, tmp_path / "one", recipe_file, *more)], tmp_path)
    assert text.count("epoch 2/2") == 1
    launcher = ["torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    watched = [
        "-m",
        "tests.examples.run.two_processes",
        *words(tmp_path, tmp_path / "two", recipe_file, *more),
    ]
    assert finished([*launcher, *watched], tmp_path).count("the same") == 2
    assert result(tmp_path / "one") == result(tmp_path / "two")
    assert len(result(tmp_path / "one")["epochs"]) == 2
    arguments = ["examples", *words(tmp_path, tmp_path / "three", recipe_file, "--nodes", "2")]
    assert together(arguments, tmp_path).count("epoch 2/2") == 1
    assert result(tmp_path / "one") == result(tmp_path / "three")
    assert together(arguments, tmp_path).count("is finished already") == 1


def together(arguments: list[str], folder: Path) -> str:
    """Run a command on two machines, which are agents of torchrun on this one, and return what both said."""
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
    agents = [
        subprocess.Popen(
            [sys.executable, "-m", "torch.distributed.run", *place, "--node-rank", rank, "-m", *arguments],
            env=ENVIRONMENT,
            cwd=folder,
            stdout=subprocess.PIPE,
            text=True,
        )
        for rank in "01"
    ]
    try:
        said = "".join(agent.communicate(timeout=120)[0] for agent in agents)
    finally:
        for agent in agents:
            agent.terminate()
    assert [agent.returncode for agent in agents] == [0, 0]
    return said
