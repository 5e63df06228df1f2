"""The decoded copy: made once, gone on with, never changed; and what is said of files that are bad and disks that refuse."""

import errno
import os
import pickle
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from examples.data.place import OnError, Place
from examples.data.reading import cache
from examples.data.reading.cache import Decoded, Decoding, Item, decode_once
from examples.data.reading.files import UnreadableError
from examples.data.reading.records import Layout
from examples.errors import UserError
from tests.examples.data.number_files import write

LAYOUT = {
    "value": Layout("int32", (2,)),
    "length": Layout("uint8", ()),
    "frames": Layout("uint8", (3, 2)),
    "word": Layout("U8", ()),
}


class Reader:
    """Decodes a file that holds a number, and remembers what it was asked for."""

    def __init__(self, stop_at: str | None = None) -> None:
        self.asked: list[str] = []
        self.stop_at = stop_at

    def __call__(self, item: Item) -> Mapping[str, np.ndarray]:
        self.asked.append(item.name)
        if item.name == self.stop_at:
            raise KeyboardInterrupt
        text = item.files[0].read_text()
        if not text.isdecimal():
            raise UnreadableError(f"holds '{text}', no number")
        value = int(text)
        return {
            "value": np.array([value, -value]),
            "length": np.asarray(len(text)),
            "frames": value + np.arange(6).reshape(3, 2),
            "word": np.asarray(f"no {text}"),
        }


@pytest.fixture
def items(tmp_path: Path) -> list[Item]:
    return write(tmp_path / "root")


def decode(
    items: Sequence[Item],
    reader: Reader,
    on_error: OnError = "raise",
    *,
    folder: Path | None = None,
    workers: int = 1,
) -> Decoded:
    place = Place(items[0].files[0].parent, folder, on_error)
    return decode_once(Decoding("numbers", {"a": 1}, items, LAYOUT, reader), place, workers=workers)


def records(items: Sequence[Item]) -> list[Path]:
    return sorted((items[0].files[0].parent / "maskfusion-cache").rglob("*.record"))


def test_decodes_once(items: list[Item]) -> None:
    first, second = Reader(), Reader()
    copy = decode(items, first)
    assert copy.arrays["value"][:].tolist() == [[10 * number, -10 * number] for number in range(6)]
    assert copy.read()["length"].tolist() == [1, 2, 2, 2, 2, 2]
    assert copy.arrays["word"][[3, 1]].tolist() == ["no 30", "no 10"]
    assert copy.arrays["value"].shape == (6, 2)
    assert copy.arrays["frames"][np.array([4, 1]), np.array([0, 2])].tolist() == [[40, 41], [14, 15]]
    assert copy.arrays["value"][2].tolist() == [20, -20]
    assert copy.arrays["value"][[]].shape == (0, 2)
    assert copy.names == ["0", "1", "2", "3", "4", "5"]
    assert not copy.problems
    assert first.asked == ["0", "1", "2", "3", "4", "5"]
    again = decode(items, second)
    np.testing.assert_array_equal(again.arrays["value"][:], copy.arrays["value"][:])
    assert second.asked == []


def test_other_settings_are_another_copy(items: list[Item]) -> None:
    decode(items, Reader())
    other = Reader()
    decode_once(Decoding("numbers", {"a": 2}, items, LAYOUT, other), Place(items[0].files[0].parent))
    assert len(other.asked) == 6


def test_goes_on_where_it_was_interrupted(items: list[Item]) -> None:
    with pytest.raises(KeyboardInterrupt):
        decode(items, Reader(stop_at="4"))
    rest = Reader()
    copy = decode(items, rest)
    assert rest.asked in (["4"], ["4", "5"])
    assert copy.arrays["value"][:][:, 0].tolist() == [0, 10, 20, 30, 40, 50]


def test_a_changed_file_is_decoded_again_and_the_old_contents_stay(items: list[Item]) -> None:
    before = decode(items, Reader())
    kept = {path: (path.read_bytes(), path.stat().st_ino) for path in records(items)}
    items[3].files[0].write_text("177")
    again = Reader()
    assert decode(items, again).arrays["value"][3].tolist() == [177, -177]
    assert again.asked == ["3"]
    assert before.arrays["value"][3].tolist() == [30, -30], "who reads the old copy goes on reading it"
    assert {path: (path.read_bytes(), path.stat().st_ino) for path in kept} == kept


@pytest.mark.parametrize("count", [5, 7])
def test_one_file_more_or_less(tmp_path: Path, items: list[Item], count: int) -> None:
    before = decode(items, Reader())
    for path in tmp_path.glob("root/*.txt"):
        os.utime(path, ns=(1, path.stat().st_mtime_ns))
    if count == 7:
        (tmp_path / "root" / "6.txt").write_text("60")
        items.append(Item("6", (tmp_path / "root" / "6.txt",)))
    chosen = Reader()
    copy = decode(items[-5:] if count == 5 else items, chosen)
    assert chosen.asked == (["6"] if count == 7 else [])
    assert copy.arrays["value"][-1].tolist() == ([60, -60] if count == 7 else [50, -50])
    assert before.arrays["value"][:][:, 0].tolist() == [0, 10, 20, 30, 40, 50]


