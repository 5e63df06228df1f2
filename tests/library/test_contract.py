"""Promise 2: every public module works unchanged wherever PyTorch takes it."""

import copy
import io
import pickle

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.parallel import DistributedDataParallel
from torch.utils.checkpoint import checkpoint

import maskfusion as mf
from tests.support.helpers import same_state
from tests.support.subjects import LAYERS, SUBJECTS, backward, floats, run

close = torch.testing.assert_close
every_subject = pytest.mark.parametrize("name", SUBJECTS)
every_layer = pytest.mark.parametrize("name", LAYERS)
both_modes = pytest.mark.parametrize("training", [True, False])


def same_states(first: nn.Module, second: nn.Module) -> None:
    """Tensors are close, and texts (the history of a tracker) are equal."""
    states = [first.state_dict(), second.state_dict()]
    texts = [{key: state.pop(key) for key in list(state) if isinstance(state[key], str)} for state in states]
    assert texts[0] == texts[1]
    close(*map(dict, states))


def saved(module: nn.Module) -> nn.Module:
    """A new module that has read the saved state of another."""
    file = io.BytesIO()
    torch.save(module.state_dict(), file)
    file.seek(0)
    clone = copy.deepcopy(module)
    for parameter in [*clone.parameters(), *clone.buffers()]:
        parameter.detach().zero_()
    clone.load_state_dict(torch.load(file, weights_only=True))
    return clone


COPIES = {
    "deepcopy": copy.deepcopy,
    "pickle": lambda module: pickle.loads(pickle.dumps(module)),
    "state_dict": saved,
}


@every_subject
@pytest.mark.parametrize("how", COPIES)
@both_modes
def test_copies(name: str, how: str, training: bool) -> None:
    module = SUBJECTS[name].make().train(training)
    run(module, SUBJECTS[name].inputs(seed=1))
    clone = COPIES[how](module)
    assert same_state(clone, module)
    assert repr(clone) == repr(module)
    inputs = SUBJECTS[name].inputs(8)
    close(run(clone, inputs), run(module, inputs), rtol=0, atol=0)
    assert same_state(clone, module)
    for parameter in clone.parameters():
        parameter.detach().add_(1)
    if list(clone.parameters()):
        assert not same_state(clone, module), "nothing is shared"


@every_subject
@both_modes
def test_autocast(name: str, training: bool) -> None:
    module = SUBJECTS[name].make().train(training)
    dtypes = [value.dtype for value in module.state_dict().values() if isinstance(value, Tensor)]
    inputs = SUBJECTS[name].inputs(8)
    plain, _ = run(copy.deepcopy(module), inputs)
    with torch.autocast("cpu", torch.bfloat16):
        outputs, gradients = run(module, inputs)
    assert [value.dtype for value in module.state_dict().values() if isinstance(value, Tensor)] == dtypes
    assert all(gradient is None or bool(gradient.isfinite().all()) for gradient in gradients)
    if name in LAYERS:
        close(outputs, plain), "neither dtype nor value changes"


@every_layer
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_output_has_the_dtype_of_the_input(name: str, dtype: torch.dtype) -> None:
    module = LAYERS[name].make()
    inputs = tuple(value.to(dtype).requires_grad_() for value in LAYERS[name].inputs())
    output = module(*inputs)
    backward(output)
    assert floats(output)[0].dtype == dtype
    assert all(value.grad.dtype == dtype for value in inputs)


@every_subject
@both_modes
@pytest.mark.unchecked
def test_compile(name: str, training: bool) -> None:
    torch._dynamo.reset()
    module = SUBJECTS[name].make().train(training)
    plain = copy.deepcopy(module)
    compiled = torch.compile(module, fullgraph=True, backend="aot_eager")
    for seed in range(2):
        inputs = SUBJECTS[name].inputs(seed=seed)
        close(run(compiled, inputs), run(plain, inputs))
    same_states(module, plain)


@pytest.mark.parametrize("name", [name for name in LAYERS if name.startswith("quantiser")])
@pytest.mark.unchecked
def test_compile_encode_and_decode(name: str) -> None:
    torch._dynamo.reset()
    module = LAYERS[name].make()
    (z,) = LAYERS[name].inputs()

    def there_and_back(z: Tensor) -> Tensor:
        return module.decode(module.encode(z))

    compiled = torch.compile(there_and_back, fullgraph=True, backend="aot_eager")
    close(compiled(z), there_and_back(z), rtol=0, atol=0)


@every_subject
@pytest.mark.unchecked
def test_export(name: str) -> None:
    subject = SUBJECTS[name]
    module = subject.make().eval()
    batch = torch.export.Dim("batch", min=2, max=64)
    names = [{0: batch}] * len(subject.shapes)
    program = torch.export.export(module, subject.inputs(), dynamic_shapes=_shapes_of(module, names))
    for size in (3, 7):
        inputs = subject.inputs(size)
        close(floats(program.module()(*inputs)), floats(module(*inputs)))
    graphs = [part.graph for part in program.graph_module.modules() if isinstance(part, torch.fx.GraphModule)]
    ours = [node for graph in graphs for node in graph.nodes if "maskfusion" in str(node.target)]
    if ours and torch.__version__ < "2.7":
        pytest.skip("PyTorch 2.6 does not say that it exports; the operator for its compiler is there")
    assert not ours, "it runs without this library"


