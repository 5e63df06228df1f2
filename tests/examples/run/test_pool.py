"""The pool: what it returns and tells, and that its processes end with the one that waits."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from examples.run.pool import spread
from tests.examples.run.pool_work import square, talk
from tests.support.paths import ROOT

PROGRAM = [sys.executable, "-m", "tests.examples.run.pool_work"]


def test_in_this_process():
    told, done = [], []
    made = spread(square, [3, 4], 1, done=lambda *both: done.append(both), tell=told.append)
    assert made == [9, 16]
    assert told == [(3, os.getpid()), (4, os.getpid())]
    assert done == [(3, 9), (4, 16)]
    assert spread(square, [], 4, done=lambda *_: None) == []


@pytest.mark.slow
def test_in_others():
    told, done = [], []
    made = spread(square, [3, 4, 5, 6], 2, done=lambda *both: done.append(both), tell=told.append)
    assert made == [9, 16, 25, 36]
    assert sorted(job for job, _ in told) == [3, 4, 5, 6]
    assert os.getpid() not in {process for _, process in told}
    assert sorted(done) == [(3, 9), (4, 16), (5, 25), (6, 36)]


@pytest.mark.slow
def test_all_that_a_job_tells_is_there_before_what_comes_of_it():
    told, before = [], {}
    jobs = range(12)
    spread(
        talk,
        jobs,
        2,
        done=lambda job, _: before.update({job: told.count(job)}),
        tell=lambda it: told.append(it[0]),
    )
    assert before == dict.fromkeys(jobs, 300)


@pytest.mark.slow
def test_what_is_raised_there_is_raised_here():
    with pytest.raises(ArithmeticError, match="no root of -1"):
        spread(square, [3, -1, 5], 2, done=lambda *_: None)


def alive(process: str) -> bool:
    """Whether a process is there and has not ended."""
    path = Path("/proc") / process / "stat"
    return path.exists() and path.read_text().rpartition(")")[2].split()[0] != "Z"


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="asks Linux for the children of a process")
@pytest.mark.parametrize(
    ("ended_by", "status"),
    [(signal.SIGINT, 130), (signal.SIGTERM, -signal.SIGTERM), (signal.SIGKILL, -signal.SIGKILL)],
)
def test_no_process_outlives_the_one_that_waits(ended_by: signal.Signals, status: int):
    heeding = [
        "env",
        "--default-signal=INT",
        *PROGRAM,
    ]  # a job in the background has its children ignore Ctrl-C
    with subprocess.Popen(heeding, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        begun = sorted(process.stdout.readline() for _ in range(2))
        assert begun == ["begun 1\n", "begun 2\n"]
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        assert len(children) >= 2
        process.send_signal(ended_by)
        assert process.wait(60) == status
    end = time.monotonic() + 30
    while any(alive(child) for child in children):
        assert time.monotonic() < end
        time.sleep(0.1)
