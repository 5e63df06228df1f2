"""compact: the layers behind a mask made smaller, with the same outputs."""

import copy
import io
import pickle

import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

import maskfusion as mf
from tests.helpers import same_state, set_weight

CHANNELS = {"image": 5, "audio": 3}
OMEGA = [0.2, -0.3, 0.04, 0.1, -0.2, 0.3, 0.0, -0.1]
SHAPES = {0: (4, 8), 1: (4, 8, 9), 2: (4, 8, 6, 5), 3: (3, 8, 4, 5, 6)}
CONVS = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}
NORMS = {0: nn.BatchNorm1d, 1: nn.BatchNorm1d, 2: nn.BatchNorm2d, 3: nn.BatchNorm3d}


def masked(omega: object = OMEGA, **settings) -> mf.ComplementaryMask:
    """A mask of 8 channels, of which three are open."""
    return set_weight(mf.ComplementaryMask(CHANNELS, **settings), omega).eval()


def norm(layer: nn.Module) -> nn.Module:
    """A batch norm as after training: all of its numbers differ, no channel stays zero."""
    count = layer.num_features
    for value in (layer.weight, layer.bias, layer.running_mean):
        if value is not None:
            value.data = torch.randn(count)
    if layer.running_var is not None:
        layer.running_var = torch.rand(count) + 0.5
    return layer


def check(mask: mf.ComplementaryMask, consumer: nn.Module, *shape: int) -> nn.Sequential:
    """Outputs are equal in evaluation, and what went in did not change."""
    consumer.eval()
    before = copy.deepcopy([mask, consumer])
    small = mf.compact(mask, consumer)
    assert same_state(before[0], mask)
    assert same_state(before[1], consumer)
    assert repr(before[1]) == repr(consumer)
    assert not small.training
    theirs = {tensor.data_ptr() for tensor in consumer.state_dict().values()} - {0}
    assert not theirs & {tensor.data_ptr() for tensor in small.state_dict().values()}, "nothing is shared"
    features = torch.randn(shape)
    fused = mask.fusion(features) if mask.fusion else features
    torch.testing.assert_close(small(fused), consumer(mask(features)), rtol=1e-5, atol=1e-5)
    return small


@pytest.mark.parametrize("bias", [True, False])
def test_linear_of_vectors(bias: bool) -> None:
    small = check(masked(), nn.Linear(8, 6, bias=bias), *SHAPES[0])
    assert small[1].weight.shape == (6, 3)
    assert (small[1].bias is None) == (not bias)


