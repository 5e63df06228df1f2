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
