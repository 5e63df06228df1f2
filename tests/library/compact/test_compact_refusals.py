"""compact: what it refuses, and what it says."""

import pytest
import torch
from torch import nn

import maskfusion as mf
from tests.support.compacting import masked


class Own(nn.ReLU):
    """A layer that is not known."""


def hooked() -> nn.Module:
    """A layer that does more than its class says."""
    layer = nn.Linear(8, 2)
    layer.register_forward_pre_hook(lambda _, args: args)
    return layer


def patched() -> nn.Module:
    """A layer whose forward was replaced."""
    layer = nn.ReLU()
    layer.forward = torch.sigmoid
    return nn.Sequential(nn.Sequential(layer), nn.Linear(8, 2))


SEQ = nn.Sequential
LAST = {"channel_dim": -1}
REFUSED = {
    "no reader": ({}, SEQ(nn.ReLU()), ValueError, "`consumer` (Sequential) must have an nn.Linear or"),
    "on the inputs": (
        {"side": "input"},
        nn.Linear(8, 2),
        ValueError,
        "`mask` (side='input') must be on the output",
    ),
    "other dimension": ({"channel_dim": 2}, nn.Linear(8, 2), ValueError, "`mask` (channel_dim=2) must have"),
    "always random": (
        {"gate": mf.random_gate(0.5, always=True)},
        nn.Linear(8, 2),
        ValueError,
        "`mask` must have a gate",
    ),
    "layer norm": (
        {},
        SEQ(nn.LayerNorm(8), nn.Linear(8, 2)),
        TypeError,
        "`consumer.0` (LayerNorm) must be an nn.Linear",
    ),
    "subclass": (
        {},
        SEQ(SEQ(Own()), nn.Linear(8, 2)),
        TypeError,
        "`consumer.0.0` (Own) must be an nn.Linear",
    ),
    "hooks": ({}, SEQ(nn.ReLU(), hooked()), ValueError, "`consumer.1` (Linear) must have no hooks"),
    "replaced": ({}, patched(), ValueError, "`consumer.0.0` (ReLU) must have no hooks"),
    "groups": (
        {},
        nn.Conv2d(8, 4, 1, groups=2),
        ValueError,
        "`consumer` (Conv2d) must have `groups` 1, not 2",
    ),
    "width": (
        {},
        nn.Conv2d(9, 4, 1),
        ValueError,
        "`consumer` (Conv2d) with 9 inputs must have 8, as the mask.",
    ),
    "width of norm": (
        {},
        SEQ(nn.BatchNorm1d(4)),
        ValueError,
        "`consumer.0` (BatchNorm1d) with 4 inputs must have 8",
    ),
    "width of run": (
        *({}, SEQ(nn.Flatten(), nn.Linear(12, 4)), ValueError),
        "`consumer.1` (Linear) with 12 inputs must have a multiple of the mask's 8 channels.",
    ),
    "maps of tokens": (
        LAST,
        nn.Conv1d(8, 4, 1),
        ValueError,
        "`consumer` (Conv1d) must read channels along dimension 1",
    ),
    "pooled tokens": (
        LAST,
        SEQ(nn.MaxPool1d(2)),
        ValueError,
        "`consumer.0` (MaxPool1d) must read channels along",
    ),
    "norm of flat maps": (
        {},
        SEQ(nn.Flatten(), nn.BatchNorm2d(8)),
        ValueError,
        "`consumer.1` (BatchNorm2d) must read",
    ),
    "flattened batch": (
        {},
        SEQ(nn.Flatten(0)),
        ValueError,
        "`consumer.0` (Flatten) must flatten all but the batch",
    ),
    "flattened tokens": (
        LAST,
        SEQ(nn.Flatten(2)),
        ValueError,
        "`consumer.0` (Flatten) must flatten all but the batch",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused(case: str) -> None:
    settings, consumer, error, text = REFUSED[case]
    with pytest.raises(error) as caught:
        mf.compact(masked(**settings), consumer)
    assert str(caught.value).startswith(text)
    assert "\n" not in str(caught.value)


@pytest.mark.unchecked
def test_no_modules() -> None:
    with pytest.raises(TypeError, match=r"`model` \(=None\) must be a module."):
        mf.compact(None, nn.Linear(8, 2))
    with pytest.raises(TypeError, match=r"`consumer` \(=<built-in method relu.*\) must be a module."):
        mf.compact(masked(), torch.relu)


@pytest.mark.parametrize(
    ("settings", "consumer", "shape", "text"),
    [
        (
            {},
            nn.Linear(8, 2),
            (4, 7),
            r"`fused features` of shape \(4, 7\) must have at least 2 dimensions and 8 channels",
        ),
        ({}, nn.Linear(8, 2), (4, 8, 8), r"`fused features` of shape \(4, 8, 8\) must have 2 dimensions"),
        (LAST, SEQ(nn.BatchNorm1d(8), nn.Linear(8, 2)), (4, 8, 8), "must have 2 dimensions"),
    ],
)
def test_features_that_do_not_fit(
    settings: dict, consumer: nn.Module, shape: tuple[int, ...], text: str
) -> None:
    small = mf.compact(masked(**settings), consumer).eval()
    with pytest.raises(ValueError, match=text):
        small(torch.randn(shape))
