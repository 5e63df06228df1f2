"""The decoded copy: made once, gone on with, made anew where a file changed; and what is said of files that are bad."""

import pickle
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from examples.data.reading import cache
from examples.data.reading.cache import Item, Layout, UnreadableError, decode_once
from examples.data.reading.mapped import Mapped

LAYOUT = {"value": Layout("int32", (2,)), "length": Layout("uint8", ())}
RUN = """
import sys, time
from pathlib import Path
from examples.data.reading.cache import Item, Layout, decode_once
import numpy as np

root, log = Path(sys.argv[1]), Path(sys.argv[2])

def decode(item):
    with log.open("a") as file:
        file.write(item.name + chr(10))
    time.sleep(0.1)
    return {"value": np.full(2, int(item.files[0].read_text()))}

items = [Item(path.name, (path,)) for path in sorted(root.glob("*.txt"))]
copy = decode_once(root / "copy", items, {"value": Layout("int32", (2,))}, decode)
print(copy.arrays["value"][:, 0].tolist())
"""


class Reader:
    """Decodes a file that holds a number, and remembers what it was asked for."""

    def __init__(self, stop_at: str | None = None) -> None:
        self.asked: list[str] = []
        self.stop_at = stop_at

    def __call__(self, item: Item) -> Mapping[str, np.ndarray]:
        self.asked.append(item.name)
        if item.name == self.stop_at:
            raise KeyboardInterrupt
        if not item.files[0].is_file():
            raise UnreadableError("is not there")
        text = item.files[0].read_text()
        if not text.isdecimal():
            raise UnreadableError(f"holds '{text}', no number")
        return {"value": np.array([int(text), -int(text)]), "length": np.asarray(len(text))}


@pytest.fixture
def items(tmp_path: Path) -> list[Item]:
    paths = [tmp_path / f"{number}.txt" for number in range(6)]
    for number, path in enumerate(paths):
        path.write_text(str(10 * number))
    return [Item(path.stem, (path,)) for path in paths]


def decode(items: Sequence[Item], reader: Reader, on_error: str = "raise") -> cache.Decoded:
    return decode_once(items[0].files[0].parent / "copy", items, LAYOUT, reader, on_error=on_error, workers=1)


def test_decodes_once(items: list[Item]) -> None:
    first, second = Reader(), Reader()
    copy = decode(items, first)
    assert copy.arrays["value"][:].tolist() == [[10 * number, -10 * number] for number in range(6)]
    assert copy.arrays["length"][:].tolist() == [1, 2, 2, 2, 2, 2]
    assert copy.arrays["value"].shape == (6, 2)
    assert copy.good.tolist() == list(range(6))
    assert not copy.problems
    assert first.asked == ["0", "1", "2", "3", "4", "5"]
    again = decode(items, second)
    np.testing.assert_array_equal(again.arrays["value"][:], copy.arrays["value"][:])
    assert second.asked == []


def test_goes_on_where_it_was_interrupted(items: list[Item], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "_FLUSH", 2)
    with pytest.raises(KeyboardInterrupt):
        decode(items, Reader(stop_at="5"))
    rest = Reader()
    copy = decode(items, rest)
    assert rest.asked == ["4", "5"]
    assert copy.arrays["value"][:, 0].tolist() == [0, 10, 20, 30, 40, 50]


def test_a_changed_file_is_decoded_again(items: list[Item]) -> None:
    decode(items, Reader())
    items[3].files[0].write_text("777")
    again = Reader()
    assert decode(items, again).arrays["value"][3].tolist() == [777, -777]
    assert again.asked == ["3"]


def test_other_items_begin_anew(items: list[Item]) -> None:
    decode(items, Reader())
    fewer = Reader()
    assert decode(items[1:], fewer).arrays["value"][:, 0].tolist() == [10, 20, 30, 40, 50]
    assert len(fewer.asked) == 5


