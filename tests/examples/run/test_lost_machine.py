"""A run on two machines of which one is lost."""

import os
import re
import signal
import subprocess
from pathlib import Path

import pytest

from tests.examples.run.machines import TWO, agents, result, together, words

pytestmark = pytest.mark.slow


def kill_machine(agent: "subprocess.Popen[str]") -> None:
    """End an agent and its worker, which has a session of its own, at once and without a word."""
    listed = subprocess.run(
        ["ps", "-o", "pid=", "--ppid", str(agent.pid)], check=True, capture_output=True, text=True
    )
    for process in (agent.pid, *map(int, listed.stdout.split())):
        os.kill(process, signal.SIGKILL)


def epochs_told(agent: "subprocess.Popen[str]", last: int) -> list[int]:
    """Numbers of the epochs that an agent tells of, up to one."""
    assert agent.stdout is not None
    told = []
    for line in agent.stdout:
        if epoch := re.match(r"epoch +(\d+)/30", line):
            told.append(int(epoch[1]))
            if told[-1] == last:
                break
    return told


def test_a_machine_that_is_lost(recipe_file: Path, tmp_path: Path):
    """The other one ends soon and says so; the same command goes on, to the numbers of a run that nobody stopped.

    It loses one machine, goes on, loses the other, and goes on.
    """
    recipe_file.write_text(TWO)

    def command(name: str) -> list[str]:
        return ["examples", *words(tmp_path, tmp_path / name, recipe_file, "--epochs", "30", "--nodes", "2")]

    together(command("whole"), tmp_path)
    reached = 1
    for lost, last in enumerate((3, 10)):  # the first machine holds the store
        begun = agents(command("lost"), tmp_path)
        try:
            assert epochs_told(begun[0], last)[0] >= reached
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
        assert not (tmp_path / "lost" / "run.json").exists()
        reached = last
    goes_on = re.match(r"epoch +(\d+)/30", together(command("lost"), tmp_path))
    assert goes_on is not None
    assert int(goes_on[1]) >= reached
    assert result(tmp_path / "lost") == result(tmp_path / "whole")
