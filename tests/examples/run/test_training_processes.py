"""One run in processes of its own: goes on where one was killed, and spreads over two."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from examples.__main__ import main
from examples.results import EpochRecord
from examples.run.folder import RunFolder
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


def test_two_machines_and_one_process(recipe_file: Path, tmp_path: Path):
    """The same run, to rounding, where nothing is normalised by a batch and nothing is drawn for a process."""
    recipe_file.write_text(
        TWO.replace("epochs: 2", "epochs: 4\noptimizer: sgd\nlearning_rate: 0.01").replace(
            "head_hidden: 8", "head_hidden: 8, dropout: 0, restart: 0"
        )
    )
    program = "tests.examples.run.without_batch_norm"
    finished([program, *words(tmp_path, tmp_path / "one", recipe_file)], tmp_path)
    together([program, *words(tmp_path, tmp_path / "two", recipe_file, "--nodes", "2")], tmp_path)
    one, two = (RunFolder(tmp_path / name) for name in ("one", "two"))
    for before, after in zip(epochs(one), epochs(two), strict=True):
        assert after.mask == before.mask
        assert after.loss == pytest.approx(before.loss, rel=1e-5, abs=1e-6)
        assert after.validation == pytest.approx(before.validation, rel=1e-5)
    weights = [torch.load(folder.last, weights_only=True)["state_dict"] for folder in (one, two)]
    for name, value in weights[0].items():
        if isinstance(value, torch.Tensor):  # the history of the tracker is text, and equal to its digits
            torch.testing.assert_close(weights[1][name], value, rtol=1e-5, atol=1e-5, msg=name)


def epochs(folder: RunFolder) -> list[EpochRecord]:
    run = folder.read_result()
    assert run is not None
    return run.epochs


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


def kill_machine(agent: "subprocess.Popen[str]") -> None:
    """End an agent and its worker, which has a session of its own, at once and without a word."""
    listed = subprocess.run(
        ["ps", "-o", "pid=", "--ppid", str(agent.pid)], check=True, capture_output=True, text=True
    )
    for process in (agent.pid, *map(int, listed.stdout.split())):
        os.kill(process, signal.SIGKILL)


def test_a_machine_that_is_lost(recipe_file: Path, tmp_path: Path):
    """The other one ends soon and says so; the same command goes on, to the numbers of a run that nobody stopped."""
    recipe_file.write_text(TWO)

    def command(name: str) -> list[str]:
        return ["examples", *words(tmp_path, tmp_path / name, recipe_file, "--epochs", "30", "--nodes", "2")]

    together(command("whole"), tmp_path)
    for lost, name in enumerate(("first", "second")):  # the first one holds the store
        begun = agents(command(name), tmp_path)
        try:
            assert begun[0].stdout is not None
            for line in begun[0].stdout:
                if line.startswith("epoch  3/30"):
                    break
            kill_machine(begun[lost])
            said = begun[1 - lost].communicate(timeout=60)[1]
        finally:
            for agent in begun:
                agent.kill()
                agent.communicate()
        assert begun[1 - lost].returncode == 1
        assert said.count("error: Another process of this run has ended") == 1
        assert "The same command, on every machine, goes on after the last whole epoch." in " ".join(
            said.split()
        )
        assert not (tmp_path / name / "run.json").exists()
        goes_on = re.match(r"epoch +(\d+)/30", together(command(name), tmp_path))
        assert goes_on is not None
        assert int(goes_on[1]) >= 3
        assert result(tmp_path / name) == result(tmp_path / "whole")
