"""CWFID in its official layout and as a copy, damaged files too, and the real copy."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from examples.data import load
from examples.data.contract import UNSCORED, Modality, MultimodalData, Samples
from examples.data.place import Place
from examples.data.reading.files import UnreadableError
from examples.data.sets.cwfid import check_cwfid, class_shares, load_cwfid
from examples.errors import UserError
from tests.support.real_data import real_data

LISTS = "train: [2, 3, 4, 5, 6]\ntest: [1, 6,\n  7]\n"
COLOURS = np.array([[0, 0, 0], [0, 255, 0], [255, 0, 0]], dtype="uint8")


def write_image(root: Path, number: int, *, channels: tuple[int, int] = (1, 0)) -> None:
    """A crop in the upper left, a weed in the lower right; both bright in near infrared and dark in red."""
    classes = np.zeros((966, 1296), dtype="uint8")
    classes[40:200, 80 : 240 + 40 * number] = 1
    classes[800:, 1200:] = 2
    picture = np.full((966, 1296, 3), 7, dtype="uint8")
    nir, red = channels
    picture[:, :, nir] = np.where(classes, 200, 60) + number
    picture[:, :, red] = np.where(classes, 30, 60)
    for kind, values in (("image", picture), ("annotation", COLOURS[classes])):
        path = root / f"{kind}s" / f"{number:03d}_{kind}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(values).save(path, compress_level=1)


@pytest.fixture(scope="module")
def official(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("official")
    (root / "train_test_split.yaml").write_text(LISTS)
    for number in range(1, 8):
        write_image(root, number)
    return root


@pytest.fixture
def arrays() -> dict[str, np.ndarray]:
    """Each pixel of near infrared tells its image, each of red its row."""
    number = np.arange(7, dtype="uint8")[:, None, None]
    plain = np.zeros((7, 242, 324), dtype="uint8")
    return {
        "nir": plain + number + 1,
        "red": plain + np.arange(242, dtype="uint8")[:, None],
        "label": (plain + np.arange(324, dtype="uint16") // 108).astype("uint8"),
        "train": np.array([0, 1, 1, 1, 1, 1, 0], dtype=bool),
        "test": np.array([1, 0, 0, 0, 0, 1, 1], dtype=bool),
    }


@pytest.fixture
def copy(tmp_path: Path, arrays: dict[str, np.ndarray]) -> Path:
    np.savez_compressed(tmp_path / "cwfid_quarter.npz", **arrays)
    return tmp_path


@pytest.fixture
def own(official: Path, tmp_path: Path) -> Path:
    """The official files in a folder where they may be changed."""
    root = tmp_path / "own"
    for path in official.glob("*s/*.png"):
        (root / path.parent.name).mkdir(parents=True, exist_ok=True)
        (root / path.parent.name / path.name).hardlink_to(path)
    (root / "train_test_split.yaml").write_text(LISTS)
    return root


def images(data: MultimodalData) -> list[set[int]]:
    parts = (data.train, data.validation, data.test)
    return [set() if part is None else set(part.labels["image"].tolist()) for part in parts]


def test_shapes_and_lists(copy: Path):
    data = load("cwfid", Place(copy), seed=0, options={"validation": 1})
    assert data.modalities == {name: Modality("image", (1, 80, 80)) for name in ("nir", "red")}
    assert (data.classes, data.task) == (("soil", "crop", "weed"), "segmentation")
    assert (len(data.train), len(data.validation), len(data.test)) == (3 * 12, 12, 3 * 12)
    train, validation, test = images(data)
    assert train | validation == {2, 3, 4, 5}
    assert test == {1, 6, 7}
    assert data.test.everything().target.shape == (36, 80, 80)


def test_validation_is_drawn_by_image(copy: Path):
    drawn = [images(load_cwfid(Place(copy), seed=seed, validation=2))[1] for seed in range(8)]
    assert all(len(part) == 2 for part in drawn)
    assert len({tuple(part) for part in drawn}) > 1
    assert load_cwfid(Place(copy), validation=0).validation is None


@pytest.mark.parametrize(("tile", "grid"), [(80, (3, 4)), (64, (3, 5)), (240, (1, 1))])
def test_tiles_lie_side_by_side(copy: Path, arrays: dict[str, np.ndarray], tile: int, grid: tuple[int, int]):
    data = load_cwfid(Place(copy), tile=tile, validation=1)
    rows, columns = grid
    first = data.test.target[: rows * columns].view(rows, columns, tile, tile)
    joined = first.permute(0, 2, 1, 3).reshape(rows * tile, columns * tile).numpy()
    top, left = (242 - rows * tile) // 2, (324 - columns * tile) // 2
    assert np.array_equal(joined, arrays["label"][0, top : top + rows * tile, left : left + columns * tile])
    assert data.names[rows * columns - 1] == f"001, row {rows - 1}, column {columns - 1}"


def test_blocks_become_one_pixel(copy: Path, arrays: dict[str, np.ndarray]):
    whole = load_cwfid(Place(copy), tile=80, validation=1)
    data = load_cwfid(Place(copy), tile=40, reduce=2, validation=1)
    assert data.modalities["nir"].shape == (1, 40, 40)
    assert len(data.test) == len(whole.test)
    # the centre of 121 rows starts at row 0 or 1 of them, so at 0 of the whole image; of 162 columns at 1, so at 2
    blocks = arrays["label"][0, 1:241:2, 3:323:2]
    joined = data.test.target[:12].view(3, 4, 40, 40).permute(0, 2, 1, 3).reshape(120, 160).numpy()
    assert np.array_equal(joined, blocks)
    red = (
        data.test.everything().inputs["red"][:12, 0].view(3, 4, 40, 40).permute(0, 2, 1, 3).reshape(120, 160)
    )
    steps = red.diff(dim=0)  # two rows a block, so each block is brighter by the same amount
    assert steps.min() > 0
    torch.testing.assert_close(steps, steps[:1, :1].expand_as(steps), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("reduce", [0, 61])
def test_impossible_reduction(copy: Path, reduce: int):
    with pytest.raises(UserError, match=rf"`reduce` \(={reduce}\) must be at least 1 and at most 60"):
        load_cwfid(Place(copy), reduce=reduce)


def test_inputs_lie_where_their_target_lies(official: Path):
    inputs, target = load_cwfid(Place(official), validation=1).test.everything()
    plants = target > 0
    for name, brighter in (("nir", True), ("red", False)):
        means = [inputs[name][:, 0][where].mean() for where in (plants, ~plants)]
        assert (means[0] > means[1]) == brighter
    assert torch.equal(plants, inputs["red"][:, 0] < inputs["red"].mean())


def test_official_files_become_a_quarter(official: Path):
    data = load_cwfid(Place(official), tile=240, validation=1)
    assert images(data)[2] == {1, 6, 7}
    target = data.test.target[0]
    assert target.shape == (240, 240)
    assert (target[9:49, :28] == 1).all()
    assert (target == 1).sum() == 40 * 28
    assert len(list((official / "maskfusion-cache").glob("cwfid-*/*.record"))) == 7


def test_other_channels(tmp_path: Path):
    (tmp_path / "train_test_split.yaml").write_text("train: [2]\ntest: [1]\n")
    for number in (1, 2):
        write_image(tmp_path, number, channels=(0, 2))
    with pytest.raises(
        UnreadableError, match=r"001: in '.*001_image.png' plants are no brighter .* \[1, 0\]"
    ):
        load_cwfid(Place(tmp_path), validation=0)
    assert len(load_cwfid(Place(tmp_path), validation=0, channels=[0, 2]).test) == 12


@pytest.mark.parametrize("channels", [[1], [0, 3]])
def test_impossible_channels(official: Path, channels: list[int]):
    with pytest.raises(UserError, match=r"`channels` \(=\[.*\]\) must be two of 0, 1 and 2"):
        load_cwfid(Place(official), channels=channels)


def replace(path: Path, content: bytes | np.ndarray) -> None:
    path.unlink()
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        Image.fromarray(content).save(path)


@pytest.fixture
def damaged(own: Path) -> Path:
    replace(own / "images" / "002_image.png", b"no picture")
    replace(own / "images" / "003_image.png", np.zeros((242, 324, 3), dtype="uint8"))
    replace(own / "annotations" / "001_annotation.png", np.full((966, 1296, 3), 255, dtype="uint8"))
    (own / "annotations" / "004_annotation.png").unlink()
    return own


def test_bad_files_are_named_with_their_reasons(damaged: Path):
    with pytest.raises(UnreadableError) as error:
        load_cwfid(Place(damaged))
    for words in (
        "2 of 7 samples cannot be read (their size or first bytes are wrong, nothing was decoded",
        "002_image.png' does not begin as a png file does",
        "004_annotation.png' cannot be opened (No such file or directory)",
    ):
        assert words in str(error.value)
    (damaged / "train_test_split.yaml").write_text("train: [3, 5]\ntest: [1, 6, 7]\n")
    with pytest.raises(UnreadableError) as error:
        load_cwfid(Place(damaged))
    for words in (
        "2 of 5 samples cannot be read (what could be read stays decoded",
        "001_annotation.png' has colours other than black for soil, green for crop, red for weed",
        "003_image.png' has 242 x 324 pixels, not 966 x 1296",
    ):
        assert words in str(error.value)


def test_bad_files_are_left_out(damaged: Path):
    data = load_cwfid(Place(damaged, on_error="skip"), validation=0)
    assert images(data) == [{5}, set(), {6, 7}]
    assert sorted(data.left_out) == ["001", "002", "003", "004"]


def test_missing_data(tmp_path: Path):
    for function in (load_cwfid, check_cwfid):
        with pytest.raises(
            UserError,
            match=r"No 'cwfid_quarter.npz' and no 'train_test_split.yaml' in .*github.com/cwfid",
        ):
            function(Place(tmp_path))


def test_lists_that_are_none(own: Path):
    (own / "train_test_split.yaml").write_text("train: 1\n")
    with pytest.raises(UnreadableError, match=r"train_test_split.yaml' must have two lines, 'train: \["):
        load_cwfid(Place(own))


@pytest.mark.parametrize("tile", [0, -4, 30, 244])
def test_impossible_tile(copy: Path, tile: int):
    with pytest.raises(
        UserError, match=rf"`tile` \(={tile}\) must be a multiple of 4, above 0 and at most 242"
    ):
        load_cwfid(Place(copy), tile=tile)


@pytest.mark.parametrize("validation", [-1, 4])
def test_impossible_validation(copy: Path, validation: int):
    with pytest.raises(UserError, match=rf"`validation` \(={validation}\) must be at least 0 and below 4"):
        load_cwfid(Place(copy), validation=validation)


def test_labels_that_are_none(tmp_path: Path, arrays: dict[str, np.ndarray]):
    np.savez(tmp_path / "cwfid_quarter.npz", **(arrays | {"label": arrays["label"] + 1}))
    with pytest.raises(UserError, match="array `label` must hold 0 to 2"):
        load_cwfid(Place(tmp_path / "cwfid_quarter.npz"))


def test_class_shares():
    target = torch.tensor([[[0, 0], [2, UNSCORED]]])
    samples = Samples({"a": torch.zeros(1, 1, 2, 2)}, target)
    assert class_shares(samples).tolist() == pytest.approx([2 / 3, 0, 1 / 3])


def test_check(copy: Path, own: Path):
    counts = [("7", False), ("4", False), ("3", False)]
    assert [finding[2:] for finding in check_cwfid(Place(copy))] == [(str(copy), True), *counts]
    looked = [("14 good", True), ("7 good", True)]
    assert [finding[2:] for finding in check_cwfid(Place(own))] == [(str(own), True), *counts, *looked]
    (own / "images" / "003_image.png").unlink()
    gone = f"'{own}/images/003_image.png' cannot be opened (No such file or directory)"
    assert [finding[2:] for finding in check_cwfid(Place(own))[-2:]] == [
        (f"1 of 14 are bad: {gone}", False),
        (f"1 of 7 are bad: 003: {gone}", False),
    ]


def test_lists_with_a_byte_order_mark(own: Path):
    (own / "train_test_split.yaml").write_text(LISTS, encoding="utf-8-sig")
    assert len(load_cwfid(Place(own), validation=0).test) == 36


def test_lists_in_another_encoding(own: Path):
    (own / "train_test_split.yaml").write_bytes(b"train: [2]\n# f\xfcr den Test\ntest: [1]\n")
    with pytest.raises(
        UnreadableError, match=r"yaml' must be in UTF-8, and line 2 is not \(byte 0xfc\); save it as"
    ):
        load_cwfid(Place(own))


def test_shares_are_no_bytes(tmp_path: Path, arrays: dict[str, np.ndarray]):
    np.savez(tmp_path / "cwfid_quarter.npz", **(arrays | {"red": arrays["red"] / 255}))
    with pytest.raises(UserError, match=r"array `red` must hold whole numbers from 0 to 255; it holds 0\."):
        load_cwfid(Place(tmp_path))


def test_real_copy():
    place = Place(real_data("cwfid"))
    assert all(finding.good for finding in check_cwfid(place))
    data = load_cwfid(place)
    assert (len(data.train), len(data.validation), len(data.test)) == (31 * 12, 8 * 12, 21 * 12)
    train, validation, test = images(data)
    assert 28 in test - train - validation
    assert class_shares(data.train)[0] == pytest.approx(0.93, abs=0.01)
    inputs, target = data.test.everything()
    index = (inputs["nir"] - inputs["red"])[:, 0]
    assert index[target > 0].mean() - index[target == 0].mean() > 1
