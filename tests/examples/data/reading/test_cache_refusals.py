"""The decoded copy: what is said of files that are bad and of disks that refuse."""

import errno
import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from examples.data.place import OnError
from examples.data.reading import cache
from examples.data.reading.cache import Item
from examples.data.reading.files import UnreadableError
from examples.errors import UserError
from tests.examples.data.number_files import Reader, decode, records, write


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


def test_many_problems_are_counted(tmp_path: Path) -> None:
    items = write(tmp_path / "root", 30)
    for item in items[5:]:
        item.files[0].write_text("none")
    with pytest.raises(UnreadableError) as error:
        decode(items, Reader(), workers=4)
    assert str(error.value).endswith("  24: holds 'none', no number\n  ... and 5 more")


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
