"""A smaller network: channels that masks close leave the layers that make them and those that read them."""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.utils._pytree import tree_flatten, tree_leaves, tree_map, tree_unflatten
from torch.utils.flop_counter import FlopCounterMode

from maskfusion.compact.channels import Analysis, shape_of
from maskfusion.compact.layers import fixed_gate
from maskfusion.compact.program import Node, Program, read_program
from maskfusion.compact.registry import rule_of
from maskfusion.compact.report import JOINT, UNREAD, Owner, Report, Share, count, tally
from maskfusion.compact.small import FLAGS, Input, Slot, SmallNetwork
from maskfusion.compact.uncut import find_uncut
from maskfusion.compact.writer import HEARD, Writer
from maskfusion.mask.attached import Entry
from maskfusion.mask.entry import entry_of
from maskfusion.mask.example import Call, Example, differs, read_example, undisturbed
from maskfusion.mask.features import parameter_names
from maskfusion.mask.find import expect_hooks, expect_masks
from maskfusion.mask.sources import amended, expect_sources, told
from maskfusion.mask.wrappers import behind_wrappers


def compact_network(
    model: nn.Module,
    example: Any,
    entry: Entry,
    call: Call | None,
    modalities: Sequence[str] | Mapping[str, str | Sequence[str]] | None,
) -> SmallNetwork:
    """A smaller network, as ``compact`` promises it."""
    masks = expect_masks("model", model)
    model = behind_wrappers(model)
    expect_hooks(model)
    for path, mask in masks.items():
        fixed_gate(mask, f"`model`: mask {path!r}")
    read = read_example(model, example, call)
    by_user = {} if modalities is None else expect_sources(modalities, read.inputs)
    sources = amended(told(masks, read.inputs), by_user)
    owner = _owner({name: modality for modality, names in sources.items() for name in names})
    with undisturbed(model):
        _expect_tensors(read)
        program = read_program(model, read, entry, masks)
        analysis = Analysis(program, rule_of)
        writer = Writer(program, analysis, rule_of)
        network = fx.GraphModule(writer.root, writer.graph, "SmallNetwork")
        report = _report(program, analysis, writer, read, owner)
        inputs = _inputs(program, writer, read)
        positions = parameter_names(model) if call is None else ()
        named = set(positions) & set(read.inputs)
        small = SmallNetwork(
            network,
            inputs,
            positions if named else tuple(read.inputs),
            _slots(program.output),
            report,
            read.listed,
        )
        _prove(small, program, read, entry)
    return small.eval()


def _expect_tensors(read: Example) -> None:
    """Refuse words that the network reads, which would be the example's for ever."""
    for name, value in read.inputs.items():
        moved = read.words_exchanged(name)
        same = all(was is now for was, now in zip(tree_leaves(value), tree_leaves(moved), strict=True))
        if not same and differs(read.run(), read.run({**read.inputs, name: moved})):
            raise ValueError(
                f"`example`: the network reads what is no tensor in `{name}` (={value!r}), and the smaller one would read that for ever. "
                f"Make tensors of it outside of the network, and give those."
            )


def _owner(modalities: Mapping[str, str]) -> Owner:
    """In whose row of the report something is counted, by the inputs that it depends on."""

    def owner(heard: frozenset[str]) -> str:
        names = {modalities.get(name, name) for name in heard}
        return names.pop() if len(names) == 1 else JOINT

    return owner


def _slots(output: Any) -> Any:
    """What is returned, its tensors by their place."""
    places = itertools.count()
    return tree_map(lambda leaf: Slot(next(places)) if isinstance(leaf, Node) else leaf, output)


def _inputs(program: Program, writer: Writer, read: Example) -> list[Input]:
    """What the small network is called with."""
    shapes: dict[str, list[Any]] = {
        name: [None] * len(tree_flatten(value)[0]) for name, value in read.inputs.items()
    }
    for node in writer.inputs:
        name, place = program.inputs[node]
        shapes[name][place] = tuple(size if isinstance(size, int) else None for size in shape_of(node))
    return [Input(name, tuple(found), _flags(read, name)) for name, found in shapes.items()]


