"""compact of networks: equal outputs without the closed channels, and where the result can go."""

import copy
import io
import pickle
from collections.abc import Callable
from functools import cache

import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

import maskfusion as mf
from tests.library.compact.networks import SIX, Case, close, late, study, tied, tokens, towers, wrapped
from tests.support.compacting import norm

pytestmark = pytest.mark.unchecked  # the exporter cannot trace checks of shapes


def shrunk(case: Case) -> nn.Module:
    """Compact, after which the network is as it was."""
    before = copy.deepcopy(case.model.state_dict())
    small = mf.compact(case.model, case.example, **case.settings)
    torch.testing.assert_close(case.model.state_dict(), before, rtol=0, atol=0)
    assert not case.model.training
    return small


@cache
def without_sound(make: Callable[[], Case]) -> tuple[Case, nn.Module]:
    """A network whose audio is closed wholly, and what it becomes; to be read only, since exporting takes seconds."""
    torch.manual_seed(0)
    case = make()
    close(case.model, "audio")
    return case, shrunk(case)


@cache
def half_open(make: Callable[[], Case]) -> tuple[Case, nn.Module]:
    """The same with some channels closed."""
    torch.manual_seed(0)
    case = make()
    close(case.model)
    return case, shrunk(case)


def expected(case: Case, entry: str | None = None) -> Tensor:
    """What the network returns."""
    with torch.no_grad():
        output = case.model(case.example) if "entry" in case.settings else case.model(**case.example)
    entry = case.settings.get("entry", entry)
    return output if entry is None else getattr(output, entry)


def size(module: nn.Module) -> int:
    """Its parameters."""
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize("name", SIX)
def test_six_networks(name: str) -> None:
    case, less = half_open(SIX[name])
    torch.testing.assert_close(less(**case.example), expected(case), rtol=1e-5, atol=1e-5)
    assert size(less) < size(case.model)
    assert less.unread == ()
    assert any(share.modality == "audio" for share in less.report.shares)

    case, small = without_sound(SIX[name])
    torch.testing.assert_close(small(**case.example), expected(case), rtol=1e-5, atol=1e-5)
    assert size(small) < size(less)
    closed = ("input_ids", "attention_mask") if name == "towers" else ("audio",)
    assert small.unread == closed
    assert small.report.unread == closed
    (audio,) = (share for share in small.report.shares if share.modality == "audio")
    assert audio.parameters[1] == audio.multiply_adds[1] == 0 < audio.parameters[0]
    needed = {key: value for key, value in case.example.items() if key not in closed}
    torch.testing.assert_close(small(**needed), expected(case), rtol=1e-5, atol=1e-5)
    assert not any(key.startswith("audio") or ".audio" in key for key in small.state_dict())


def test_what_is_cut_and_what_is_named() -> None:
    torch.manual_seed(0)
    case = tied()
    close(case.model, "audio", share=0.0)
    small = shrunk(case)
    assert [(each.operation, each.channels, each.path) for each in small.report.uncut] == [("add", 12, "")]
    assert "they meet channels that are open, as in a residual" in str(small.report)
    state = small.network.state_dict()
    assert state["block.0.weight"].shape == (24, 12, 3, 3)
    assert "audio.0.weight" not in state

    text = str(half_open(tokens)[1].report)
    assert "(cat)" in text
    assert "it reads all channels together" in text
    assert "quantizers.image (index)" in str(half_open(study)[1].report)


def test_encoders_lose_outputs_and_readers_inputs() -> None:
    torch.manual_seed(0)
    case = late()
    mask = case.model.complementary_mask
    with torch.no_grad():
        mask.weight[[0, 5, 12, 13]] = 0.0
    small = shrunk(case)
    shapes = {key: tuple(value.shape) for key, value in small.network.named_parameters()}
    assert shapes["image.3.weight"] == (10, 8, 3, 3)
    assert shapes["image.3.bias"] == shapes["audio.3.bias"] == (10,)
    assert shapes["image.0.weight"] == (8, 3, 3, 3)
    assert shapes["head.2.weight"] == (6, 21, 3, 3), "a channel of ones beside those that are open"
    assert small.report.uncut == ()


