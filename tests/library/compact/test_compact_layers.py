"""compact: every layer that may read the channels, or stand before the one that does."""

import pytest
import torch
from torch import nn

import maskfusion as mf
from tests.support.compacting import CONVS, NORMS, SHAPES, expect_equal, masked, norm


@pytest.mark.parametrize("bias", [True, False])
def test_linear_of_vectors(bias: bool) -> None:
    small = expect_equal(masked(), nn.Linear(8, 6, bias=bias), *SHAPES[0])
    assert small[1].weight.shape == (6, 3)
    assert (small[1].bias is None) == (not bias)


@pytest.mark.parametrize("rank", [2, 3, 4])
def test_linear_of_tokens(rank: int) -> None:
    shape = (2, 3, 4)[: rank - 1]
    small = expect_equal(
        masked(channel_dim=-1), nn.Sequential(nn.GELU(), nn.Linear(8, 6), nn.Softmax(-1)), *shape, 8
    )
    assert small[2].in_features == 3


@pytest.mark.parametrize("rank", CONVS)
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"stride": 2, "padding": 1, "bias": False},
        {"padding": "same", "dilation": 2},
        {"padding": "valid"},
        {"padding": 1, "padding_mode": "replicate"},
        {"padding": 1, "padding_mode": "circular", "bias": False},
    ],
    ids=str,
)
def test_convolutions(rank: int, settings: dict) -> None:
    convolution = CONVS[rank](8, 4, 3, **settings)
    small = expect_equal(masked(), convolution, *SHAPES[rank])
    assert small[1].in_channels == 3
    behind = nn.Sequential(norm(NORMS[rank](8)), nn.ReLU(), convolution, nn.Softmax(1))
    small = expect_equal(masked(), behind, *SHAPES[rank])
    pads = settings.get("padding") in {1, "same"} and "padding_mode" not in settings
    ones = [layer for layer in small if type(layer).__name__ == "AppendOnes"]
    assert len(ones) == pads, "a constant beside zeros in the padding takes a channel, else a bias"
    assert small[3 + pads].in_channels == 3 + pads


ACTIVATIONS = [
    *(
        nn.ReLU(),
        nn.ReLU(inplace=True),
        nn.ReLU6(),
        nn.RReLU(),
        nn.LeakyReLU(),
        nn.ELU(),
        nn.SELU(),
        nn.CELU(),
    ),
    *(
        nn.GELU(),
        nn.SiLU(),
        nn.Mish(),
        nn.Softplus(),
        nn.Sigmoid(),
        nn.LogSigmoid(),
        nn.Tanh(),
        nn.Hardtanh(0.2, 1),
    ),
    *(nn.Hardsigmoid(), nn.Hardswish(), nn.Hardshrink(), nn.Softshrink(), nn.Tanhshrink(), nn.Softsign()),
    *(nn.Threshold(0.1, 20.0), nn.PReLU(), nn.PReLU(8), nn.Identity(), nn.Dropout(), nn.AlphaDropout()),
    nn.FeatureAlphaDropout(),
]


@pytest.mark.parametrize("layer", ACTIVATIONS, ids=repr)
def test_activations(layer: nn.Module) -> None:
    if isinstance(layer, nn.PReLU):
        nn.init.normal_(layer.weight)
    small = expect_equal(masked(), nn.Sequential(norm(nn.BatchNorm1d(8)), layer, nn.Linear(8, 2)), *SHAPES[0])
    assert repr(small[2]) == repr(layer).replace("num_parameters=8", "num_parameters=3")
    expect_equal(masked(), nn.Sequential(layer, nn.Conv2d(8, 2, 3, padding=1)), *SHAPES[2])


@pytest.mark.parametrize("rank", NORMS)
@pytest.mark.parametrize("settings", [{}, {"affine": False}, {"track_running_stats": False}], ids=str)
def test_norms(rank: int, settings: dict) -> None:
    layer = norm(NORMS[rank](8, **settings))
    reader = CONVS[rank](8, 2, 1) if rank else nn.Linear(8, 2)
    small = expect_equal(masked(), nn.Sequential(layer, nn.Sigmoid(), reader), *SHAPES[rank])
    assert small[1].num_features == 3
    assert type(small[1]) is type(layer)


