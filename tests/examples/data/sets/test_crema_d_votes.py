"""CREMA-D's sounds with votes on the faces: on small files of their format, damaged ones too, and on the real files."""

from pathlib import Path

import numpy as np
import pytest
import torch

from examples.data import check, load
from examples.data.contract import Modality, MultimodalData
from examples.data.place import Place
from examples.data.sets.crema_d_votes import (
    SOUNDS,
    VOTES,
    check_crema_d_votes,
    load_crema_d_votes,
    read_votes,
)
from examples.errors import UserError
from tests.examples.data.crema_votes_files import votes_arrays, write_votes
from tests.support.real_data import real_data

FEW = {"validation": 2, "test": 3}
Arrays = tuple[dict[str, np.ndarray], dict[str, np.ndarray]]


@pytest.fixture
def arrays() -> Arrays:
    return votes_arrays()


@pytest.fixture
def root(tmp_path: Path, arrays: Arrays) -> Path:
    write_votes(tmp_path / "crema_d", *arrays)
    return tmp_path / "crema_d"


def actors(data: MultimodalData) -> dict[str, set[int]]:
    """Return who is in each part."""
    return {
        part: set(getattr(data, part).labels["actor"].tolist()) for part in ("train", "validation", "test")
    }


def test_protocol(root: Path):
    data = load("crema-d-votes", Place(root), seed=0, options=FEW)
    assert data.modalities == {"sound": Modality("sequence", (64, 65)), "faces": Modality("vector", (6,))}
    assert data.classes == ("anger", "disgust", "fear", "happy", "neutral", "sad")
    assert (len(data.train), len(data.validation), len(data.test)) == (60, 24, 36)
    assert data.train.target.bincount().tolist() == [10] * 6
    assert set(data.train.labels) == {"actor", "sentence", "level"}


def test_no_actor_is_in_two_parts_and_the_seed_draws_them(root: Path):
    data = load_crema_d_votes(Place(root), seed=0, **FEW)
    people = actors(data)
    assert [len(each) for each in people.values()] == [5, 2, 3]
    assert set.union(*people.values()) == set(range(1001, 1011))
    assert people == actors(load_crema_d_votes(Place(root), seed=0, **FEW))
    assert people["test"] != actors(load_crema_d_votes(Place(root), seed=1, **FEW))["test"]


def test_fewer_to_learn_from_change_nothing_else(root: Path):
    whole, few, fewer = (
        actors(load_crema_d_votes(Place(root), seed=3, actors=count, **FEW)) for count in (None, 2, 1)
    )
    assert [len(each["train"]) for each in (whole, few, fewer)] == [5, 2, 1]
    assert fewer["train"] < few["train"] < whole["train"]
    for part in ("validation", "test"):
        assert whole[part] == few[part] == fewer[part]


def test_sounds_and_votes_are_of_the_same_clip(root: Path, arrays: Arrays):
    data = load_crema_d_votes(Place(root), seed=0, **FEW)
    sounds, votes = arrays
    batch = data.test.everything()
    for row, place in enumerate(data.split.test.tolist()):
        name = data.names[place]
        assert name == sounds["name"][place]
        given = votes["votes"][votes["name"].tolist().index(name), 1]
        faces = data.in_units("faces", batch.inputs["faces"])[row]
        torch.testing.assert_close(faces, torch.tensor(given / given.sum()).float(), atol=1e-5, rtol=0)
        sound = data.in_units("sound", batch.inputs["sound"])[row]
        torch.testing.assert_close(
            sound, torch.tensor(sounds["logmel"][place] * (7 / 255) - 2).float(), atol=1e-4, rtol=0
        )
        assert name.split("_")[2] == ("ANG", "DIS", "FEA", "HAP", "NEU", "SAD")[batch.target[row]]


def test_a_clip_without_a_sound_is_left_out_by_name(tmp_path: Path, arrays: Arrays):
    sounds, votes = arrays
    sounds["logmel"][7] = 73
    write_votes(tmp_path, sounds, votes)
    data = load_crema_d_votes(Place(tmp_path), **FEW)
    name = str(sounds["name"][7])
    assert data.left_out == {name: "has no sound"}
    assert name not in data.names
    assert sum(len(part) for part in (data.train, data.validation, data.test)) == 119


