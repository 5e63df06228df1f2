"""Arrays of one's own: labels, groups, splits and missing values, of public data and of files that are wrong."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from sklearn.datasets import load_digits, load_iris, load_wine

from examples.data import DATA_SETS, load
from examples.data.contract import UNSCORED, Modality, MultimodalData
from examples.data.place import Place
from examples.data.sets.arrays import check_arrays, identify_arrays
from examples.errors import UserError


def made(samples: int = 60) -> dict[str, np.ndarray]:
    """Two modalities, three classes, ten groups."""
    random = np.random.default_rng(0)
    return {
        "text": random.normal(size=(samples, 5)).astype("float32"),
        "sound": random.normal(size=(samples, 2, 16)).astype("float16"),
        "label": np.arange(samples) % 3,
        "group": np.array([f"person {number // 6}" for number in range(samples)]),
    }


def loaded(folder: Path, arrays: dict[str, np.ndarray], *, seed: int = 0, **options: Any) -> MultimodalData:
    path = folder / "my.npz"
    np.savez(path, **arrays)
    return load("arrays", Place(path), seed=seed, options=options)


def without(arrays: dict[str, np.ndarray], *names: str) -> dict[str, np.ndarray]:
    return {name: values for name, values in arrays.items() if name not in names}


def parts(data: MultimodalData) -> list[np.ndarray]:
    return [data.split.train, data.split.validation, data.split.test]


def test_wine_from_scikit_learn(tmp_path: Path):
    wine = load_wine()
    names = wine.target_names[wine.target]
    data = loaded(tmp_path, {"acids": wine.data[:, :6], "colours": wine.data[:, 6:], "label": names})
    assert data.modalities == {"acids": Modality("vector", (6,)), "colours": Modality("vector", (7,))}
    assert data.classes == ("class_0", "class_1", "class_2")
    assert sum(map(len, parts(data))) == len(wine.data)
    train = data.train.everything()
    assert [names[position] for position in data.split.train] == [data.classes[n] for n in train.target]
    expected = wine.data[data.split.train]
    scaled = (expected - expected.mean(0)) / expected.std(0, ddof=1)
    np.testing.assert_allclose(torch.cat(list(train.inputs.values()), dim=1), scaled, atol=1e-4)


def test_digits_of_scikit_learn_are_images(tmp_path: Path):
    digits = load_digits()
    columns = np.asfortranarray(digits.data.astype(">f8"))
    data = loaded(tmp_path, {"picture": digits.images, "pixels": columns, "y": digits.target}, label="y")
    assert data.modalities == {"picture": Modality("image", (1, 8, 8)), "pixels": Modality("vector", (64,))}
    inputs = data.test.everything().inputs
    pixels = data.in_units("pixels", inputs["pixels"]).view(-1, 1, 8, 8)
    torch.testing.assert_close(data.in_units("picture", inputs["picture"]), pixels, atol=1e-3, rtol=0)


def test_every_part_has_its_share_of_every_class(tmp_path: Path):
    iris = load_iris()
    arrays = {"petals": iris.data, "label": iris.target}
    data = loaded(tmp_path, arrays)
    assert [np.bincount(iris.target[part]).tolist() for part in parts(data)] == [[27] * 3, [8] * 3, [15] * 3]
    again, other = (loaded(tmp_path, arrays, seed=seed) for seed in (0, 1))
    assert again.split.test.tolist() == data.split.test.tolist() != other.split.test.tolist()
    assert [len(part) for part in parts(loaded(tmp_path, arrays, validation=0.3, test=0.5))] == [30, 45, 75]


def test_a_folder_and_safetensors_are_read_as_they_are_needed(tmp_path: Path):
    arrays = without(made(), "group")
    (tmp_path / "loose").mkdir()
    for name, values in arrays.items():
        np.save(tmp_path / "loose" / f"{name}.npy", values)
    tensors = {name: torch.as_tensor(values) for name, values in arrays.items()}
    save_file(tensors, tmp_path / "my.safetensors")
    expected = loaded(tmp_path, arrays).test.everything().inputs
    for root in (tmp_path / "loose", tmp_path / "my.safetensors"):
        data = load("arrays", Place(root), seed=0, options={"modalities": ["text", "sound"]})
        for name, values in data.test.everything().inputs.items():
            assert torch.equal(values, expected[name])
    column = data.train.inputs["text"].column
    assert column is load("arrays", Place(root), seed=1, options={}).train.inputs["text"].column


def test_no_group_is_in_two_parts(tmp_path: Path):
    arrays = made()
    for seed in range(3):
        data = loaded(tmp_path, arrays, seed=seed)
        members = [set(arrays["group"][part]) for part in parts(data)]
        assert [len(part) for part in members] == [5, 2, 3]
        assert len(set.union(*members)) == 10
        first = data.values["group"][data.train.labels["group"][0]]
        assert first == arrays["group"][data.split.train[0]]
    with pytest.raises(UserError, match=r"must leave some of 2 groups"):
        loaded(tmp_path, {**arrays, "group": np.arange(60) % 2})


@pytest.mark.parametrize(
    "words",
    [["train", "validation", "test"], ["Training", "val", "TEST "], [0, 1, 2], [b"train", b"dev", b"test"]],
)
def test_a_split_that_is_given(tmp_path: Path, words: list[Any]):
    split = np.repeat(np.array(words), [30, 10, 20])
    data = loaded(tmp_path, {**without(made(), "group"), "split": split})
    assert [part.tolist() for part in parts(data)] == [[*range(30)], [*range(30, 40)], [*range(40, 60)]]
    assert (
        dict(data.notes)["split"] == "30 to learn from, 10 to choose the epoch, 20 to test, as 'split' says"
    )


def test_a_class_that_training_never_sees_is_named(tmp_path: Path):
    label = np.repeat(["oak", "elm", "ash"], 20)
    split = np.repeat(["train", "validation", "train", "test"], [20, 4, 16, 20])
    data = loaded(tmp_path, {**without(made(), "group"), "label": label, "split": split})
    words = "3, one per sample; the most frequent has 55.6 %; not in the training part: ash"
    assert dict(data.notes)["classes"] == words


def test_a_validation_part_that_the_split_lacks_is_drawn_from_training(tmp_path: Path):
    split = np.repeat(["train", "test"], [42, 18])
    for arrays in (made(), without(made(), "group")):
        data = loaded(tmp_path, {**arrays, "split": split})
        assert data.split.test.tolist() == [*range(42, 60)]
        assert sorted([*data.split.train, *data.split.validation]) == [*range(42)]
        assert len(data.split.validation) == 6
        if "group" in arrays:
            assert len(set(arrays["group"][data.split.validation])) == 1
    assert loaded(tmp_path, {**made(), "split": split}, validation=0.0).validation is None


def test_what_is_missing_is_the_mean_of_the_training_part(tmp_path: Path):
    arrays = without(made(), "group")
    arrays["text"][:40:2] = np.nan
    arrays["text"][1, 3] = np.nan
    data = loaded(tmp_path, arrays)
    there = arrays["text"][data.split.train].astype("float64")
    whole = np.full((60, 5), np.nan)
    for part in (data.train, data.validation, data.test):
        whole[_where(data, part)] = part.everything().inputs["text"]
    assert (whole[:40:2] == 0).all()
    assert whole[1, 3] == 0
    expected = (arrays["text"] - np.nanmean(there, axis=0)) / np.nanstd(there, axis=0, ddof=1)
    np.testing.assert_allclose(whole, np.nan_to_num(expected, nan=0.0), atol=1e-5)
    notes = dict(data.notes)
    assert (
        notes["text"] == "vector of 5; 33.3 % of the samples lack it; 0.5 % of its other values are missing"
    )
    assert notes["NaN"] == "is missing: the mean of the training part takes its place, 0 once standardised"


def _where(data: MultimodalData, part: object) -> np.ndarray:
    named = {id(data.train): "train", id(data.validation): "validation", id(data.test): "test"}
    return getattr(data.split, named[id(part)])


def test_a_class_for_each_pixel(tmp_path: Path):
    random = np.random.default_rng(0)
    label = random.integers(3, size=(12, 1, 8, 8)) * 10
    label[0, 0, 0] = UNSCORED
    data = loaded(tmp_path, {"picture": random.normal(size=(12, 3, 8, 8)), "label": label})
    assert (data.task, data.classes) == ("segmentation", ("0", "10", "20"))
    assert [len(part) for part in parts(data)] == [6, 2, 4]
    every = torch.cat([part.everything().target for part in (data.train, data.validation, data.test)])
    order = np.concatenate(parts(data))
    expected = np.where(label == UNSCORED, UNSCORED, label // 10)[order, 0]
    assert np.array_equal(every, expected)


def test_kinds_and_modalities_are_chosen_by_name(tmp_path: Path):
    data = loaded(tmp_path, made(), modalities=["sound"], kinds={"sound": "vector"})
    assert data.modalities == {"sound": Modality("vector", (32,))}
    assert data.train.inputs["sound"].take(np.arange(2), None).shape == (2, 32)


def test_small_units_and_constants(tmp_path: Path):
    arrays = without(made(), "group")
    volts = arrays["text"] * 1e-8 + 1e-5
    volts[:, 0] = 0.1
    data = loaded(tmp_path, {**arrays, "text": volts.astype("float64")})
    inputs = data.train.everything().inputs["text"]
    torch.testing.assert_close(inputs[:, 1:].std(dim=0), torch.ones(4), rtol=1e-3, atol=0)
    assert (inputs[:, 0] == 0).all()


def changed(**arrays: Any) -> dict[str, np.ndarray]:
    return {**without(made(), "group"), **{name: np.asarray(values) for name, values in arrays.items()}}


OTHER = np.array([{}] * 60, dtype=object)
RECORDS = np.zeros(60, dtype=[("x", "f4")])
WRONG: list[tuple[dict[str, np.ndarray], dict[str, Any], str]] = [
    (without(made(), "label"), {}, r"has no array 'label', the class of each sample\. There: text \(60, 5\), sound .* --data_options\.label NAME"),
    (changed(text=np.zeros((59, 5))), {}, r"'label' has 60 rows, .* text \(59, 5\)\. Correct them, or list the arrays to use: --data_options\.modalities"),
    (changed(version=3), {}, r"'label' has 60 rows, .*: version \(\)\. Correct them"),
    (changed(text=OTHER), {}, r"'text', of type object, holds Python objects, which are not loaded, since loading them can run code; a modality"),
    (changed(text=RECORDS), {}, r"'text', of type .*, holds records"),
    (changed(text=np.zeros(60, "datetime64[s]")), {}, r"'text', of type .*, holds dates"),
    (changed(text=np.zeros((60, 2), complex)), {}, r"'text', of type complex128, holds complex numbers; a modality must hold numbers\. Convert it"),
    (changed(text=["a"] * 60), {}, r"'text', of type <U1, holds texts; .*--data_options\.modalities"),
    (changed(text=np.zeros((60, 0))), {}, r"'text' is empty, its shape is \(60, 0\); leave it out"),
    (changed(type=np.zeros((60, 2))), {}, r"'type' cannot be the name of a modality, as PyTorch's modules have an attribute"),
    (changed(text=[[np.inf, 0.0]] * 60), {}, r"'text' holds a value that is infinite"),
    (changed(label=OTHER), {}, r"'label', of type object, holds Python objects, .*; it must hold whole numbers or texts\. Save it again"),
    (changed(label=[1] * 60), {}, r"'label' must hold at least two classes; it holds \[1\] only\. There is nothing to tell apart"),
    (changed(label=np.arange(60)), {}, r"at least 3 samples, .* these have fewer: 0 \(1\), 1 \(1\), .* and 55 more\. .*To predict a number"),
    (changed(label=np.arange(60) / 2), {}, r"'label' must hold whole numbers or texts; it holds 0\.5 in row 1"),
    (changed(label=[np.nan] * 60), {}, r"'label' must hold whole numbers or texts; it holds nan in row 0"),
    (changed(label=[["a", "b", ""][n % 3] for n in range(60)]), {}, r"'label' must not be blank; row 2 is"),
    (changed(label=np.eye(3)[np.arange(60) % 3]), {}, r"'label' must have the shape \(n,\), .* not \(60, 3\)\. Of scores or ones by class take .*argmax"),
    (changed(label=[UNSCORED, 1, 2] * 20), {}, r"'label' must name a class for every sample; row 0 has -100"),
    (changed(label=np.zeros(0)), {}, r"'label' is empty, its shape is \(0,\)"),
    (changed(split=["train"] * 60), {}, r"'split' puts no sample into the part test"),
    (changed(split=["train", "other"] * 30), {}, r"'split' must hold train, validation or test \(or 0, 1, 2\) for every sample; row 1 has 'other'"),
    (changed(split=[[0, 1, 2]] * 60), {}, r"'split' must have the shape \(n,\), a value for a sample, not \(60, 3\)"),
    ({**made(), "split": np.array(["train", "test"] * 30)}, {}, r"'split' puts 10 groups of 'group' into several parts, so that what is scored is like"),
    (changed(split=[0] * 2 + [2] * 58), {}, r"'split' has no validation part, and none can be drawn from its 2 training samples: `test`"),
    ({"label": np.arange(60) % 3}, {}, r"holds nothing besides \['label'\]: no modality"),
    (changed(), {"modalities": ["text", "label", "nope"]}, r"`modalities` has the names \['label', 'nope'\], which are not there, not modalities, or there twice"),
    (changed(), {"kinds": {"nope": "vector"}}, r"`kinds` has unknown names \['nope'\]; the modalities are \['text', 'sound'\]"),
    (changed(), {"modalities": "text"}, r"`modalities` \(='text'\) must be a list of names"),
    (changed(), {"kinds": "{text:vector}"}, r"`kinds` \(='\{text:vector\}'\) must be names to kinds, a blank after each colon"),
    (changed(), {"test": 1.5}, r"`test` \(=1\.5\) must be a share of the samples, at least 0 and below 1"),
    (changed(), {"content": "0"}, r"does not hold what it did when these runs were made\. --fresh starts them anew"),
]  # fmt: skip


@pytest.mark.parametrize(("arrays", "options", "message"), WRONG, ids=[message[:56] for *_, message in WRONG])
def test_what_is_wrong_is_said(
    tmp_path: Path, arrays: dict[str, np.ndarray], options: dict[str, Any], message: str
):
    with pytest.raises(UserError, match=message):
        loaded(tmp_path, arrays, **options)


def test_a_feature_that_training_never_sees(tmp_path: Path):
    arrays = changed(split=np.repeat([0, 1, 2], 20))
    arrays["text"][:20, 2] = np.nan
    with pytest.raises(
        UserError, match="'text' has 1 features of which the training part has no value at all"
    ):
        loaded(tmp_path, arrays)


def test_a_large_archive_says_what_it_costs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("examples.data.sets.arrays._LARGE", 1000)
    data = loaded(tmp_path, made())
    words = "an .npz archive cannot be mapped: each process holds these 0 MB; a folder of .npy files is read as needed"
    assert data.notes[-1] == ("memory", words)


def test_check_says_how_it_is_read_and_identify_what_it_is(tmp_path: Path):
    data = loaded(tmp_path, made())
    place = Place(tmp_path / "my.npz")
    findings = check_arrays(place)
    assert tuple((finding.what, finding.found) for finding in findings) == data.notes
    assert all(finding.good for finding in findings)
    known = identify_arrays(place)
    assert DATA_SETS["arrays"].identify is identify_arrays
    assert load("arrays", place, seed=0, options=known).notes == data.notes
