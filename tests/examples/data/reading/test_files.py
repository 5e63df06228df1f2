"""Files as people have them: litter, links, case, encodings; and what a first look says of each kind of file."""

from pathlib import Path

import pytest

from examples.data.place import Place
from examples.data.reading.files import (
    UnreadableError,
    entry,
    files_below,
    files_in,
    locate,
    look,
    read_table,
    read_text,
    why_unreadable,
)
from examples.errors import UserError

GOOD = {
    "clip.flv": b"FLV\x01\x05",
    "clip.avi": b"RIFF\x04\0\0\0AVI ",
    "sound.wav": b"RIFF\x04\0\0\0WAVE",
    "endless.wav": b"RIFF\xff\xff\xff\xffWAVE",
    "picture.PNG": b"\x89PNG\r\n",
    "picture.jpg": b"\xff\xd8\xff\xe0",
    "picture.jpeg": b"\xff\xd8\xff\xdb",
    "old.mat": b"MATLAB 5.0 MAT-file",
    "new.mat": b"\x89HDF\r\n",
    "arrays.npz": b"PK\x03\x04",
    "digits.gz": b"\x1f\x8b\x08",
    "digits-idx3-ubyte": b"\0\0\x08\x03\0",
    "list.csv": b"a,b",
}


@pytest.mark.parametrize("name", GOOD)
def test_files_that_look_right(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(GOOD[name])
    look(tmp_path / name)
    assert why_unreadable(lambda: look(tmp_path / name)) == ""


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "' is empty"),
        (bytes(600), "' holds zeros only; get it again"),
        (
            b"version https://git-lfs.github.com/spec/v1\n",
            "is a pointer of Git LFS; `git lfs pull` in the clone brings",
        ),
        (b"\n<!DOCTYPE html><html>", "is a web page, not the file itself; get it again"),
        (b"<html><body>404", "is a web page, not the file itself"),
        (b'<?xml version="1.0"?><Error>', "is a web page, not the file itself"),
        (b"random bytes", r"does not begin as a {} file does; get it again"),
    ],
)
@pytest.mark.parametrize("suffix", ["flv", "AVI", "wav", "png", "jpg", "mat", "npz", "gz"])
def test_files_that_do_not(tmp_path: Path, suffix: str, content: bytes, words: str) -> None:
    path = tmp_path / f"a.{suffix}"
    path.write_bytes(content)
    with pytest.raises(UnreadableError) as error:
        look(path)
    assert str(error.value).startswith(f"'{path}' ")
    assert words.format(suffix.lower()) in str(error.value)


def test_a_file_that_is_shorter_than_it_says(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(b"RIFF" + (992).to_bytes(4, "little") + bytes(300))
    with pytest.raises(UnreadableError, match=r"is cut: it says that it has 1,000 bytes and has 308"):
        look(tmp_path / "a.wav")


def test_no_file(tmp_path: Path) -> None:
    for path in (tmp_path / "a.wav", tmp_path):
        with pytest.raises(UnreadableError, match=r"cannot be opened \((No such file or|Is a) directory\)"):
            look(path)


@pytest.fixture
def messy(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    for name in ("b.avi", "a.AVI", "._a.AVI", ".hidden.avi", "Thumbs.db", "desktop.ini", "c.avi.txt"):
        root.mkdir(exist_ok=True)
        (root / name).touch()
    for folder in ("__MACOSX", ".git", "Deep", "maskfusion-cache"):
        (root / folder).mkdir()
        (root / folder / "x.avi").touch()
    (root / "folder.avi").mkdir()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "y.avi").touch()
    (root / "link").symlink_to(elsewhere)
    (elsewhere / "back").symlink_to(root)
    (root / "gone.avi").symlink_to(tmp_path / "nothing.avi")
    return root


def test_litter_is_no_data(messy: Path) -> None:
    assert [path.name for path in files_in(messy, ".avi")] == ["a.AVI", "b.avi"]
    assert files_in(messy / "nothing", ".avi") == []


def test_links_are_followed_and_loops_are_not(messy: Path) -> None:
    found = [str(path.relative_to(messy)) for path in files_below(messy, ".avi")]
    assert found == ["Deep/x.avi", "a.AVI", "b.avi", "link/y.avi"]


def test_upper_and_lower_case(messy: Path) -> None:
    assert entry(messy, "DEEP").name == "Deep"
    assert entry(messy, "b.avi").name == "b.avi"
    assert entry(messy, "nothing") == messy / "nothing"


def where(place: Place) -> Place:
    return locate(
        place,
        lambda folder: (folder / "sign").is_file(),
        sign="file 'sign'",
        source="Get it.",
        file="all.npz",
    )


@pytest.mark.parametrize("named", ["", "a", "a/b", "a/b/c"])
def test_a_folder_too_high_or_too_deep(tmp_path: Path, named: str) -> None:
    (tmp_path / "a" / "b" / "c").mkdir(parents=True)
    (tmp_path / "a" / "b" / "sign").touch()
    found = where(Place(tmp_path / named, Path("cache"), "skip"))
    assert found == Place(tmp_path / "a" / "b", Path("cache"), "skip")


def test_nothing_named_is_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "sign").touch()
    monkeypatch.chdir(tmp_path)
    assert where(Place()).folder().resolve() == tmp_path / "a"