def test_votes_by_what_the_raters_were_given(root: Path, arrays: Arrays):
    sounds, votes = arrays
    wanted = sounds["name"][[5, 2]].tolist()
    rows = [votes["name"].tolist().index(name) for name in wanted]
    assert np.array_equal(read_votes(Place(root), wanted), votes["votes"][rows])


@pytest.mark.parametrize(
    "options",
    [
        {"validation": 4, "test": 6},
        {"validation": -1, "test": 3},
        {"validation": 2, "test": 0},
        {"actors": 6, **FEW},
        {"actors": 0, **FEW},
    ],
)
def test_impossible_splits(root: Path, options: dict[str, int]):
    said = {"actors": None, **options}
    words = r"`actors` \(={actors}\), `validation` \(={validation}\) and `test` \(={test}\) must share out 10 actors"
    with pytest.raises(UserError, match=words.format(**said)):
        load_crema_d_votes(Place(root), **options)


def test_nothing_there(tmp_path: Path):
    with pytest.raises(UserError, match=r"No 'crema_d_logmel64.npz' in .*finishedResponses.csv.*--root"):
        load_crema_d_votes(Place(tmp_path))


@pytest.mark.parametrize("name", [SOUNDS, VOTES])
def test_one_file_is_missing(root: Path, name: str):
    (root / name).unlink()
    with pytest.raises(UserError, match=rf"No file at '.*{name}'. Expected .*CREMA-D"):
        load_crema_d_votes(Place(root), **FEW)


def test_a_clip_without_votes(tmp_path: Path, arrays: Arrays):
    sounds, votes = arrays
    name = str(votes["name"][4])
    write_votes(tmp_path, sounds, {key: np.delete(values, 4, axis=0) for key, values in votes.items()})
    with pytest.raises(
        UserError, match=rf"must hold votes on every clip that has a sound; it lacks {name}\. Data: CREMA-D"
    ):
        load_crema_d_votes(Place(tmp_path), **FEW)
    assert [finding for finding in check_crema_d_votes(Place(tmp_path)) if not finding.good][-1].found == name


def test_a_clip_that_nobody_voted_on(tmp_path: Path, arrays: Arrays):
    sounds, votes = arrays
    votes["votes"][3, 1] = 0
    write_votes(tmp_path, sounds, votes)
    with pytest.raises(
        UserError, match=rf"at least one vote on each clip, .*; there is none on {votes['name'][3]}\."
    ):
        load_crema_d_votes(Place(tmp_path), **FEW)


def test_a_name_that_says_no_emotion(tmp_path: Path, arrays: Arrays):
    sounds, votes = arrays
    for each in (sounds, votes):
        each["name"][each["name"] == "1001_DFA_ANG_XX"] = "1001_DFA_JOY_XX"
    write_votes(tmp_path, sounds, votes)
    with pytest.raises(UserError, match="the name '1001_DFA_JOY_XX' does not say actor"):
        load_crema_d_votes(Place(tmp_path), **FEW)


def test_wrong_arrays(tmp_path: Path, arrays: Arrays):
    sounds, votes = arrays
    write_votes(tmp_path, sounds, {**votes, "votes": votes["votes"][:, :2]})
    with pytest.raises(UserError, match=r"array `votes` has shape \(121, 2, 6\), not \(n, 3, 6\)"):
        load_crema_d_votes(Place(tmp_path), **FEW)


def test_check(root: Path):
    found = check("crema-d-votes", Place(root), options={})
    assert [(finding.found, finding.good) for finding in found[1:]] == [
        ("120", False),
        ("10", False),
        ("121", False),
        ("none", True),
    ]


def test_real_files():
    place = Place(real_data("crema_d"))
    assert all(finding.good for finding in check_crema_d_votes(place))
    data = load_crema_d_votes(place, actors=8, validation=4)
    assert [len(each) for each in actors(data).values()] == [8, 4, 18]
    assert data.left_out == {"1076_MTI_SAD_XX": "has no sound"}
    names = [data.names[position] for position in data.split.test]
    votes = read_votes(place, names)
    right = [(given.argmax(1) == data.test.target.numpy()).mean() for given in votes.transpose(1, 0, 2)]
    assert right == pytest.approx([0.455, 0.690, 0.748], abs=0.06)