def test_a_spare_file_matters_only_where_it_is_used(tmp_path: Path, items: list[Item]) -> None:
    spare = tmp_path / "spare.txt"
    spare.write_text("7")
    items[1].files[0].write_text("none")
    items = [item._replace(spare=(spare,)) for item in items]

    def read(item: Item) -> Mapping[str, np.ndarray]:
        try:
            return reader(item)
        except UnreadableError:
            if not item.spare:
                raise
            return reader(item._replace(files=item.spare))

    place = Place(tmp_path / "root")
    for value, names in ((7, "01112345"), (8, "111"), (8, "")):
        spare.write_text(str(value))
        os.utime(spare, ns=(0, value))
        reader = Reader()
        copy = decode_once(Decoding("numbers", {}, items, LAYOUT, read), place, workers=1)
        assert copy.arrays["value"][:][:, 0].tolist() == [0, value, 20, 30, 40, 50]
        assert "".join(reader.asked) == names


def test_two_roots_in_one_cache(tmp_path: Path) -> None:
    """Files of the same names, sizes and times, in two folders."""
    first, second = write(tmp_path / "one"), write(tmp_path / "two")
    second[2].files[0].write_text("99")
    for one, two in zip(first, second, strict=True):
        os.utime(two.files[0], ns=(0, one.files[0].stat().st_mtime_ns))
    copies = [decode(items, Reader(), folder=tmp_path / "cache") for items in (first, second)]
    assert [copy.arrays["value"][2][0] for copy in copies] == [20, 99]


def test_a_link_to_the_root_is_the_same_root(tmp_path: Path, items: list[Item]) -> None:
    decode(items, Reader(), folder=tmp_path / "cache")
    (tmp_path / "link").symlink_to(tmp_path / "root")
    linked = [Item(item.name, (tmp_path / "link" / item.files[0].name,)) for item in items]
    again = Reader()
    decode(linked, again, folder=tmp_path / "cache")
    assert again.asked == []


def test_files_that_do_not_look_right_are_raised_before_anything_is_decoded(items: list[Item]) -> None:
    items[1].files[0].write_text("")
    items[4].files[0].unlink()
    items[5].files[0].write_text("version https://git-lfs.github.com/spec/v1\n")
    reader = Reader()
    with pytest.raises(UnreadableError) as error:
        decode(items, reader)
    paths = [items[number].files[0] for number in (1, 4, 5)]
    assert str(error.value) == (
        "3 of 6 samples cannot be read (their size or first bytes are wrong, nothing was decoded; `--on-error skip` "
        f"leaves them out):\n  1: '{paths[0]}' is empty\n  4: '{paths[1]}' cannot be opened (No such file or directory)\n"
        f"  5: '{paths[2]}' is a pointer of Git LFS; `git lfs pull` in the clone brings the file itself"
    )
    assert reader.asked == []
    assert not (items[0].files[0].parent / "maskfusion-cache").exists()
    assert decode(items, reader, "skip").names == ["0", "2", "3"]


def test_other_bad_files_are_raised_after_all_were_tried(items: list[Item]) -> None:
    items[1].files[0].write_text("ten")
    items[4].files[0].write_text("forty")
    reader = Reader()
    with pytest.raises(UnreadableError) as error:
        decode(items, reader)
    assert str(error.value) == (
        "2 of 6 samples cannot be read (what could be read stays decoded; `--on-error skip` leaves them out):\n"
        "  1: holds 'ten', no number\n  4: holds 'forty', no number"
    )
    assert len(reader.asked) == 6
    again = Reader()
    with pytest.raises(UnreadableError, match="holds 'ten'"):
        decode(items, again)
    assert again.asked == ["1", "4"]


def test_bad_files_are_left_out_and_said_every_time(
    items: list[Item], capsys: pytest.CaptureFixture[str]
) -> None:
    items[1].files[0].write_text("ten")
    for _ in range(3):
        copy = decode(items, Reader(), "skip")
        assert copy.names == ["0", "2", "3", "4", "5"]
        assert dict(copy.problems) == {"1": "holds 'ten', no number"}
        assert copy.arrays["value"][:][:, 0].tolist() == [0, 20, 30, 40, 50]
        assert (
            "1 of 6 samples cannot be read (left out):\n  1: holds 'ten', no number"
            in capsys.readouterr().err
        )
    assert len(records(items)) == 5, "nothing is written in their place"