def test_operations_are_counted_as_they_are_done() -> None:
    case, small = without_sound(late)
    for module, count in ((case.model, 0), (small, 1)):
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            module(**case.example)
        assert counter.get_total_flops() == 2 * small.report.total.multiply_adds[count]
    stored = sum(value.numel() * value.element_size() for value in small.network.state_dict().values())
    assert small.report.total.bytes[1] == stored
    assert small.report.total.parameters == (size(case.model), size(small))


def test_everything_closed_is_a_constant() -> None:
    torch.manual_seed(0)
    case = wrapped()
    close(case.model, share=1.1)
    small = shrunk(case)
    assert small.unread == ("audio",), "one input tells the size of the batch"
    assert size(small) == 0
    torch.testing.assert_close(small(case.example["image"]), expected(case))


def test_nothing_closed_computes_the_same() -> None:
    case = wrapped()
    small = shrunk(case)
    torch.testing.assert_close(small(**case.example), expected(case))
    norms = sum(size(module) for module in case.model.modules() if isinstance(module, nn.BatchNorm2d))
    assert small.report.total.parameters[0] == size(small) + 24 + norms, (
        "Omega, and what the convolutions take over"
    )


def test_by_name_and_by_position_and_as_one_mapping() -> None:
    torch.manual_seed(0)
    case = late()
    close(case.model, "image")
    small, want = shrunk(case), expected(case)
    image, audio = case.example.values()
    for got in (
        small(image, audio),
        small(None, audio),
        small(audio=audio),
        small(image=None, audio=audio),
        small({"audio": audio}),
        mf.compact(case.model, (image, audio))(image, audio),
        mf.compact(case.model, {"audio": audio, "image": image})(image, audio),
    ):
        torch.testing.assert_close(got, want, rtol=1e-5, atol=1e-5)
    assert repr(small) == "SmallNetwork(reads ['audio'], not ['image'])"
    one = small(audio=audio[:1])
    torch.testing.assert_close(one, want[:1], rtol=1e-5, atol=1e-5)


