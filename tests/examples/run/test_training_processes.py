"""One run in processes of its own: goes on where one was killed, and spreads over two."""

import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from examples.__main__ import main
from examples.results import EpochRecord
from examples.run import training
from examples.run.folder import RunFolder
from tests.examples.cli.test_commands import ENVIRONMENT
from tests.examples.run.machines import TWO, result, together, words
from tests.examples.run.without_batch_norm import by_sample

pytestmark = pytest.mark.slow


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


def test_two_machines_and_one_process(recipe_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The same run, to rounding, where nothing is normalised by a batch and nothing is drawn for a process."""
    recipe_file.write_text(
        TWO.replace("epochs: 2", "epochs: 4\noptimizer: sgd\nlearning_rate: 0.01").replace(
            "head_hidden: 8", "head_hidden: 8, dropout: 0, restart: 0"
        )
    )
    monkeypatch.setattr(training, "build_model", by_sample)
    assert main(words(tmp_path, tmp_path / "one", recipe_file)) == 0
    together(
        [by_sample.__module__, *words(tmp_path, tmp_path / "two", recipe_file, "--nodes", "2")], tmp_path
    )
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
