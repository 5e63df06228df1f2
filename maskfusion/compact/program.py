"""A network as a program of operations, from one call: the form in which channels can be followed through it."""

import operator
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, cast

import torch
from torch import Tensor, fx, nn
from torch.export import Dim, ExportedProgram, export
from torch.export.graph_signature import ConstantArgument, InputKind, OutputKind, TensorArgument
from torch.utils._pytree import tree_flatten, tree_map, tree_unflatten
from typing_extensions import override

from maskfusion.mask.entry import entry_of
from maskfusion.mask.example import Example

Node = fx.Node
ATEN = torch.ops.aten
CHECKS = (ATEN._assert_tensor_metadata.default, ATEN._assert_scalar.default)


@dataclass
class Program:
    """The operations of one call in evaluation, in order, without branches or changes in place."""

    graph: fx.Graph
    constants: dict[Node, tuple[str, Tensor]]
    """Parameters, buffers and other tensors of the network, and what masks make of Omega: name and value."""
    inputs: dict[Node, tuple[str, int]]
    """Tensors that are given: name of the input, and which of its tensors."""
    output: Any
    """What is returned, nodes in the collections that hold them."""
    batch: str | None
    """How PyTorch calls the size of the batch; None where it is fixed."""
    fixed: set[Node] = field(default_factory=set)
    """What depends on no input."""
    heard: dict[Node, frozenset[str]] = field(default_factory=dict)
    """Inputs that each operation depends on."""
    _values: dict[Node, Any] = field(default_factory=dict)

    def value(self, node: Node) -> Any:
        """What a fixed operation gives."""
        if node in self.constants:
            return self.constants[node][1]
        if node not in self._values:
            args, kwargs = fx.map_arg((node.args, node.kwargs), self.value)
            self._values[node] = cast("Callable[..., Any]", node.target)(*args, **kwargs)
        return self._values[node]

    def is_batch(self, size: Any) -> bool:
        """Whether a size is that of the batch."""
        return self.batch is not None and str(size) == self.batch


class Called(nn.Module):
    """The call that is made smaller: inputs by name in, the wanted output out."""

    def __init__(self, model: nn.Module, example: Example, entry: int | str | None) -> None:
        super().__init__()
        self.model = model
        self.call = example.call
        self.entry = entry

    @override
    def forward(self, inputs: dict[str, Any]) -> Any:
        """Call the network."""
        return entry_of(self.call(dict(inputs)), self.entry)


def read_program(
    model: nn.Module, example: Example, entry: int | str | None, masks: Mapping[str, nn.Module]
) -> Program:
    """Read a network in evaluation.

    Raises:
        ValueError: If PyTorch cannot export it, it writes buffers in evaluation, or returns what is neither tensors nor plain collections.
    """
    expect_plain(entry_of(example.run(), entry))
    called = Called(model, example, entry)
    exported = _export(called, example)
    signature = exported.graph_signature
    changed = [spec.target for spec in signature.output_specs if spec.kind != OutputKind.USER_OUTPUT]
    if changed:
        raise ValueError(f"`model` must not change its state in evaluation; it writes {changed}.")
    constants, inputs = _sort_placeholders(exported, example)
    nodes = {node.name: node for node in exported.graph.nodes}
    returned = [
        nodes[spec.arg.name] if isinstance(spec.arg, TensorArgument) else getattr(spec.arg, "value", None)
        for spec in signature.output_specs
    ]
    output = tree_unflatten(returned, exported.call_spec.out_spec)
    sizes = [str(node.meta["val"].shape[0]) for node in inputs if node.meta["val"].ndim]
    batch = next((size for size in sizes if not size.isdigit()), None)
    program = Program(exported.graph, constants, inputs, output, batch)
    _normalise(program)
    _follow(program)
    omegas = {
        node for node, (_, value) in constants.items() if any(value is m.weight for m in masks.values())
    }
    _fold(program, omegas)
    return program


def _export(called: Called, example: Example) -> ExportedProgram:
    tensors = [leaf for leaf in tree_flatten(example.inputs)[0] if isinstance(leaf, Tensor) and leaf.ndim]
    batch = tensors[0].shape[0] if tensors else 0
    free = Dim("batch", min=1)

    def dynamic(leaf: Any) -> Any:
        return {0: free} if isinstance(leaf, Tensor) and leaf.ndim and leaf.shape[0] == batch else None

    fixed: Exception | None = None
    for shapes in (tree_map(dynamic, example.inputs), None):
        try:
            with _slow_and_quiet():
                program = export(
                    called,
                    (example.inputs,),
                    dynamic_shapes=None if shapes is None else (shapes,),
                    strict=False,
                )
                functional: ExportedProgram = program.run_decompositions({})
                return functional
        except Exception as error:  # noqa: BLE001, PERF203 (of many kinds, by what stops PyTorch)
            fixed = error
    raise ValueError(
        f"`model` ({type(called.model).__name__}) must go through torch.export, which says: {str(fixed).strip()[:600]} ... For layers "
        f"alone, `compact(mask, consumer)` needs no export."
    ) from fixed