def _shapes_of(module: nn.Module, dims: list[dict[int, object]]) -> object:
    """A mask takes `*args`, which an exporter wants as one nested tuple."""
    return (tuple(dims),) if isinstance(module, mf.ComplementaryMask) else tuple(dims)


@every_subject
@both_modes
def test_functional_call(name: str, training: bool) -> None:
    module, other = (SUBJECTS[name].make().train(training) for _ in range(2))
    for parameter in other.parameters():
        parameter.detach().mul_(0.7)
    before = copy.deepcopy(module)
    state = {
        key: value.detach().clone() for key, value in [*other.named_parameters(), *other.named_buffers()]
    }
    inputs = SUBJECTS[name].inputs(8)
    close(floats(functional_call(module, state, inputs)), floats(other(*inputs)))
    assert same_state(module, before), "its own state is not touched"
    for key, value in [*other.named_parameters(), *other.named_buffers()]:
        close(state[key], value.detach(), msg=f"{key} follows the call")


@every_subject
@pytest.mark.parametrize("reentrant", [True, False])
def test_checkpointing(name: str, reentrant: bool) -> None:
    module = SUBJECTS[name].make()
    plain = copy.deepcopy(module)
    for seed in range(2):
        inputs = SUBJECTS[name].inputs(8, seed)
        expected = run(plain, inputs)
        close(run(lambda *args: checkpoint(module, *args, use_reentrant=reentrant), inputs), expected)
    assert same_state(module, plain), "recomputing does not update a second time"
    for actual, wanted in zip(module.parameters(), plain.parameters(), strict=True):
        close(actual.grad, wanted.grad)


@pytest.mark.parametrize("name", [name for name in LAYERS if len(LAYERS[name].shapes[0]) == 3])
@both_modes
def test_channels_last(name: str, training: bool) -> None:
    module = LAYERS[name].make().train(training)
    plain = copy.deepcopy(module)
    inputs = tuple(value.to(memory_format=torch.channels_last) for value in LAYERS[name].inputs())
    output = floats(module.to(memory_format=torch.channels_last)(*inputs))[0]
    assert output.is_contiguous(memory_format=torch.channels_last)
    close(output, floats(plain(*(value.contiguous() for value in inputs)))[0])


@every_subject
@both_modes
def test_empty_batch(name: str, training: bool) -> None:
    module = SUBJECTS[name].make().train(training)
    before = copy.deepcopy(module)
    inputs = tuple(value.requires_grad_() for value in SUBJECTS[name].inputs(0))
    output = module(*inputs)
    backward(output)
    assert all(value.grad.shape == value.shape for value in inputs)
    if name in LAYERS:
        assert all(bool(leaf.isfinite().all()) for leaf in floats(output))
        assert floats(output)[0].shape[0] == 0
    for key, value in before.state_dict().items():
        if key != "tracker._extra_state":
            close(module.state_dict()[key], value, msg=key)


@every_subject
def test_meta_device_first(name: str) -> None:
    with torch.device("meta"):
        module = SUBJECTS[name].make() if name in {"network", "network by gradient"} else None
    if module is None:
        module = SUBJECTS[name].make().to("meta")
    repr(module)
    module.to_empty(device="cpu")
    for part in module.modules():
        if hasattr(part, "reset_parameters"):
            part.reset_parameters()
    outputs, _ = run(module, SUBJECTS[name].inputs())
    assert all(bool(leaf.isfinite().all()) for leaf in outputs)


class Scaled(nn.Module):
    """A trained factor before a module, because DDP wants something to train."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.factor = nn.Parameter(torch.ones(()))
        self.module = module

    def forward(self, *inputs: Tensor) -> object:
        return self.module(*(self.factor * value for value in inputs))


@every_subject
@pytest.mark.usefixtures("_one_process")
def test_distributed_data_parallel(name: str) -> None:
    module = Scaled(SUBJECTS[name].make())
    plain = copy.deepcopy(module)
    parallel = DistributedDataParallel(module)
    for seed in range(2):
        inputs = SUBJECTS[name].inputs(8, seed)
        close(run(parallel, inputs), run(plain, inputs))
    same_states(module, plain)
    for actual, wanted in zip(module.parameters(), plain.parameters(), strict=True):
        close(actual.grad, wanted.grad)


@pytest.mark.usefixtures("_one_process")
def test_tracker_of_a_wrapped_model_has_its_paths() -> None:
    model = nn.ModuleDict({"a": mf.ComplementaryMask(4), "b": mf.ComplementaryMask(2)})
    assert list(mf.ComplementarityTracker(DistributedDataParallel(model))) == ["a", "b"]


@pytest.mark.unchecked
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning")
def test_inductor() -> None:
    torch._dynamo.reset()
    module = nn.Sequential(SUBJECTS["quantiser"].make(), SUBJECTS["mask"].make())
    module[0].register_forward_hook(lambda _module, _inputs, result: result.quantized + result.loss)
    plain = copy.deepcopy(module)
    inputs = SUBJECTS["mask"].inputs(8)
    close(run(torch.compile(module, fullgraph=True), inputs), run(plain, inputs))
    same_states(module, plain)
    close([module[1].weight.grad], [plain[1].weight.grad])
