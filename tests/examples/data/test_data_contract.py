"""The data contract: batches, parts, standardisation, frames, and data sets by name."""

import numpy as np
import pytest
import torch

from examples.data import load
from examples.data.batches import Draw
from examples.data.columns import OneFrame, Standardised, Whole, statistics
from examples.data.contract import UNSCORED, Batch, Modality, Samples, split_and_standardise
from examples.data.place import Place
from examples.data.splits import Split
from examples.errors import UserError


def tiny(samples: int = 10) -> Samples:
    values = torch.arange(samples, dtype=torch.float)
    return Samples({"a": values[:, None], "b": values[:, None, None, None] * 2}, torch.arange(samples))


def test_a_batch_is_a_mapping_and_a_target():
    inputs, target = tiny()[Draw([3, 1], None)]
    assert inputs["a"].tolist() == [[3], [1]]
    assert inputs["b"].flatten().tolist() == [6, 2]
    assert target.tolist() == [3, 1]


def test_samples_must_match_their_targets():
    with pytest.raises(
        ValueError, match=r"`inputs` \(samples by modality: \{'a': 2\}\) must match 3 targets"
    ):
        Samples({"a": torch.zeros(2, 1)}, torch.zeros(3))


def test_shape_must_fit_the_kind():
    with pytest.raises(
        ValueError, match=r"`shape` \(=\(3, 4\)\) of a modality of kind 'image' must have 3 axes"
    ):
        Modality("image", (3, 4))


def test_standardised_by_the_training_part_only():
    vector = torch.tensor([[0.0, 5.0], [2.0, 5.0], [100.0, 7.0]])
    image = torch.stack([torch.full((1, 2, 2), value) for value in (0.0, 2.0, 4.0)])
    data = split_and_standardise(
        "toy",
        {"v": vector, "i": image},
        torch.tensor([0, 1, 0]),
        kinds={"v": "vector", "i": "image"},
        classes=("x", "y"),
        split=Split(*(np.array(part, dtype=np.int64) for part in ([0, 1], [], [2]))),
    )
    root = 2**0.5
    train, test = data.train.everything().inputs, data.test.everything().inputs
    torch.testing.assert_close(train["v"], torch.tensor([[-1 / root, 0], [1 / root, 0]]))
    torch.testing.assert_close(test["v"], torch.tensor([[99 / root, 2.0]]))
    assert train["i"].mean().abs() < 1e-6
    torch.testing.assert_close(train["i"].std(), torch.tensor(1.0))
    assert data.modalities == {"v": Modality("vector", (2,)), "i": Modality("image", (1, 2, 2))}
    assert data.validation is None


def test_select_keeps_the_splits():
    data = load("mfeat", Place(), seed=0, options={})
    alone = data.select(["kar"])
    assert list(alone.modalities) == ["kar"]
    assert torch.equal(alone.test.target, data.test.target)
    with pytest.raises(UserError, match=r"Unknown modality \['x'\] of 'mfeat'; it has \['pix', 'fou'"):
        data.select(["kar", "x"])


def frames() -> np.ndarray:
    """Five clips of up to four frames; the value of a pixel is clip.frame."""
    values = np.arange(5)[:, None] + np.arange(4) / 10
    return np.broadcast_to(values[:, :, None, None, None], (5, 4, 1, 2, 2)).astype("float32")


def parts(standardise: bool = True, task: str = "classification") -> tuple[Samples, Samples]:
    column = OneFrame(frames(), np.array([4, 4, 3, 1, 4]))
    target = torch.zeros(5, dtype=torch.int16) if task == "classification" else torch.zeros(5, 2, 2).short()
    data = split_and_standardise(
        "toy",
        {"clip": column},
        target,
        kinds={"clip": "image"},
        classes=("x",),
        split=Split(*(np.array(part, dtype=np.int64) for part in ([0, 1, 3], [], [2, 4]))),
        standardise=standardise,
        task=task,
        labels={"speaker": torch.arange(5)},
    )
    return data.train, data.test


def test_the_middle_frame_outside_training():
    train, test = parts(standardise=False)
    assert test.everything().inputs["clip"].mean(dim=(1, 2, 3)).tolist() == pytest.approx([2.1, 4.2])
    assert train.everything().inputs["clip"].mean(dim=(1, 2, 3)).tolist() == pytest.approx([0.2, 1.2, 3.0])
    assert test.labels["speaker"].tolist() == [2, 4]


