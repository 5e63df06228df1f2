"""Files of named arrays: what is found in them, and the sentence where they are no such files."""

import io
import pickle
import zipfile
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from examples.data.place import Place
from examples.data.reading.bundles import open_bundle
from examples.errors import UserError


def arrays() -> dict[str, np.ndarray]:
    return {
        "text": np.arange(12.0, dtype="float16").reshape(4, 3),
        "label": np.array(["a", "b", "a", "b"]),
    }


def write_folder(folder: Path, values: dict[str, np.ndarray]) -> Path:
    folder.mkdir()
    for name, array in values.items():
        np.save(folder / f"{name}.npy", array)
    return folder


def test_an_archive_a_folder_and_a_folder_with_an_archive(tmp_path: Path):
    np.savez_compressed(tmp_path / "my.npz", **arrays())
    write_folder(tmp_path / "loose", arrays())
    (tmp_path / "loose" / ".DS_Store").write_bytes(b"litter")
    for root, mapped in (
        (tmp_path / "my.npz", False),
        (tmp_path / "loose", True),
        (tmp_path, False),
    ):
        bundle = open_bundle(Place(root))
        assert sorted(bundle.arrays) == ["label", "text"]
        text, label = bundle.arrays["text"], bundle.arrays["label"]
        assert (text.shape, text.kind, text.type, text.bytes) == ((4, 3), "f", "float16", 24)
        assert (label.kind, label.holds) == ("U", "texts")
        assert bundle.mapped is mapped
        values = text.read()
        assert isinstance(values, np.memmap) is mapped
        assert values.tolist() == arrays()["text"].tolist()
        assert label.read().tolist() == ["a", "b", "a", "b"]


def test_safetensors_are_mapped(tmp_path: Path):
    values = {
        "brain": torch.arange(6).reshape(3, 2).bfloat16(),
        "counts": torch.tensor([[1], [2], [3]], dtype=torch.uint8),
        "label": torch.tensor([True, False, True]),
    }
    save_file(values, tmp_path / "my.safetensors")
    bundle = open_bundle(Place(tmp_path / "my.safetensors"))
    assert {name: stored.kind for name, stored in bundle.arrays.items()} == {
        "brain": "f",
        "counts": "u",
        "label": "b",
    }
    assert bundle.mapped
    assert torch.equal(bundle.arrays["brain"].read(), values["brain"])


def test_the_digest_is_of_the_content(tmp_path: Path):
    np.savez(tmp_path / "one.npz", **arrays())
    (tmp_path / "two.npz").write_bytes((tmp_path / "one.npz").read_bytes())
    first, copy = (open_bundle(Place(tmp_path / f"{name}.npz")).digest() for name in ("one", "two"))
    assert first == copy
    changed = arrays()
    changed["text"][3, 2] = 7
    np.savez(tmp_path / "two.npz", **changed)
    assert open_bundle(Place(tmp_path / "two.npz")).digest() != first


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("my.npz", b"", "is empty"),
        (
            "my.npz",
            b"version https://git-lfs.github.com/spec/v1\n",
            "is a pointer of Git LFS; `git lfs pull`",
        ),
        ("my.npz", b"<!DOCTYPE html>", "is a web page"),
        ("my.npz", b"text", "does not begin as a npz file does"),
        ("my.npz", b"PK\3\4 and no more", "is damaged or cut short"),
        ("my.safetensors", b"text", "is no safetensors file, or cut"),
        ("my.mat", b"a,b", "must be an .npz archive, a folder of .npy files, or a .safetensors file."),
        (
            "my.parquet",
            b"PAR1",
            "a .safetensors file. Of a table, save one array per modality: frame[columns].to_numpy().",
        ),
        ("my.npy", b"text", "is one array; name the folder that holds it and the others"),
    ],
)
def test_what_is_no_bundle(tmp_path: Path, name: str, content: bytes, message: str):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError) as error:
        open_bundle(Place(tmp_path / name))
    assert message in str(error.value)
    assert str(tmp_path) in str(error.value)


def test_no_root_and_folders_that_hold_none_or_several(tmp_path: Path):
    with pytest.raises(UserError, match=r"Name your file with --root: an \.npz archive, a folder of"):
        open_bundle(Place())
    with pytest.raises(UserError, match=r"must hold one bundle of arrays .* it holds none of them"):
        open_bundle(Place(tmp_path))
    for name in ("a", "b"):
        np.savez(tmp_path / f"{name}.npz", **arrays())
    with pytest.raises(UserError, match=r"it holds a\.npz, b\.npz"):
        open_bundle(Place(tmp_path))


@pytest.mark.parametrize(
    ("place", "value", "message"), [(6, 1, "encrypted"), (8, 99, "compression method is not supported")]
)
def test_archives_that_zipfile_cannot_open(tmp_path: Path, place: int, value: int, message: str):
    path = tmp_path / "my.npz"
    np.savez(path, **arrays())
    content = bytearray(path.read_bytes())
    for signature, further in ((b"PK\3\4", 0), (b"PK\1\2", 2)):  # of each member, then of the list at the end
        start = content.find(signature)
        while start >= 0:
            content[start + place + further] = value
            start = content.find(signature, start + 4)
    path.write_bytes(content)
    with pytest.raises(
        UserError, match=rf"my\.npz' is damaged or cut short \(.*{message}.*\); save it again"
    ):
        open_bundle(Place(path))


@pytest.mark.parametrize("cut", [20, 150])
def test_files_that_were_cut(tmp_path: Path, cut: int):
    folder = write_folder(tmp_path / "loose", {"a": np.zeros((9, 9)), "label": np.zeros(9)})
    path = folder / "a.npy"
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(UserError, match=r"a\.npy' is damaged or cut short \(.*\); save it again"):
        open_bundle(Place(folder)).arrays["a"].read()


def test_a_member_that_was_changed(tmp_path: Path):
    path = tmp_path / "my.npz"
    np.savez(path, a=np.zeros(1000))
    content = bytearray(path.read_bytes())
    content[4000] ^= 1
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"is damaged or cut short .*CRC"):
        open_bundle(Place(path)).arrays["a"].read()


def test_objects_are_seen_and_never_read(tmp_path: Path):
    np.savez(tmp_path / "my.npz", a=np.array([{}, None], dtype=object))
    stored = open_bundle(Place(tmp_path / "my.npz")).arrays["a"]
    assert stored.holds == "Python objects, which are not loaded, since loading them can run code"
    (tmp_path / "loose").mkdir()
    (tmp_path / "loose" / "a.npy").write_bytes(pickle.dumps([1, 2]))
    with pytest.raises(UserError, match="does not begin as a npy file does"):
        open_bundle(Place(tmp_path / "loose"))


def test_names_twice_and_names_that_differ_in_case(tmp_path: Path):
    stream = io.BytesIO()
    np.save(stream, np.zeros(3))
    for names in (["a.npy", "A.npy"], ["a.npy", "a.npy"]):
        with zipfile.ZipFile(tmp_path / "my.npz", "w") as archive:
            for name in [*names, "__MACOSX/b.npy", "read me.txt"]:
                with (
                    pytest.warns(UserWarning, match="Duplicate name")
                    if name in archive.namelist()
                    else nullcontext()
                ):
                    archive.writestr(name, stream.getvalue())
        with pytest.raises(
            UserError, match=r"has the names \['a', '[aA]'\], which differ in case or not at all"
        ):
            open_bundle(Place(tmp_path / "my.npz"))