def test_a_file_of_another_name(tmp_path: Path) -> None:
    (tmp_path / "mine.npz").touch()
    assert where(Place(tmp_path / "mine.npz")).root == tmp_path / "mine.npz"


def test_the_folder_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "here").mkdir()
    with pytest.raises(UserError) as error:
        where(Place(tmp_path / "here"))
    assert str(error.value) == (
        f"No file 'sign' in '{tmp_path}/here', in the folder it is in, or up to two folders below it. There: nothing. Get it."
    )
    for name in ("notes.txt", "all.zip", "more.tar.gz", "._x"):
        (tmp_path / "here" / name).touch()
    with pytest.raises(
        UserError, match=r"There: all\.zip, more\.tar\.gz, notes\.txt\. Unpack all\.zip, more\.tar\.gz first"
    ):
        where(Place(tmp_path / "here"))


def test_several_copies(tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / "deep" / name).mkdir(parents=True)
        (tmp_path / "deep" / name / "sign").touch()
    with pytest.raises(
        UserError, match=r"`root` \(='.*deep'\) must hold one copy .* there are .*a, .*b\. Name one\."
    ):
        where(Place(tmp_path / "deep"))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_tables(tmp_path: Path, encoding: str, delimiter: str) -> None:
    path = tmp_path / "a.csv"
    lines = ['"Name","Age"', '"Zoë",31', '"x, y; z",', "short"]
    path.write_text("\n".join(line.replace('",', f'"{delimiter}') for line in lines), encoding=encoding)
    assert read_table(path, ["Age", "Name"]) == [
        {"Age": "31", "Name": "Zoë"},
        {"Age": "", "Name": "x, y; z"},
        {"Age": "", "Name": "short"},
    ]
    with pytest.raises(
        UnreadableError, match=r"a\.csv' must have the columns \['Sex'\]; it has \['Name', 'Age'\]"
    ):
        read_table(path, ["Sex"])
    path.write_text("")
    with pytest.raises(UnreadableError, match=r"it has \[\]"):
        read_table(path, ["Sex"])


@pytest.mark.parametrize(
    ("content", "line", "byte"),
    [
        ("eins\nzw\xf6lf".encode("latin-1"), 2, "0xf6"),
        (b"\xef\xbb\xbf" + "eins\nzw\xf6lf".encode("latin-1"), 2, "0xf6"),
        ("a".encode("utf-16"), 1, "0xff"),
    ],
)
def test_other_encodings(tmp_path: Path, content: bytes, line: int, byte: str) -> None:
    (tmp_path / "a.yaml").write_bytes(content)
    with pytest.raises(
        UnreadableError, match=rf"a\.yaml' must be in UTF-8, and line {line} is not \(byte {byte}\); save it"
    ):
        read_text(tmp_path / "a.yaml")
    with pytest.raises(UnreadableError, match="cannot be opened"):
        read_text(tmp_path / "b.yaml")