def test_norm_over_processes() -> None:
    expect_equal(masked(), nn.Sequential(norm(nn.SyncBatchNorm(8)), nn.Conv2d(8, 2, 1)), *SHAPES[2])


def test_norm_and_prelu_of_vectors_whose_channels_are_last() -> None:
    head = nn.Sequential(norm(nn.BatchNorm1d(8)), nn.PReLU(8), nn.Linear(8, 2))
    expect_equal(masked(channel_dim=-1), head, *SHAPES[0])


POOLS = [
    *(nn.MaxPool2d(2), nn.MaxPool2d(3, 2, padding=1), nn.AvgPool2d(2), nn.AvgPool2d(2, ceil_mode=True)),
    *(
        nn.AvgPool2d(3, padding=1, count_include_pad=False),
        nn.AdaptiveAvgPool2d(2),
        nn.AdaptiveMaxPool2d((1, 2)),
    ),
    *(nn.Flatten(2, 3), nn.Dropout2d()),
]


@pytest.mark.parametrize("pool", POOLS, ids=[f"{i} {pool}" for i, pool in enumerate(POOLS)])
def test_pools(pool: nn.Module) -> None:
    before = [norm(nn.BatchNorm2d(8)), nn.ELU(), pool]
    count = nn.Sequential(*before, nn.Flatten()).eval()(torch.zeros(SHAPES[2])).shape[1]
    small = expect_equal(masked(), nn.Sequential(*before, nn.Flatten(), nn.Linear(count, 3)), *SHAPES[2])
    assert small[-1].in_features == count * 3 // 8


@pytest.mark.parametrize("pool", [nn.AvgPool2d(3, padding=1), nn.AvgPool2d(2, divisor_override=3)], ids=repr)
def test_averages_with_zeros_around(pool: nn.Module) -> None:
    expect_equal(masked(), nn.Sequential(nn.ReLU(), pool, nn.Conv2d(8, 3, 1)), *SHAPES[2])
    constants = nn.Sequential(nn.Sigmoid(), pool, nn.Conv2d(8, 3, 1))
    with pytest.raises(ValueError, match=r"`consumer.1` \(AvgPool2d\) must not average closed channels"):
        mf.compact(masked(), constants)
    expect_equal(masked([1.0] * 8), constants, *SHAPES[2])


@pytest.mark.parametrize("channel_dim", [1, -1])
def test_flatten(channel_dim: int) -> None:
    shape = (4, 8, 5) if channel_dim == 1 else (4, 5, 8)
    head = nn.Sequential(
        nn.Sigmoid(), nn.Flatten(), norm(nn.BatchNorm1d(40)), nn.GELU(), nn.PReLU(40), nn.Linear(40, 3)
    )
    small = expect_equal(masked(channel_dim=channel_dim), head, *shape)
    assert [small[i].weight.shape[-1] for i in (3, 5, 6)] == [15, 15, 15]


def test_flatten_that_leaves_channels_alone() -> None:
    expect_equal(masked(), nn.Sequential(nn.Flatten(2), nn.Conv1d(8, 3, 3, padding=1)), *SHAPES[2])
    expect_equal(masked(channel_dim=-1), nn.Sequential(nn.Flatten(1, -2), nn.Linear(8, 3)), 2, 3, 4, 8)


def test_nested_and_named_layers() -> None:
    relu = nn.ReLU()
    named = nn.Sequential()
    named.add_module("norm", norm(nn.BatchNorm2d(8)))
    named.add_module("act", relu)
    head = nn.Sequential(
        nn.Sequential(named, nn.Dropout2d(), relu, nn.Conv2d(8, 4, 3)),
        relu,
        nn.Sequential(nn.Conv2d(4, 2, 1)),
    )
    small = expect_equal(masked(), head, *SHAPES[2])
    assert [type(layer).__name__ for layer in small] == [
        *("SelectChannels", "BatchNorm2d", "ReLU", "Dropout2d", "ReLU", "Conv2d", "ReLU", "Sequential")
    ]


def test_layers_behind_the_reader_stay_tied() -> None:
    shared = nn.Linear(4, 4)
    small = expect_equal(masked(), nn.Sequential(nn.Linear(8, 4), shared, nn.Tanh(), shared), *SHAPES[0])
    assert small[2] is small[4]