@contextmanager
def _slow_and_quiet() -> Iterator[None]:
    """Attention as single operations, also where no gradient is wanted; no words about PyTorch's own internals."""
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with warnings.catch_warnings(), torch.enable_grad():
            warnings.simplefilter("ignore")
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)


def _sort_placeholders(
    exported: ExportedProgram, example: Example
) -> tuple[dict[Node, tuple[str, Tensor]], dict[Node, tuple[str, int]]]:
    owners = [
        (name, place)
        for name, value in example.inputs.items()
        for place in range(len(tree_flatten(value)[0]))
    ]
    constants: dict[Node, tuple[str, Tensor]] = {}
    inputs: dict[Node, tuple[str, int]] = {}
    state = {**dict(exported.named_parameters()), **dict(exported.named_buffers()), **exported.constants}
    specs = exported.graph_signature.input_specs
    placeholders = [node for node in exported.graph.nodes if node.op == "placeholder"]
    given = iter(owners)
    for node, spec in zip(placeholders, specs, strict=True):
        if spec.kind != InputKind.USER_INPUT:
            constants[node] = (str(spec.target).removeprefix("model."), state[str(spec.target)])
            continue
        owner = next(given)
        if not isinstance(spec.arg, ConstantArgument):
            inputs[node] = owner
    return constants, inputs


def expect_plain(output: Any) -> None:
    """See that a network returns tensors, or plain collections of them.

    Raises:
        ValueError: If it returns something else.
    """
    if type(output) is dict:
        output = list(output.values())
    if isinstance(output, (list, tuple)):
        for each in output:
            expect_plain(each)
    elif not (output is None or isinstance(output, (Tensor, int, float, str))):
        raise ValueError(
            f"`model` returns {type(output).__name__}; it must return tensors, or tuples, lists and dicts of them. Say with `entry=` "
            f"which entry is wanted, `entry='logits'`."
        )


def _normalise(program: Program) -> None:
    """Say splits as slices, and batch norm as one operation; leave out checks of types, and the copies that dropout makes."""
    graph = program.graph
    replaced: dict[Node, Node] = {}
    for node in list(graph.nodes):
        if node.target in CHECKS:
            graph.erase_node(node)
        elif node.target is ATEN.clone.default and not node.kwargs and node.args[0] not in program.inputs:
            node.replace_all_uses_with(node.args[0])
            replaced[node] = node.args[0]
            graph.erase_node(node)
        elif node.target is operator.getitem and isinstance(node.args[0], Node):
            source, place = node.args
            with graph.inserting_before(node):
                new = _instead_of_entry(graph, source, place)
            if new is not None:
                new.meta = {**node.meta, "nn_module_stack": source.meta.get("nn_module_stack", {})}
                node.replace_all_uses_with(new)
                replaced[node] = new
                graph.erase_node(node)
                if not source.users:
                    graph.erase_node(source)
    program.output = fx.map_arg(program.output, lambda node: replaced.get(node, node))


def _instead_of_entry(graph: fx.Graph, source: Node, place: Any) -> Node | None:
    if source.target is ATEN._native_batch_norm_legit_no_training.default and place == 0:
        values, weight, bias, mean, variance, momentum, eps = source.args
        args = (values, weight, bias, mean, variance, False, momentum, eps, False)
        return graph.call_function(ATEN.batch_norm.default, args)
    if source.target in (ATEN.split.Tensor, ATEN.split_with_sizes.default):
        values, sizes, *rest = source.args
        dim = rest[0] if rest else source.kwargs.get("dim", 0)
        start = place * sizes if isinstance(sizes, int) else sum(cast("list[int]", sizes)[:place])
        stop = start + (sizes if isinstance(sizes, int) else cast("list[int]", sizes)[place])
        return graph.call_function(ATEN.slice.Tensor, (values, dim, start, stop))
    return None


def _follow(program: Program) -> None:
    """What depends on which input, and what on none."""
    for node in program.graph.nodes:
        program.heard[node] = frozenset().union(*(program.heard[arg] for arg in node.all_input_nodes))
        if isinstance(node.meta.get("val"), torch.SymInt):
            program.heard[node] = frozenset()  # a size, which every input may tell
        elif node in program.inputs:
            program.heard[node] = frozenset([program.inputs[node][0]])
        elif node in program.constants or (
            node.op == "call_function"
            and all(arg in program.fixed for arg in node.all_input_nodes)
            and torch.Tag.nondeterministic_seeded not in getattr(node.target, "tags", ())
        ):
            program.fixed.add(node)


def _fold(program: Program, omegas: set[Node]) -> None:
    """Compute what masks make of Omega, once and for all."""
    from_omega = set(omegas)
    with torch.no_grad():
        for node in program.graph.nodes:
            if node in program.fixed and any(arg in from_omega for arg in node.all_input_nodes):
                from_omega.add(node)
                program.constants[node] = (node.name, program.value(node))
