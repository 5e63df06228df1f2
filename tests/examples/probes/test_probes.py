"""Probes: a planted label is found where it lies, chance and control by hand, folds that do not leak, refusals."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from examples.data.contract import UNSCORED, MultimodalData, split_and_standardise
from examples.data.splits import Split
from examples.errors import UserError
from examples.methods import create
from examples.nets.model import build_model
from examples.probes.experiment import probe_run
from examples.probes.features import halves, parts_of, read
from examples.probes.groups import groups_of
from examples.probes.probe import accuracy, chance, common_enough, control_labels, folds_of, wilson
from examples.probes.records import Probe
from examples.probes.settings import Settings
from examples.recipes import Network, Recipe, Row
from examples.run.folder import RunFolder
from examples.run.trained import Trained
from examples.typed import build

SMALL = Network(width=8, residual_width=4, residual_blocks=1, latent=3, codes=5, head_width=4, head_hidden=8)


class Through(nn.Module):
    def forward(self, values: Tensor) -> Tensor:
        return values[:, :, None, None]


def planted(samples: int = 120, *, sides: bool = True) -> MultimodalData:
    """The speaker lies in the last two features of b, the target in the first of a, the rest is noise."""
    random = torch.Generator().manual_seed(0)
    speaker, target = torch.arange(samples) % 3, torch.arange(samples) // 3 % 2
    values = {name: torch.randn(samples, 3, generator=random) for name in "ab"}
    values["b"][:, 1] += 6 * (speaker == 1)
    values["b"][:, 2] += 6 * (speaker == 2)
    values["a"][:, 0] += 6 * target
    order = np.arange(samples)
    return split_and_standardise(
        "planted",
        values,
        target,
        kinds=dict.fromkeys("ab", "vector"),
        classes=("no", "yes"),
        split=Split(order[: samples // 4], order[:0], order[samples // 4 :]),
        labels={"speaker": speaker, "room": torch.zeros_like(speaker)} if sides else None,
    )


def trained(data: MultimodalData, kept: str, row: str = "mask") -> Trained:
    """A network whose features are its inputs, with the channels open that `kept` says."""
    setting = Row("complementary_mask", quantise=False) if kept else Row("concatenation", quantise=False)
    method = create(setting.method, setting.arguments)
    model = build_model(data, SMALL, quantise=False)
    method.configure(model)
    model.encoders = nn.ModuleDict({name: Through() for name in data.modalities})
    if model.mask is not None:
        model.mask.weight.data = torch.tensor([float(channel) for channel in kept])
    recipe = Recipe(data=data.name, comparison={row: setting}, network=SMALL)
    return Trained(RunFolder(Path()), row, 0, recipe, {}, data, method, model.eval(), [], None)


def by_key(probes: list[Probe]) -> dict[tuple[str, str, str], Probe]:
    return {(probe.label, probe.modality, probe.channels): probe for probe in probes}


SPEAKER = Settings(labels=("speaker",))


def test_a_planted_label_is_found_in_its_channels_only():
    found = by_key(probe_run(trained(planted(), "111100"), Settings(labels=("speaker", "target"))))
    assert {key[1] for key in found} == {"all", "a", "b"}
    speaker = found["speaker", "all", "contradictory"]
    assert (speaker.count, speaker.samples, speaker.groups, speaker.classes) == (2, 90, 90, 3)
    assert speaker.accuracy > 95
    assert speaker.low < speaker.accuracy <= speaker.high
    assert found["speaker", "all", "complementary"].accuracy < 55
    assert found["speaker", "b", "contradictory"].accuracy == speaker.accuracy
    assert found["target", "all", "complementary"].accuracy > 95
    assert found["target", "all", "contradictory"].accuracy < 70


def test_empty_parts_have_no_accuracy():
    found = by_key(probe_run(trained(planted(), "111100"), SPEAKER))
    empty = found["speaker", "a", "contradictory"]
    assert (empty.count, empty.accuracy, empty.low, empty.high, empty.control, empty.matched) == (
        0,
        *[None] * 5,
    )
    assert found["speaker", "a", "complementary"].matched is None
    unmasked = by_key(probe_run(trained(planted(), ""), SPEAKER))
    assert unmasked["speaker", "all", "complementary"].accuracy > 95
    assert unmasked["speaker", "all", "contradictory"].accuracy is None


def test_same_width_takes_as_many_channels_as_the_smaller_part():
    network = trained(planted(), "000001")
    found = by_key(probe_run(network, SPEAKER))
    small, large = found["speaker", "all", "complementary"], found["speaker", "all", "contradictory"]
    assert (small.count, large.count, small.matched_count, large.matched_count) == (1, 5, 1, 1)
    assert small.matched == small.accuracy
    known = read(network.model, network.data, "test")
    values = np.concatenate(list(known.features.values()), axis=1)
    labels = known.labels["speaker"]
    folds, random = folds_of(labels, known.groups, 5, seed=0), np.random.default_rng(0)
    single = [accuracy(values[:, random.choice(5, 1, replace=False)], labels, folds, 1.0) for _ in range(3)]
    assert large.matched == pytest.approx(np.mean(single))
    assert large.matched < large.accuracy


def test_features_are_pooled_before_the_mask():
    network = trained(planted(), "000000")
    known = read(network.model, network.data, "all")
    expected = torch.cat(
        [network.data.train.everything().inputs["b"], network.data.test.everything().inputs["b"]]
    )
    np.testing.assert_allclose(known.features["b"], expected.double().numpy(), rtol=1e-6)
    assert [len(samples) for samples, _ in parts_of(network.data, "all")] == [30, 90]
    assert len(np.unique(known.groups)) == 120
    assert halves(network.model, "b")["contradictory"].tolist() == [True] * 3


def test_chance_by_hand():
    labels = np.array([0, 0, 0, 1, 1, 2])
    folds = [(np.array([0, 1, 3]), np.array([2, 4, 5])), (np.array([2, 4, 5, 3]), np.array([0, 1]))]
    assert chance(labels, folds) == pytest.approx(100 * (1 + 0) / 5)  # the first fold says 0, the second 1


def test_control_deals_the_labels_of_the_types_out_anew():
    types = np.repeat(np.arange(40), 3)
    labels = np.repeat(np.arange(40) % 4, 3)
    made = control_labels(types, labels, np.random.default_rng(0))
    assert all(len(np.unique(made[types == kind])) == 1 for kind in range(40))
    assert np.bincount(made).tolist() == np.bincount(labels).tolist()
    assert (made != labels).mean() > 0.5


def test_control_is_learned_by_heart_where_the_features_tell_the_types():
    types = np.tile(np.arange(12), 20)
    labels = types % 3
    drawn = control_labels(types, labels, np.random.default_rng(1))
    folds = folds_of(labels, np.arange(240), 5, seed=0)
    assert accuracy(np.eye(12)[types], drawn, folds, 1.0) == 100
    noise = np.random.default_rng(0).normal(size=(240, 12))
    assert accuracy(noise, drawn, folds, 1.0) < 50


def test_wilson_by_hand():
    low, high = wilson(100.0, 10)
    assert (low, high) == (pytest.approx(100 / (1 + 1.959964**2 / 10), rel=1e-6), pytest.approx(100))
    assert wilson(50.0, 100) == (pytest.approx(40.383, abs=1e-3), pytest.approx(59.617, abs=1e-3))


def test_folds_ask_about_everything_once_and_do_not_leak():
    random = np.random.default_rng(0)
    groups = random.integers(0, 30, size=300)
    labels = groups % 3  # a leak would give the label away
    folds = folds_of(labels, groups, 5, seed=0)
    assert sorted(np.concatenate([asked for _, asked in folds]).tolist()) == list(range(300))
    for learned, asked in folds:
        assert not set(groups[learned]) & set(groups[asked])
        assert set(labels[asked]) == {0, 1, 2}
    one_hot = np.eye(30)[groups]
    leaking = folds_of(labels, np.arange(300), 5, seed=0)
    assert accuracy(one_hot, labels, leaking, 1.0) > 90
    assert accuracy(one_hot, labels, folds, 1.0) < 60


@pytest.mark.parametrize(
    ("names", "labels", "expected"),
    [
        (["mnist 1, fsdd 3_theo_4", "mnist 2, fsdd 3_theo_4", "mnist 9, fsdd 0_a_1"], {}, [0, 0, 1]),
        (["mnist 1, svhn 5", "mnist 2, svhn 6", "mnist 2, svhn 5", "mnist 3, svhn 7"], {}, [0, 0, 0, 1]),
        (["007, row 0, column 1", "008, row 0, column 1"], {}, [0, 1]),
        (["a", "b", "c"], {"image": [5, 5, 2]}, [1, 1, 0]),
        ([], {}, [0, 1, 2]),
    ],
)
def test_groups(names: list[str], labels: dict[str, list[int]], expected: list[int]):
    data = planted()
    count = len(expected)
    some = data.train.part(torch.arange(count))
    some.labels = {name: torch.tensor(values) for name, values in labels.items()}
    found = groups_of(replace(data, names=tuple(names)), some, np.arange(count))
    assert (found[:, None] == found).tolist() == (np.array(expected)[:, None] == expected).tolist()


def test_unknown_and_rare_labels_are_left_out():
    labels = np.array([0, 0, 1, 1, 1, 2, UNSCORED, -1])
    groups = np.array([0, 1, 2, 2, 3, 4, 5, 6])
    assert common_enough(labels, groups, 2).tolist() == [True] * 5 + [False] * 3
    assert common_enough(labels, groups, 3).sum() == 0


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            Settings(labels=("room",)),
            r"`part` \(='test'\) has one value of 'room' only.*'train': 1, 'test': 1, 'all': 1",
        ),
        (
            Settings(labels=("actor",)),
            r"`labels` has unknown names \['actor'\]; 'planted' has \['speaker', 'room', 'target'\]",
        ),
        (Settings(part="dev"), r"`part` \(='dev'\) must be one of \['train', 'validation', 'test', 'all'\]"),
        (Settings(part="validation"), r"`part` \(='validation'\) is empty: 'planted' is split without one"),
        (Settings(labels=("speaker",), folds=31), r"`folds` \(=31\) must be at most the number of groups"),
    ],
)
def test_refusals(settings: Settings, message: str):
    with pytest.raises(UserError, match=message):
        probe_run(trained(planted(), "111100"), settings)


def test_data_that_cannot_be_probed():
    with pytest.raises(UserError, match=r"'planted'\) must have a side label"):
        probe_run(trained(planted(sides=False), "111100"), Settings())
    with pytest.raises(UserError, match="must have one class per sample; its task is segmentation"):
        probe_run(trained(replace(planted(), task="segmentation"), "111100"), Settings())
    with pytest.raises(UserError, match=r"`folds` \(=1\) must be at least 2"):
        build(Settings, {"folds": 1})