def _flags(read: Example, name: str) -> tuple[tuple[int, Any], ...]:
    """Numbers and words of an input that are no sample's own, by their place."""
    leaves, moved = (tree_leaves(each) for each in (read.inputs[name], read.words_exchanged(name)))
    places = enumerate(zip(leaves, moved, strict=True))
    return tuple((place, leaf) for place, (leaf, now) in places if isinstance(leaf, FLAGS) and leaf == now)


def _report(program: Program, analysis: Analysis, writer: Writer, read: Example, owner: Owner) -> Report:
    leaves = {name: tree_flatten(value)[0] for name, value in read.inputs.items()}
    given = {node: leaves[name][place] for node, (name, place) in program.inputs.items()}
    old = {node: value for node, (_, value) in program.constants.items()}
    new = {node: tensor for node, tensor in writer.stored_tensors() if node.users}
    ours = {writer.given[node]: tensor for node, tensor in given.items() if node in writer.given}
    state = [(node, value) for node, value in old.items() if node.op == "placeholder"]

    def heard(node: Node) -> frozenset[str]:
        return program.heard[node]

    def heard_now(node: Node) -> frozenset[str]:
        found: frozenset[str] = node.meta.get(HEARD, frozenset())
        return found

    done = count(program.graph, {**old, **given}, heard, owner)
    with FlopCounterMode(display=False) as counter:
        read.run()
    done[UNREAD] = max(0, counter.get_total_flops() // 2 - done.total())
    does = count(writer.graph, {**new, **ours}, heard_now, owner)
    (had, weighed), (has, weighs) = tally(state, heard, owner), tally(new.items(), heard_now, owner)
    names = [name for name in dict.fromkeys([*had, *done, *has, *does]) if name not in (JOINT, UNREAD)]
    shares = [
        Share(name, (had[name], has[name]), (done[name], does[name]), (weighed[name], weighs[name]))
        for name in (*names, JOINT, UNREAD)
    ]
    read_now = {program.inputs[node][0] for node in writer.inputs}
    unread = tuple(name for name in read.inputs if name not in read_now)
    return Report(
        tuple(share for share in shares if any(share.bytes) or any(share.multiply_adds)),
        tuple(find_uncut(program, analysis, writer)),
        unread,
    )


def _prove(small: SmallNetwork, program: Program, read: Example, entry: Entry) -> None:
    """See that both networks give the same, for a batch of another size too where it is free."""
    batches = [read.inputs]
    if program.batch is not None:
        free = {place for node, place in program.inputs.items() if any(map(program.is_batch, shape_of(node)))}
        batches.append({name: _doubled(name, value, free) for name, value in read.inputs.items()})
    for inputs in batches:
        wanted = tree_flatten(entry_of(read.run(inputs), entry))[0]
        got = tree_flatten(small(**inputs))[0]
        for one, other in zip(wanted, got, strict=True):
            if isinstance(one, Tensor) and not _close(one, other):
                raise RuntimeError(
                    f"The smaller network gives other outputs than `model` for `example`, off by {(one - other).abs().max():.2g}. Either "
                    f"`model` is random in evaluation, or this is a fault of `compact`: please report it."
                )


def _doubled(name: str, value: Any, free: set[tuple[str, int]]) -> Any:
    leaves, spec = tree_flatten(value)
    twice = [torch.cat([leaf, leaf]) if (name, place) in free else leaf for place, leaf in enumerate(leaves)]
    return tree_unflatten(twice, spec)


def _close(one: Tensor, other: Tensor) -> bool:
    if not one.is_floating_point():
        return torch.equal(one, other)
    tolerance = 1e-4 if torch.finfo(one.dtype).eps < 1e-5 else 0.05
    scale = max(1.0, float(one.abs().nan_to_num(posinf=0.0).max())) if one.numel() else 1.0
    return torch.allclose(
        one.double(), other.double(), rtol=tolerance, atol=tolerance * scale, equal_nan=True
    )