@pytest.mark.parametrize("rank", [2, 3, 4])
def test_linear_of_tokens(rank: int) -> None:
    shape = (2, 3, 4)[: rank - 1]
    small = check(
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
    small = check(masked(), convolution, *SHAPES[rank])
    assert small[1].in_channels == 3
    behind = nn.Sequential(norm(NORMS[rank](8)), nn.ReLU(), convolution, nn.Softmax(1))
    small = check(masked(), behind, *SHAPES[rank])
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
    small = check(masked(), nn.Sequential(norm(nn.BatchNorm1d(8)), layer, nn.Linear(8, 2)), *SHAPES[0])
    assert repr(small[2]) == repr(layer).replace("num_parameters=8", "num_parameters=3")
    check(masked(), nn.Sequential(layer, nn.Conv2d(8, 2, 3, padding=1)), *SHAPES[2])


@pytest.mark.parametrize("rank", NORMS)
@pytest.mark.parametrize("settings", [{}, {"affine": False}, {"track_running_stats": False}], ids=str)
def test_norms(rank: int, settings: dict) -> None:
    layer = norm(NORMS[rank](8, **settings))
    reader = CONVS[rank](8, 2, 1) if rank else nn.Linear(8, 2)
    small = check(masked(), nn.Sequential(layer, nn.Sigmoid(), reader), *SHAPES[rank])
    assert small[1].num_features == 3
    assert type(small[1]) is type(layer)


def test_norm_over_processes() -> None:
    check(masked(), nn.Sequential(norm(nn.SyncBatchNorm(8)), nn.Conv2d(8, 2, 1)), *SHAPES[2])


def test_norm_and_prelu_of_vectors_whose_channels_are_last() -> None:
    head = nn.Sequential(norm(nn.BatchNorm1d(8)), nn.PReLU(8), nn.Linear(8, 2))
    check(masked(channel_dim=-1), head, *SHAPES[0])


POOLS = [
    *(nn.MaxPool2d(2), nn.MaxPool2d(3, 2, padding=1), nn.AvgPool2d(2), nn.AvgPool2d(2, ceil_mode=True)),
    *(
        nn.AvgPool2d(3, padding=1, count_include_pad=False),
        nn.AdaptiveAvgPool2d(2),
        nn.AdaptiveMaxPool2d((1, 2)),
    ),
    *(nn.Flatten(2, 3), nn.Dropout2d()),
]


@pytest.mark.parametrize("pool", POOLS, ids=repr)
def test_pools(pool: nn.Module) -> None:
    before = [norm(nn.BatchNorm2d(8)), nn.ELU(), pool]
    count = nn.Sequential(*before, nn.Flatten()).eval()(torch.zeros(SHAPES[2])).shape[1]
    small = check(masked(), nn.Sequential(*before, nn.Flatten(), nn.Linear(count, 3)), *SHAPES[2])
    assert small[-1].in_features == count * 3 // 8


@pytest.mark.parametrize("pool", [nn.AvgPool2d(3, padding=1), nn.AvgPool2d(2, divisor_override=3)], ids=repr)
def test_averages_with_zeros_around(pool: nn.Module) -> None:
    check(masked(), nn.Sequential(nn.ReLU(), pool, nn.Conv2d(8, 3, 1)), *SHAPES[2])
    constants = nn.Sequential(nn.Sigmoid(), pool, nn.Conv2d(8, 3, 1))
    with pytest.raises(ValueError, match=r"`consumer.1` \(AvgPool2d\) must not average closed channels"):
        mf.compact(masked(), constants)
    check(masked([1.0] * 8), constants, *SHAPES[2])


@pytest.mark.parametrize("channel_dim", [1, -1])
def test_flatten(channel_dim: int) -> None:
    shape = (4, 8, 5) if channel_dim == 1 else (4, 5, 8)
    head = nn.Sequential(
        nn.Sigmoid(), nn.Flatten(), norm(nn.BatchNorm1d(40)), nn.GELU(), nn.PReLU(40), nn.Linear(40, 3)
    )
    small = check(masked(channel_dim=channel_dim), head, *shape)
    assert [small[i].weight.shape[-1] for i in (3, 5, 6)] == [15, 15, 15]


def test_flatten_that_leaves_channels_alone() -> None:
    check(masked(), nn.Sequential(nn.Flatten(2), nn.Conv1d(8, 3, 3, padding=1)), *SHAPES[2])
    check(masked(channel_dim=-1), nn.Sequential(nn.Flatten(1, -2), nn.Linear(8, 3)), 2, 3, 4, 8)


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
    small = check(masked(), head, *SHAPES[2])
    assert [type(layer).__name__ for layer in small] == [
        *("SelectChannels", "BatchNorm2d", "ReLU", "Dropout2d", "ReLU", "Conv2d", "ReLU", "Sequential")
    ]


def test_layers_behind_the_reader_stay_tied() -> None:
    shared = nn.Linear(4, 4)
    small = check(masked(), nn.Sequential(nn.Linear(8, 4), shared, nn.Tanh(), shared), *SHAPES[0])
    assert small[2] is small[4]


CASES = {
    "none kept": {"omega": [0.0] * 8},
    "all kept": {"omega": [1.0] * 8},
    "a modality closed": {"omega": [1.0] * 5 + [0.0] * 3},
    "not a number": {"omega": [float("nan")] * 2 + [1.0] * 6},
    "at least one each": {"omega": [-0.1, 0.0, -0.2, -1, -1, -1, 0.01, 0], "min_channels": 1},
    "soft": {"gate": mf.soft_gate},
    "soft, closed": {"gate": mf.soft_gate, "omega": [0.0] * 8},
    "soft, at least one": {"gate": mf.soft_gate, "omega": [0.0] * 8, "min_channels": 1},
    "ternary": {"gate": mf.ternary_gate},
    "random in training": {"gate": mf.random_gate(0.5)},
    "own": {"gate": lambda weight, _, __: (weight > 0) * 2.5},
}


@pytest.mark.parametrize("case", CASES)
def test_gates(case: str) -> None:
    mask = masked(**CASES[case])
    check(mask, nn.Linear(8, 2), *SHAPES[0])
    check(
        mask,
        nn.Sequential(norm(nn.BatchNorm2d(8)), nn.Sigmoid(), nn.MaxPool2d(2), nn.Conv2d(8, 2, 3, padding=1)),
        *SHAPES[2],
    )
    tokens = masked(**CASES[case], channel_dim=-1)
    check(tokens, nn.Linear(8, 2), 2, 5, 8)


@pytest.mark.parametrize(
    ("gate", "omega", "kept"),
    [
        (mf.hard_gate, OMEGA, 3),
        (mf.ternary_gate, OMEGA, 6),
        (mf.soft_gate, OMEGA, 7),
        (mf.hard_gate, [0.0] * 8, 1),
    ],
)
def test_how_many_stay(gate, omega: list[float], kept: int) -> None:
    small = mf.compact(masked(omega, gate=gate), nn.Linear(8, 2))
    assert small[1].in_features == kept
    assert repr(small[0]) == f"SelectChannels({kept} of 8, channel_dim=1)"


def test_nothing_kept_gives_a_constant() -> None:
    small = mf.compact(masked([0.0] * 8), nn.Sequential(nn.Sigmoid(), nn.Linear(8, 2))).eval()
    first, second = small(torch.randn(2, 8))
    assert torch.equal(first, second)


def test_the_random_state_is_left_alone() -> None:
    before = torch.get_rng_state()
    mf.compact(masked(gate=mf.random_gate(0.5)), nn.Linear(8, 2))
    with pytest.raises(ValueError, match="random"):
        mf.compact(masked(gate=mf.random_gate(0.5, always=True)), nn.Linear(8, 2))
    assert torch.equal(before, torch.get_rng_state())


def test_the_fusion_is_called_before() -> None:
    check(masked(fusion=nn.Linear(3, 8)), nn.Linear(8, 2), 4, 3)


def test_modes_dtypes_and_what_is_trained() -> None:
    head = nn.Sequential(nn.BatchNorm1d(8), nn.Linear(8, 2)).bfloat16()
    head[1].weight.requires_grad_(False)
    small = mf.compact(masked(), head)
    assert small.training
    assert small[1].training
    assert [name for name, value in small.named_parameters() if value.requires_grad] == [
        "1.weight",
        "1.bias",
        "2.bias",
    ]
    assert {value.dtype for value in small.parameters()} == {torch.bfloat16}
    assert small.eval()(torch.randn(3, 8).bfloat16()).dtype == torch.bfloat16


@pytest.mark.parametrize("kept", [8, 4, 2])
@pytest.mark.parametrize("kind", ["linear", "tokens", "convolution", "flatten"])
def test_operations_fall_with_the_channels(kind: str, kept: int) -> None:
    head, shape = {
        "linear": (nn.Linear(8, 16), (4, 8)),
        "tokens": (nn.Linear(8, 16), (4, 5, 8)),
        "convolution": (nn.Sequential(nn.ReLU(), nn.Conv2d(8, 16, 3, padding=1)), SHAPES[2]),
        "flatten": (nn.Sequential(nn.Flatten(), nn.Linear(240, 16)), SHAPES[2]),
    }[kind]
    mask = masked([1.0] * kept + [0.0] * (8 - kept), channel_dim=-1 if kind == "tokens" else 1)
    small = check(mask, head, *shape)
    features = torch.randn(shape)
    assert 8 * multiply_adds(small, features) == kept * multiply_adds(nn.Sequential(mask, head), features)


def multiply_adds(module: nn.Module, features: Tensor) -> int:
    """What PyTorch counts in a forward pass."""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        module(features)
    return counter.get_total_flops()


def deployed(**settings) -> tuple[nn.Sequential, Tensor]:
    """A compacted head with everything in it, and an input."""
    head = nn.Sequential(
        norm(nn.BatchNorm2d(8)),
        nn.GELU(),
        nn.MaxPool2d(2),
        nn.Conv2d(8, 4, 3, padding=1),
        nn.Flatten(),
        nn.Linear(24, 3),
    )
    return mf.compact(masked(**settings), head.eval()), torch.randn(SHAPES[2])


@pytest.mark.parametrize("gate", [mf.hard_gate, mf.ternary_gate])
def test_copies(gate) -> None:
    small, features = deployed(gate=gate)
    expected = small(features)
    for clone in (copy.deepcopy(small), pickle.loads(pickle.dumps(small))):
        assert torch.equal(clone(features), expected)
    file = io.BytesIO()
    torch.save(small.state_dict(), file)
    file.seek(0)
    other, _ = deployed(gate=gate)
    other.load_state_dict(torch.load(file, weights_only=True))
    assert torch.equal(other(features), expected)


@pytest.mark.unchecked
@pytest.mark.parametrize("gate", [mf.hard_gate, mf.ternary_gate])
def test_export(gate) -> None:
    small, features = deployed(gate=gate)
    program = torch.export.export(small, (features,), dynamic_shapes=({0: torch.export.Dim("batch")},))
    more = torch.randn(7, *SHAPES[2][1:])
    torch.testing.assert_close(program.module()(more), small(more))
    compiled = torch.compile(small, backend="aot_eager", fullgraph=True)
    torch.testing.assert_close(compiled(more), small(more))


@pytest.mark.unchecked
@pytest.mark.parametrize("gate", [mf.hard_gate, mf.ternary_gate])
def test_onnx(gate) -> None:
    pytest.importorskip("onnxscript")
    runtime = pytest.importorskip("onnxruntime")
    small, features = deployed(gate=gate)
    program = torch.onnx.export(
        small, (features,), dynamo=True, verbose=False, dynamic_shapes=({0: torch.export.Dim("batch")},)
    )
    session = runtime.InferenceSession(program.model_proto.SerializeToString())
    more = torch.randn(7, *SHAPES[2][1:])
    (result,) = session.run(None, {session.get_inputs()[0].name: more.numpy()})
    torch.testing.assert_close(torch.from_numpy(result), small(more), rtol=1e-5, atol=1e-5)


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
    "no module": ({}, torch.relu, TypeError, "`consumer` (=<built-in method relu"),
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
def test_no_mask() -> None:
    with pytest.raises(TypeError, match=r"`mask` \(=None\) must be a ComplementaryMask."):
        mf.compact(None, nn.Linear(8, 2))


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