def test_any_frame_in_training_by_seed_and_epoch():
    train, _ = parts(standardise=False)
    loader = train.loader(3, seed=1)
    seen: set[tuple[int, int]] = set()
    orders = []
    for epoch in range(40):
        loader.sampler.set_epoch(epoch)
        batch: Batch = next(iter(loader))
        values = (batch.inputs["clip"][:, 0, 0, 0] * 10).round().int().tolist()
        orders.append(values)
        seen |= {divmod(value, 10) for value in values}
    assert seen == {(clip, frame) for clip in (0, 1) for frame in range(4)} | {(3, 0)}
    again = train.loader(3, seed=1)
    again.sampler.set_epoch(39)
    assert (next(iter(again)).inputs["clip"][:, 0, 0, 0] * 10).round().int().tolist() == orders[39]


def test_files_are_standardised_when_they_are_read():
    train, test = parts()
    scale = torch.tensor([0.2, 1.2, 3.0]).repeat_interleave(4)  # the middle frames of the training clips
    expected = (2.1 - scale.mean()) / scale.std()
    torch.testing.assert_close(test.everything().inputs["clip"][0], torch.full((1, 2, 2), float(expected)))
    torch.testing.assert_close(train.everything().inputs["clip"].mean(), torch.tensor(0.0), atol=1e-6, rtol=0)


def test_targets_of_every_pixel():
    batch = parts(task="segmentation")[0].everything()
    assert (batch.target.shape, batch.target.dtype) == ((3, 2, 2), torch.int64)
    assert torch.nn.CrossEntropyLoss().ignore_index == UNSCORED


@pytest.mark.parametrize("counts", [[4, 4], [0, 4, 4, 4, 4], [5, 4, 4, 4, 4]])
def test_frames_must_be_there(counts: list[int]):
    with pytest.raises(ValueError, match=r"`frames` must hold 5 numbers from 1 to 4"):
        OneFrame(frames(), np.array(counts))


def test_statistics_in_blocks_are_those_of_everything():
    values = torch.randn(700, 3, 4, dtype=torch.float64).mul(2).add(1e4).float()
    mean, std = statistics(Whole(values), np.arange(10, 700))
    chosen = values[10:].double()
    torch.testing.assert_close(mean, chosen.mean(dim=(0, 2), keepdim=True).float())
    torch.testing.assert_close(std, chosen.std(dim=(0, 2), keepdim=True).float(), rtol=1e-5, atol=0)


def test_statistics_do_not_count_what_is_missing():
    values = torch.randn(700, 3, 4, dtype=torch.float64).mul(2).add(5)
    values[:300, 1], values[600:, 0, 2] = torch.nan, torch.nan
    mean, std = statistics(Whole(values), np.arange(700))
    for channel in range(3):
        there = values[:, channel][~values[:, channel].isnan()]
        torch.testing.assert_close(mean[0, channel, 0], there.mean().float(), rtol=1e-5, atol=0)
        torch.testing.assert_close(std[0, channel, 0], there.std().float(), rtol=1e-5, atol=0)
    values[:, 1] = torch.nan
    mean, std = statistics(Whole(values), np.arange(700))
    assert mean.isnan().flatten().tolist() == [False, True, False]
    taken = Standardised(Whole(values), np.arange(700), mean, std).take(np.array([0]), None)
    assert (taken[0, 1] == 0).all()


@pytest.mark.parametrize("scale", [1e-30, 1e-9, 1.0, 1e20])
def test_any_unit_can_be_standardised_and_constants_stay(scale: float):
    values = torch.randn(300, 2).mul(scale)
    values[:, 1] = 0.1 * scale
    mean, std = statistics(Whole(values), np.arange(300))
    torch.testing.assert_close(
        std[0], torch.tensor([float(values[:, 0].double().std()), 1.0]), rtol=1e-4, atol=0
    )
    torch.testing.assert_close(mean[0, 1], values[0, 1])


def test_unknown_data_set():
    with pytest.raises(
        UserError, match=r"`data` \(='imagenet'\) must be one of \['.*'mfeat', .*'utd-mhad'\]"
    ):
        load("imagenet", Place(), seed=0, options={})


def test_unknown_option():
    with pytest.raises(
        UserError,
        match=r"`data_options` has unknown keys \['label'\]; 'mfeat' knows \['labels', 'validation'\]",
    ):
        load("mfeat", Place(), seed=0, options={"label": 300})
