"""A decoded copy and several processes: some read while others build, and any may be killed at any moment."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from examples.data.reading import cache
from tests.examples.data.number_files import write

ROOT = Path(cache.__file__).parents[3]
RUN = """
import sys, time
from pathlib import Path
from examples.data.place import Place
from examples.data.reading.cache import Decoding, Item, decode_once
from examples.data.reading.records import Layout
import numpy as np

root, cache, seconds = Path(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3])

def decode(item):
    with (cache / "log").open("a") as file:
        file.write(item.name + chr(10))
    time.sleep(seconds)
    return {"value": np.full(50_000, int(item.files[0].read_text()))}

items = [Item(path.stem, (path,)) for path in sorted(root.glob("*.txt"))]
copy = decode_once(Decoding("numbers", {}, items, {"value": Layout("int32", (50_000,))}, decode), Place(root, cache), workers=1)
if "read" in sys.argv:  # over and over, until the file `stop` is there
    print("ready", flush=True)
    while not (cache / "stop").exists():
        values = copy.arrays["value"][:]
        assert (values == values[:, :1]).all()
        assert copy.arrays["value"][:][:, 0].tolist() == [10 * n for n in range(len(items))], values[:, 0]
print(copy.arrays["value"][:][:, 0].tolist())
"""


def start(root: Path, cache_folder: Path, seconds: float, *more: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", RUN, str(root), str(cache_folder), str(seconds), *more]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finished(process: subprocess.Popen[str]) -> str:
    out, err = process.communicate(timeout=100)
    assert process.returncode == 0, err
    return out.splitlines()[-1]


@pytest.fixture
def shared(tmp_path: Path) -> Path:
    folder = tmp_path / "cache"
    folder.mkdir()
    return folder


@pytest.mark.slow
def test_two_processes_decode_once(tmp_path: Path, shared: Path) -> None:
    write(tmp_path / "root")
    runs = [start(tmp_path / "root", shared, 0.1) for _ in range(2)]
    assert [finished(run) for run in runs] == ["[0, 10, 20, 30, 40, 50]"] * 2
    assert sorted((shared / "log").read_text().split()) == [f"{number}" for number in range(6)]


@pytest.mark.slow
def test_a_process_that_reads_while_others_build(tmp_path: Path, shared: Path) -> None:
    """A run is on; meanwhile a clip is removed, one changes, one is added, and other runs build each time."""
    items = write(tmp_path / "root")
    reader = start(tmp_path / "root", shared, 0, "read")
    assert reader.stdout is not None
    assert reader.stdout.readline() == "ready\n"
    items[0].files[0].unlink()
    assert finished(start(tmp_path / "root", shared, 0)) == "[10, 20, 30, 40, 50]"
    items[3].files[0].write_text("333")
    (tmp_path / "root" / "6.txt").write_text("60")
    builders = [start(tmp_path / "root", shared, 0.05) for _ in range(2)]
    assert [finished(run) for run in builders] == ["[10, 20, 333, 40, 50, 60]"] * 2
    other = write(tmp_path / "other", 3)
    other[1].files[0].write_text("11")
    assert finished(start(tmp_path / "other", shared, 0)) == "[0, 11, 20]"
    assert reader.poll() is None, reader.communicate()[1]
    (shared / "stop").touch()
    assert finished(reader) == "[0, 10, 20, 30, 40, 50]"
    assert sorted((shared / "log").read_text().split()) == sorted([*"012345", *"36", *"012"]), (
        "one clip more is one clip"
    )


@pytest.mark.slow
@pytest.mark.parametrize("after", [0.0, 0.05, 0.15, 0.3])
def test_a_kill_at_any_moment(tmp_path: Path, shared: Path, after: float) -> None:
    write(tmp_path / "root")
    run = start(tmp_path / "root", shared, 0.1)
    deadline = time.monotonic() + 60
    while not (shared / "log").exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    time.sleep(after)
    run.send_signal(signal.SIGKILL)
    run.communicate()
    made = len(list(shared.rglob("*.record")))
    before = len((shared / "log").read_text().split())
    assert finished(start(tmp_path / "root", shared, 0)) == "[0, 10, 20, 30, 40, 50]"
    assert len((shared / "log").read_text().split()) - before == 6 - made, (
        "what was put in place is not decoded again"
    )
