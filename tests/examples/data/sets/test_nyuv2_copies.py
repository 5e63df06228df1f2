"""NYU Depth v2 as others pass it on: folders of pictures, and the small file of encoded ones."""

import io
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from examples.data.contract import UNSCORED, MultimodalData
from examples.data.place import Place
from examples.data.sets.nyuv2 import check_nyuv2, load_nyuv2
from examples.data.sets.nyuv2_classes import FORTY
from examples.errors import UserError
from tests.examples.data.nyuv2_files import TO_THIRTEEN, write_mappings, write_splits
from tests.support.real_data import real_data

COUNT, HEIGHT, WIDTH = 20, 24, 32
TESTED = np.arange(COUNT) // 4 % 2 == 1


def picture(number: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return color, depth and labels: left class 1, right the number; the top row is none; red grows with the number."""
    color = np.zeros((HEIGHT, WIDTH, 3), dtype="uint8")
    color[..., 0] = 10 * number
    labels = np.full((HEIGHT, WIDTH), number + 1, dtype="uint8")
    labels[:, : WIDTH // 2] = 1
    labels[: HEIGHT // 4] = 0
    return color, np.full((HEIGHT, WIDTH), 1000 + 10 * number, dtype="uint16"), labels


def save(folder: Path, values: np.ndarray, name: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values).save(folder / name)


def write_folders(
    root: Path, kinds: tuple[str, str, str] = ("rgb", "depth", "labels"), *, parts: bool = False
) -> Path:
    for number in range(COUNT):
        part = root / ("test" if TESTED[number] else "train") if parts else root
        ends = (".jpg" if number % 2 else ".PNG", ".png", ".png")
        for kind, values, end in zip(kinds, picture(number), ends, strict=True):
            save(part / kind, values, f"{number + 1:04d}{end}")
            (part / kind / f"._{number + 1:04d}.png").write_bytes(b"what a Mac leaves behind")
    return root


def write_lists(root: Path, train: str = "train.txt", test: str = "test.txt") -> None:
    for name, chosen in ((train, ~TESTED), (test, TESTED)):
        lines = [f"rgb/{number + 1:04d}.png" for number in np.flatnonzero(chosen)]
        (root / name).write_text("\n".join(lines), encoding="utf-8-sig")


def encoded(values: np.ndarray) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(values).save(stream, "png")
    return stream.getvalue()


def write_encoded(root: Path, **changes: np.ndarray) -> Path:
    arrays = {"split": TESTED.astype("uint8")}
    for position, name in enumerate(("rgb_jpg", "depth_png", "label40_png")):
        contents = []
        for number in range(COUNT):
            values = picture(number)[position]
            if name == "depth_png":
                values = (values // 10).astype("uint8")
            if name == "label40_png":
                values = np.where(values == 0, 39, values - 1).astype("uint8")
            contents.append(encoded(values))
        arrays[name] = np.frombuffer(b"".join(contents), dtype="uint8")
        arrays[f"{name}_off"] = np.cumsum([0, *map(len, contents)])
    root.mkdir(exist_ok=True)
    np.savez(root / "nyuv2_240x320_encoded.npz", **(arrays | changes))
    return root


def expect(data: MultimodalData) -> None:
    assert data.classes == FORTY
    assert [data.names[n] for n in data.split.test] == [f"{n + 1:04d}" for n in np.flatnonzero(TESTED)]
    assert set(data.validation.labels["scene"].tolist()).isdisjoint(data.train.labels["scene"].tolist())
    red = data.test.inputs["color"].column.take(data.split.test, None)[:, 0].mean(dim=(1, 2))
    torch.testing.assert_close(red, torch.as_tensor(10.0 * np.flatnonzero(TESTED)).float(), atol=1.5, rtol=0)
    for target, number in zip(data.test.target, np.flatnonzero(TESTED), strict=True):
        assert (target[:2] == UNSCORED).all()
        assert (target[2:, :4] == 0).all()
        assert (target[2:, 4:] == number).all()


@pytest.mark.parametrize("kinds", [("rgb", "depth", "labels"), ("Images", "depths", "label40")])
def test_folders_with_lists(tmp_path: Path, kinds: tuple[str, str, str]) -> None:
    root = write_folders(tmp_path / "NYUv2", kinds)
    write_lists(root, test="val.txt")
    data = load_nyuv2(Place(root), size=8, validation=0.4)
    expect(data)
    depth = data.test.inputs["depth"].column.take(np.array([7]), None)
    assert set(depth.round().ravel().tolist()) == {1070}, "in the unit of the files"


def test_folders_of_parts(tmp_path: Path) -> None:
    expect(load_nyuv2(Place(write_folders(tmp_path, parts=True)), size=8, validation=0.4))


def test_folders_with_the_official_split(tmp_path: Path) -> None:
    write_folders(tmp_path)
    write_splits(tmp_path, (np.flatnonzero(~TESTED) + 1).tolist(), (np.flatnonzero(TESTED) + 1).tolist())
    expect(load_nyuv2(Place(tmp_path), size=8, validation=0.4))
    found = check_nyuv2(Place(tmp_path))
    assert [finding.found for finding in found] == [
        str(tmp_path), "20", "8", "60 good", "8 good", "there", "none: 13 classes cannot be had"
    ]  # fmt: skip


def test_folders_without_a_split(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_folders(tmp_path)
    data = load_nyuv2(Place(tmp_path), size=8, validation=0)
    assert "No official split in '" in capsys.readouterr().err
    assert len(data.test) == 10, "neighbours stay together"
    assert not check_nyuv2(Place(tmp_path))[2].good


def test_labels_from_0(tmp_path: Path) -> None:
    root = write_folders(tmp_path)
    write_lists(root)
    for path in (root / "labels").glob("[0-9]*"):
        save(root / "labels", np.asarray(Image.open(path)) - np.uint8(1), path.name)
    with pytest.raises(
        UserError, match=r"0001\.png' holds 255; `none` \(=0\) must be the number of the pixels without"
    ):
        load_nyuv2(Place(root), size=8)
    expect(load_nyuv2(Place(root), size=8, validation=0.4, none=255))
    for path in (root / "labels").glob("[0-9]*"):
        save(root / "labels", np.asarray(Image.open(path)) % np.uint8(255), path.name)
    shown = [
        load_nyuv2(Place(root), size=8, validation=0, none=none).test.target[0, -1, -1] for none in (255, 0)
    ]
    assert [int(number) for number in shown] == [4, 3], "another reading is another copy"


def test_13_classes_of_folders(tmp_path: Path) -> None:
    root = write_folders(tmp_path)
    write_lists(root)
    with pytest.raises(UserError, match=r"`classes` \(=13\) needs \['class13Mapping\.mat'\] in"):
        load_nyuv2(Place(root), size=8, classes=13)
    write_mappings(root, [0] * 6, TO_THIRTEEN)
    data = load_nyuv2(Place(root), size=8, classes=13)
    assert len(data.classes) == 13
    assert data.test.target[0, -1, -1] == TO_THIRTEEN[4] - 1


def test_pictures_that_are_missing_or_disagree(tmp_path: Path) -> None:
    root = write_folders(tmp_path)
    write_lists(root)
    (root / "depth" / "0003.png").unlink()
    with pytest.raises(UserError, match=r"(?s)1 of 20 samples.*0003: '.*depth.0003\.png' cannot be opened"):
        load_nyuv2(Place(root), size=8)
    save(root / "depth", picture(2)[1][:8], "0003.png")
    save(root / "labels", picture(1)[0], "0002.png")
    with pytest.raises(
        UserError, match=r"(?s)0002: .*one number for each pixel; it has 3 channels.*0003: .* be of one size"
    ):
        load_nyuv2(Place(root), size=8)
    data = load_nyuv2(Place(root, on_error="skip"), size=8, validation=0)
    assert sorted(data.left_out) == ["0002", "0003"]
    assert len(data.train) == 10


@pytest.mark.parametrize(
    ("extra", "words"), [("0001", r"twice are \['0001'\]"), ("0099", r"here or there \['0099'\]")]
)
def test_lists_that_disagree(tmp_path: Path, extra: str, words: str) -> None:
    root = write_folders(tmp_path)
    write_lists(root)
    with (root / "test.txt").open("a") as file:
        file.write(f"\n{extra}\n")
    with pytest.raises(UserError, match=rf"must name each picture once; .*{words}"):
        load_nyuv2(Place(root), size=8)


def test_encoded(tmp_path: Path) -> None:
    root = write_encoded(tmp_path / "copy")
    data = load_nyuv2(Place(root), size=8, validation=0.4)
    expect(data)
    depth = data.test.inputs["depth"].column.take(np.array([7]), None)
    torch.testing.assert_close(depth.mean(), torch.tensor(107 * 9.9955 / 255))
    again = load_nyuv2(Place(root / "nyuv2_240x320_encoded.npz"), size=8, validation=0.4)
    assert torch.equal(again.test.target, data.test.target)
    assert [finding.found for finding in check_nyuv2(Place(root))][1:5] == ["20", "8", "1 good", "8 good"]


def test_encoded_that_disagrees(tmp_path: Path) -> None:
    root = write_encoded(tmp_path / "copy", rgb_jpg_off=np.arange(COUNT + 1))
    with pytest.raises(UserError, match="`rgb_jpg_off` must cut `rgb_jpg` into 20 pictures"):
        load_nyuv2(Place(root), size=8)


def test_pillow_is_named_where_it_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = write_encoded(tmp_path / "copy")
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(UserError, match=r"needs the package PIL: pip install .*\[media\]"):
        load_nyuv2(Place(root), size=8)


@pytest.mark.slow
def test_real_copy(tmp_path: Path) -> None:
    place = Place(real_data("nyuv2/nyuv2_240x320_encoded.npz").parent, cache=tmp_path)
    found = check_nyuv2(place)
    assert [finding.good for finding in found] == [*[True] * 6, False]
    data = load_nyuv2(place, size=16)
    assert (len(data.train) + len(data.validation), len(data.test)) == (795, 654)
    assert len(data.validation) / 795 == pytest.approx(0.15, abs=0.05)
    scored = torch.cat([data.train.target, data.test.target]).long()
    assert set(scored.unique().tolist()) == {UNSCORED, *range(39)}
    assert 0.1 < (scored == UNSCORED).double().mean() < 0.3
    assert 0.15 < (scored == 0).double().mean() < 0.35, "a quarter is wall"
    depth = data.test.inputs["depth"].column.take(np.arange(0, 1449, 10), None)
    assert 0.3 < depth.min() < depth.max() < 10
    assert depth.mean() == pytest.approx(2.7, abs=0.5)
