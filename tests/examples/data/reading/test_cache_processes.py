"""A decoded copy and several processes: some read while others build, and any may be killed at any moment."""

import multiprocessing
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from tests.examples.data.number_files import write
from tests.examples.data.reading.cache_work import numbers

PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload([numbers.__module__])  # what they import takes seconds: once for all of them


class Run:
    """A process that decodes, and what it tells."""

    def __init__(self, root: Path, cache: Path, seconds: float, *, again: bool = False) -> None:
        self.heard, told = PROCESSES.Pipe(duplex=False)
        self.process = PROCESSES.Process(
            target=numbers, args=(root, cache, seconds, told, again), daemon=True
        )
        self.process.start()
        told.close()

    def tells(self) -> Any:
        assert self.heard.poll(100)
        return self.heard.recv()

    def ended(self) -> int | None:
        self.process.join(100)
        self.heard.close()
        return self.process.exitcode


def finished(run: Run) -> list[int]:
    found = run.tells()
    assert run.ended() == 0
    return found


@pytest.fixture
def shared(tmp_path: Path) -> Path:
    folder = tmp_path / "cache"
    folder.mkdir()
    return folder


@pytest.mark.slow
def test_two_processes_decode_once(tmp_path: Path, shared: Path) -> None:
    write(tmp_path / "root")
    runs = [Run(tmp_path / "root", shared, 0.1) for _ in range(2)]
    assert [finished(run) for run in runs] == [[0, 10, 20, 30, 40, 50]] * 2
    assert sorted((shared / "log").read_text().split()) == [f"{number}" for number in range(6)]


@pytest.mark.slow
def test_a_process_that_reads_while_others_build(tmp_path: Path, shared: Path) -> None:
    """A run is on; meanwhile a clip is removed, one changes, one is added, and other runs build each time."""
    items = write(tmp_path / "root")
    reader = Run(tmp_path / "root", shared, 0, again=True)
    assert reader.tells() == "ready"
    items[0].files[0].unlink()
    assert finished(Run(tmp_path / "root", shared, 0)) == [10, 20, 30, 40, 50]
    items[3].files[0].write_text("333")
    (tmp_path / "root" / "6.txt").write_text("60")
    builders = [Run(tmp_path / "root", shared, 0.05) for _ in range(2)]
    assert [finished(run) for run in builders] == [[10, 20, 333, 40, 50, 60]] * 2
    other = write(tmp_path / "other", 3)
    other[1].files[0].write_text("11")
    assert finished(Run(tmp_path / "other", shared, 0)) == [0, 11, 20]
    assert reader.process.is_alive()
    (shared / "stop").touch()
    assert finished(reader) == [0, 10, 20, 30, 40, 50]
    assert sorted((shared / "log").read_text().split()) == sorted([*"012345", *"36", *"012"]), (
        "one clip more is one clip"
    )


@pytest.mark.slow
@pytest.mark.parametrize("after", [0.0, 0.05, 0.15, 0.3])
def test_a_kill_at_any_moment(tmp_path: Path, shared: Path, after: float) -> None:
    write(tmp_path / "root")
    run = Run(tmp_path / "root", shared, 0.1)
    deadline = time.monotonic() + 60
    while not (shared / "log").exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    time.sleep(after)
    run.process.kill()
    assert run.ended() == -signal.SIGKILL
    made = len(list(shared.rglob("*.record")))
    before = len((shared / "log").read_text().split())
    assert finished(Run(tmp_path / "root", shared, 0)) == [0, 10, 20, 30, 40, 50]
    assert len((shared / "log").read_text().split()) - before == 6 - made, (
        "what was put in place is not decoded again"
    )