@pytest.mark.parametrize("on_error", ["raise", "skip"])
def test_no_sample_at_all(items: list[Item], on_error: OnError) -> None:
    for item in items:
        item.files[0].write_text("none")
    with pytest.raises(
        UnreadableError, match=r"6 of 6 samples cannot be read \(what could be read stays decoded\):"
    ):
        decode(items, Reader(), on_error)


def test_a_mended_file_is_no_problem_any_more(items: list[Item]) -> None:
    items[1].files[0].write_text("ten")
    decode(items, Reader(), "skip")
    items[1].files[0].write_text("10")
    copy = decode(items, Reader())
    assert len(copy.names) == 6
    assert not copy.problems


def test_many_problems_are_counted(tmp_path: Path) -> None:
    items = write(tmp_path / "root", 30)
    for item in items[5:]:
        item.files[0].write_text("none")
    with pytest.raises(UnreadableError) as error:
        decode(items, Reader(), workers=4)
    assert str(error.value).endswith("  24: holds 'none', no number\n  ... and 5 more")


@pytest.mark.parametrize("length", [0, 7])
def test_a_record_that_was_cut_is_made_anew(items: list[Item], length: int) -> None:
    copy = decode(items, Reader())
    path = records(items)[0]
    path.write_bytes(path.read_bytes()[:length])
    for broken in (
        lambda: copy.arrays["frames"][:],
        lambda: copy.arrays["frames"][np.arange(6), np.full(6, 2)],
    ):
        with pytest.raises(
            UserError, match=r"record' was removed or cut while it was in use; the same command decodes it"
        ):
            broken()
    again = Reader()
    assert decode(items, again).arrays["value"][:][:, 0].tolist() == [0, 10, 20, 30, 40, 50]
    assert len(again.asked) == 1


def test_a_value_that_does_not_fit_is_no_other_value(items: list[Item]) -> None:
    items[2].files[0].write_text(str(2**31))
    with pytest.raises(
        UnreadableError, match=r"2: value must hold whole numbers from -2147483648 to 2147483647; it"
    ):
        decode(items, Reader())


def test_names_must_be_unique(items: list[Item]) -> None:
    other = Item("0", items[1].files)
    with pytest.raises(
        UserError, match=r"Two samples are called '0': '.*0\.txt' and '.*1\.txt'\. Remove or rename one"
    ):
        decode([items[0], other], Reader())


def test_a_disk_that_is_too_small_is_refused_at_once(
    items: list[Item], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache, "disk_usage", lambda _: SimpleNamespace(free=10))
    reader = Reader()
    with pytest.raises(
        UserError, match=r"cache.numbers-\w+' needs 282 bytes more and its disk has 10 bytes left; `--cache`"
    ):
        decode(items, reader)
    assert reader.asked == []


def test_a_disk_that_is_full_later_loses_nothing(items: list[Item], monkeypatch: pytest.MonkeyPatch) -> None:
    real, written = Path.write_bytes, []

    def full(path: Path, content: bytes) -> int:
        if len(written) == 3:
            real(path, content[:5])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written.append(path)
        return real(path, content)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", full)
        with pytest.raises(
            UserError, match=r"cannot be written to '.*' \(No space left on device\); `--cache` names another"
        ):
            decode(items, Reader())
    assert len(records(items)) == 3
    assert not list(records(items)[0].parent.glob("*.new"))
    rest = Reader()
    assert decode(items, rest).arrays["value"][:][:, 0].tolist() == [0, 10, 20, 30, 40, 50]
    assert rest.asked == ["3", "4", "5"]


def test_a_cache_that_is_a_file(items: list[Item], tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("")
    with pytest.raises(
        UserError,
        match=r"cannot be written to '.*cache.numbers.*' \(Not a directory\); `--cache` names another",
    ):
        decode(items, Reader(), folder=tmp_path / "cache")


def test_a_root_that_is_read_only(items: list[Item], monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    with monkeypatch.context() as patch:
        patch.setattr(Path, "mkdir", refuse)
        with pytest.raises(
            UserError, match=r"\(Read-only file system\); `--cache` names another folder\. What is there"
        ):
            decode(items, Reader())
    decode(items, Reader())
    with monkeypatch.context() as patch:
        patch.setattr(Path, "mkdir", refuse)
        assert len(decode(items, Reader()).names) == 6, "a copy that is whole needs no writing"


def test_what_a_killed_process_left_is_swept(items: list[Item]) -> None:
    decode(items[:2], Reader())
    left = records(items)[0].with_name("abc.1-2.new")
    left.write_bytes(b"half")
    decode(items, Reader())
    assert not left.exists()


def test_records_are_pickled_as_their_names(items: list[Item]) -> None:
    rows = decode(items, Reader()).arrays["value"]
    pickled = pickle.dumps(rows)
    assert len(pickled) < 2000
    assert pickle.loads(pickled)[[5, 1]][:, 0].tolist() == [50, 10]