def test_an_entry_or_all_of_them() -> None:
    case, prediction = without_sound(study)
    everything = mf.compact(case.model, case.example)
    assert everything.unread == ()
    with torch.no_grad():
        want, got = case.model(case.example), everything(case.example)
    assert type(got) is type(want)
    torch.testing.assert_close(tuple(got), tuple(want), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(prediction(case.example), want.prediction, rtol=1e-5, atol=1e-5)
    assert prediction.report.shares[-1].modality == "not read"
    assert prediction.report.shares[-1].multiply_adds[0] > 0, "the decoders"


def test_a_call_of_ones_own() -> None:
    case, _ = half_open(late)
    small = mf.compact(case.model, case.example, call=lambda model, inputs: model(**inputs).exp())
    torch.testing.assert_close(small(**case.example), expected(case).exp(), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("make", [late, study, towers])
def test_copies_and_states(make) -> None:
    case, small = without_sound(make)
    other = shrunk(case)
    want = small(**case.example)
    for twin in (copy.deepcopy(small), pickle.loads(pickle.dumps(small))):
        assert torch.equal(twin(**case.example), want)
    file = io.BytesIO()
    torch.save(small.state_dict(), file)
    file.seek(0)
    for parameter in other.parameters():
        parameter.data.zero_()
    other.load_state_dict(torch.load(file, weights_only=True))
    assert torch.equal(other(**case.example), want)
    theirs = {tensor.data_ptr() for tensor in case.model.state_dict().values()} - {0}
    assert not theirs & {tensor.data_ptr() for tensor in small.state_dict().values()}, "nothing is shared"


def test_compiled_exported_and_trained() -> None:
    case, small = without_sound(late)
    small = copy.deepcopy(small)  # which is trained
    image = case.example["image"]
    want = small(image)
    torch.testing.assert_close(torch.compile(small, backend="eager", fullgraph=True)(image), want)
    batch = torch.export.Dim("batch")
    program = torch.export.export(small, (image,), dynamic_shapes={"args": ({0: batch},)})
    more = torch.randn(7, *image.shape[1:])
    torch.testing.assert_close(program.module()(more), small(more))
    double = copy.deepcopy(small).double()
    torch.testing.assert_close(double(image.double()).float(), want, rtol=1e-4, atol=1e-4)

    small.train()
    optimizer = torch.optim.SGD(small.parameters(), lr=0.1)
    losses = []
    for _ in range(5):
        loss = small(image).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert all(parameter.grad is not None for parameter in small.parameters())
    assert losses[-1] < losses[0]


@pytest.mark.filterwarnings("ignore:.isinstance.treespec, LeafSpec.:FutureWarning")  # by PyTorch's exporter
@pytest.mark.parametrize("make", [late, tokens, study])
def test_onnx(make) -> None:
    pytest.importorskip("onnxscript")
    runtime = pytest.importorskip("onnxruntime")
    case, small = without_sound(make)
    needed = tuple(case.example[each.name] for each in small.inputs if each.is_read)
    program = torch.onnx.export(small.network, needed, dynamo=True, verbose=False)
    session = runtime.InferenceSession(program.model_proto.SerializeToString())
    names = [each.name for each in session.get_inputs()]
    (result,) = session.run(None, {name: each.numpy() for name, each in zip(names, needed, strict=True)})
    torch.testing.assert_close(torch.from_numpy(result), expected(case), rtol=1e-5, atol=1e-5)


def test_several_masks_and_gates() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.image, self.audio, self.middle = nn.Linear(5, 8), nn.Linear(4, 8), nn.Linear(16, 12)
            self.first = mf.ComplementaryMask({"image": 8, "audio": 8}, gate=mf.ternary_gate)
            self.second = mf.ComplementaryMask({"joined": 12}, gate=mf.soft_gate)
            self.norm, self.head = norm(nn.BatchNorm1d(12)), nn.Linear(12, 3)

        def forward(self, image: Tensor, audio: Tensor) -> Tensor:
            joined = self.middle(self.first(self.image(image), self.audio(audio)))
            return self.head(self.norm(self.second(joined)).tanh())

    torch.manual_seed(0)
    model = Twice().eval()
    with torch.no_grad():
        model.first.weight[:4], model.first.weight[4:8] = -0.5, 0.0
        model.second.weight[3:9] = 0.0
    case = Case(model, {"image": torch.randn(4, 5), "audio": torch.randn(4, 4)}, {})
    small = shrunk(case)
    torch.testing.assert_close(small(**case.example), expected(case), rtol=1e-5, atol=1e-5)
    shapes = {key: tuple(value.shape) for key, value in small.network.named_parameters()}
    assert shapes["middle.weight"] == (6, 12)
    assert shapes["head.weight"] == (3, 6)


def test_masks_on_inputs_of_a_fusion_that_mixes() -> None:
    class Mix(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.of_image, self.of_audio = nn.Linear(8, 6), nn.Linear(8, 6)

        def forward(self, image: Tensor, audio: Tensor) -> Tensor:
            return (self.of_image(image) + self.of_audio(audio)).tanh()

    class Sum(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.image, self.audio = nn.Linear(5, 8), nn.Linear(4, 8)
            self.mix, self.head = Mix(), nn.Linear(6, 3)

        def forward(self, image: Tensor, audio: Tensor) -> Tensor:
            return self.head(self.mix(self.image(image), self.audio(audio)))

    torch.manual_seed(0)
    model = Sum().eval()
    example = {"image": torch.randn(4, 5), "audio": torch.randn(4, 4)}
    mf.attach(model, "mix", example, side="input")
    close(model)
    case = Case(model, example, {})
    small = shrunk(case)
    torch.testing.assert_close(small(**example), expected(case), rtol=1e-5, atol=1e-5)
    shapes = {key: tuple(value.shape) for key, value in small.network.named_parameters()}
    assert shapes["image.weight"][0] + shapes["audio.weight"][0] == int(model.complementary_mask.kept.sum())
    assert shapes["mix.of_image.weight"][1] == shapes["image.weight"][0]
    assert small.report.uncut == ()