def test_bad_files_are_raised_after_all_were_tried(items: list[Item]) -> None:
    items[1].files[0].write_text("ten")
    items[4].files[0].unlink()
    reader = Reader()
    with pytest.raises(UnreadableError) as error:
        decode(items, reader)
    assert str(error.value) == (
        "2 of 6 samples cannot be read (`--on-error skip` leaves them out):\n"
        "  1: holds 'ten', no number\n  4: is not there"
    )
    assert len(reader.asked) == 6
    again = Reader()
    with pytest.raises(UnreadableError, match="holds 'ten'"):
        decode(items, again)
    assert again.asked == []


def test_bad_files_are_left_out_and_listed(items: list[Item], capsys: pytest.CaptureFixture[str]) -> None:
    items[1].files[0].write_text("ten")
    copy = decode(items, Reader(), "skip")
    assert copy.good.tolist() == [0, 2, 3, 4, 5]
    assert dict(copy.problems) == {"1": "holds 'ten', no number"}
    assert copy.arrays["value"][1].tolist() == [0, 0]
    assert "holds 'ten', no number" in capsys.readouterr().err
    decode(items, Reader(), "skip")
    assert capsys.readouterr().err == ""  # said once


def test_a_mended_file_is_no_problem_any_more(items: list[Item]) -> None:
    items[1].files[0].write_text("ten")
    decode(items, Reader(), "skip")
    items[1].files[0].write_text("10")
    copy = decode(items, Reader())
    assert copy.good.tolist() == list(range(6))
    assert not copy.problems


def test_a_file_that_went_bad_leaves_no_old_values(items: list[Item]) -> None:
    decode(items, Reader())
    items[2].files[0].write_text("twenty")
    copy = decode(items, Reader(), "skip")
    assert copy.good.tolist() == [0, 1, 3, 4, 5]
    assert copy.arrays["value"][2].tolist() == [0, 0]


@pytest.mark.parametrize("name", ["files.json", "problems.json", "state.npy", "value.npy"])
def test_a_copy_that_was_cut_is_made_anew(items: list[Item], name: str) -> None:
    folder = items[0].files[0].parent / "copy"
    decode(items, Reader())
    (folder / name).write_bytes((folder / name).read_bytes()[:7])
    assert decode(items, Reader()).arrays["value"][:, 0].tolist() == [0, 10, 20, 30, 40, 50]


def test_names_must_be_unique(items: list[Item]) -> None:
    with pytest.raises(ValueError, match="`items` must have unique names; 1 come twice"):
        decode([items[0], *items], Reader())


def test_a_disk_that_is_too_small_is_refused_at_once(
    items: list[Item], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache, "disk_usage", lambda _: SimpleNamespace(free=10))
    reader = Reader()
    with pytest.raises(OSError, match=r"copy' needs 0\.0 GB and its disk has 0\.0 GB left; `--cache`"):
        decode(items, reader)
    assert reader.asked == []


@pytest.mark.slow
def test_two_processes_decode_once(tmp_path: Path) -> None:
    for number in range(6):
        (tmp_path / f"{number}.txt").write_text(str(number))
    log = tmp_path / "log"
    command = [sys.executable, "-c", RUN, str(tmp_path), str(log)]
    root = Path(cache.__file__).parents[3]
    runs = [subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    assert [run.communicate(timeout=100)[0].strip() for run in runs] == ["[0, 1, 2, 3, 4, 5]"] * 2
    assert sorted(log.read_text().split()) == [f"{number}.txt" for number in range(6)]


def test_a_mapped_array_is_pickled_as_its_path(tmp_path: Path) -> None:
    np.save(tmp_path / "rows.npy", np.arange(100_000))
    rows = Mapped(tmp_path / "rows.npy")
    pickled = pickle.dumps(rows)
    assert len(pickled) < 1000
    assert pickle.loads(pickled)[[5, 7]].tolist() == [5, 7]
    assert len(rows) == 100_000
