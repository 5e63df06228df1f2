"""The decoded copy: made once, gone on with, never changed."""

import os
import pickle
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from examples.data.place import Place
from examples.data.reading.cache import Decoding, Item, decode_once
from examples.data.reading.files import UnreadableError
from examples.errors import UserError
from tests.examples.data.number_files import LAYOUT, Reader, decode, records, write


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


def test_a_mended_file_is_no_problem_any_more(items: list[Item]) -> None:
    items[1].files[0].write_text("ten")
    decode(items, Reader(), "skip")
    items[1].files[0].write_text("10")
    copy = decode(items, Reader())
    assert len(copy.names) == 6
    assert not copy.problems


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
