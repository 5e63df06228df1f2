"""Places whose channels are along different dimensions: each is said, and none stands for all."""

import copy
import re

import pytest
import torch
from torch import Tensor, nn

import maskfusion as mf
from tests.support.attaching import AT, Late, batch
from tests.support.helpers import set_weight, through_file


class Recurrent(Late):
    """The last state of text is (layers, batch, channels), audio is (batch, channels)."""

    def __init__(self) -> None:
        super().__init__()
        self.text = nn.GRU(5, 4, batch_first=True)

    def forward(self, text: Tensor, audio: Tensor) -> Tensor:
        return self.head(torch.cat([self.audio(audio), self.text(text[:, None])[1][-1]], 1))


OPEN = [0.1, 0.0, 0.1, 0.0, 0.1, 0.0]


def masked() -> tuple[Recurrent, mf.ComplementaryMask]:
    model = Recurrent()
    return model, set_weight(mf.attach(model, AT, batch(), entry={"text": 1}), OPEN)


def test_the_mask_says_the_dimension_of_each_place() -> None:
    model, mask = masked()
    assert not hasattr(mask, "channel_dim")
    for each in (mask, copy.deepcopy(mask), through_file(model).complementary_mask):
        assert each.extra_repr().splitlines() == [
            "threshold=0.05, side='output'",
            "modality  kept  on",
            "text      2/4   output of text, entry 1 (channel_dim=-1)",
            "audio     1/2   output of audio (channel_dim=1)",
        ]
    alike = mf.attach(Late(), AT, batch())
    assert alike.channel_dim == 1
    assert alike.extra_repr().startswith("threshold=0.05, side='output', channel_dim=1\n")


def test_what_fits_on_one_line_is_no_table() -> None:
    model = nn.Sequential(nn.Linear(4, 4))
    mask = mf.attach(model, "0", channels={"a": 2, "b": 2}, channel_dim=1)
    line = "on output of 0, threshold=0.05, side='output', channel_dim=1, kept=2/2 a, 2/2 b"
    assert repr(mask) == f"AttachedMask({line})"


def test_every_layer_of_a_modality_has_a_line() -> None:
    model = nn.ModuleDict(
        {name: nn.Linear(4, 4) for name in ("image_first", "image_second", "audio_encoder")}
    )
    at = {"image": ["image_first", "image_second"], "audio": "audio_encoder"}
    mask = mf.attach(model, at, channels={"image": [4, 4], "audio": 4}, channel_dim=-1)
    assert mask.extra_repr().splitlines()[2:] == [
        "image     8/8   output of image_first",
        "                output of image_second",
        "audio     4/4   output of audio_encoder",
    ]
    assert mask.to("meta").extra_repr().splitlines()[-1] == "audio           output of audio_encoder"


def test_features_of_a_modality_are_cut_along_its_own_dimension() -> None:
    _, mask = masked()
    text, audio, maps = torch.ones(1, 6, 4), torch.ones(6, 2), torch.ones(6, 2, 3)
    assert mask.complementary(text, "text")[0, 0].tolist() == [1, 0, 1, 0]
    assert mask.contradictory(text, "text")[0, 0].tolist() == [0, 1, 0, 1]
    assert mask.complementary(audio, "audio")[0].tolist() == [1, 0]
    assert mask.contradictory(maps, "audio")[0].tolist() == [[0] * 3, [1] * 3]
    assert torch.equal(mf.attach(Late(), AT, batch()).complementary(audio, "audio"), audio)


@pytest.mark.unchecked
def test_fused_features_are_cut_where_one_dimension_is_that_of_all() -> None:
    _, mask = masked()
    fused = torch.arange(12.0).view(2, 6)
    assert mask.complementary(fused)[0].tolist() == [0, 0, 2, 0, 4, 0]
    assert mask.exchange(fused)[0].tolist() == [0, 7, 2, 9, 4, 11]
    assert {name: part.shape[1] for name, part in mask.split(fused).items()} == {"text": 4, "audio": 2}
    said = (
        "`x` of shape (2, 6, 6) must have its channels along one dimension; here they are along -1 in the output of text, entry 1 and along 1 "
        "in the output of audio. Give the features of one modality, with `modality=`, or cut them with `kept` and `channels`."
    )
    for cut in (mask.complementary, mask.contradictory, mask.exchange, mask.split):
        with pytest.raises(ValueError, match=re.escape(said)):
            cut(torch.ones(2, 6, 6))
    with pytest.raises(TypeError, match="`x` must be a tensor, got int"):
        mask.split(3)
    with pytest.raises(ValueError, match=r"`x` of shape \(\) must have at least 2 dimensions"):
        mask.split(torch.tensor(1.0))


def test_nothing_else_asks_for_one_dimension() -> None:
    model, mask = masked()
    x = dict(zip(AT, batch(), strict=True))
    torch.testing.assert_close(mf.total_penalty(model), torch.tensor(OPEN).sum())
    tracker = mf.ComplementarityTracker(model)
    tracker.update()
    assert tracker.kept() == {"text": 50.0, "audio": 50.0}
    assert mf.check(model, x).problems == ()
    small = mf.compact(model.eval(), x)
    torch.testing.assert_close(small(**x), model(**x))
    with pytest.raises(
        ValueError,
        match=r"`mask` \(on output of text, entry 1 \(channel_dim=-1\), .*\) must have its channels along one dimension at all of its places\. "
        r"Give the network: `compact\(model, example\)`\.",
    ):
        mf.compact(mask, nn.Linear(6, 2))
