"""compact: gates, modes, operations, and where the result can go."""

import copy
import io
import pickle

import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

import maskfusion as mf
from tests.support.compacting import OMEGA, SHAPES, expect_equal, masked, norm

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
    expect_equal(mask, nn.Linear(8, 2), *SHAPES[0])
    expect_equal(
        mask,
        nn.Sequential(norm(nn.BatchNorm2d(8)), nn.Sigmoid(), nn.MaxPool2d(2), nn.Conv2d(8, 2, 3, padding=1)),
        *SHAPES[2],
    )
    tokens = masked(**CASES[case], channel_dim=-1)
    expect_equal(tokens, nn.Linear(8, 2), 2, 5, 8)


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
    head, before = nn.Linear(8, 2), torch.get_rng_state()
    mf.compact(masked(gate=mf.random_gate(0.5)), head)
    with pytest.raises(ValueError, match="random"):
        mf.compact(masked(gate=mf.random_gate(0.5, always=True)), head)
    assert torch.equal(before, torch.get_rng_state())


def test_the_fusion_is_called_before() -> None:
    expect_equal(masked(fusion=nn.Linear(3, 8)), nn.Linear(8, 2), 4, 3)


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
    small = expect_equal(mask, head, *shape)
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
@pytest.mark.filterwarnings("ignore:.isinstance.treespec, LeafSpec.:FutureWarning")  # by PyTorch's exporter
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
