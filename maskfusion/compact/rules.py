"""How operations treat channels: which they hold constant, which they read, and how they run on some of them alone."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor
from typing_extensions import override

from maskfusion.compact.channels import Analysis, Known, Need, Open, is_tensor, shape_of
from maskfusion.compact.program import ATEN, Node

if TYPE_CHECKING:
    from maskfusion.compact.writer import Writer

Asked = Iterator[tuple[Node, Need]]
Written = tuple[Node, Need]
"""The smaller operation, and the channels that it has."""


class Rule:
    """An operation that nothing is known of: it reads all of what it takes, and gives all that it gives."""

    def known(self, node: Node, analysis: Analysis) -> Known | None:
        """What is constant in its output."""
        del node, analysis
        return None

    def needs(self, node: Node, wanted: Need, analysis: Analysis) -> Asked:
        """What it reads of its inputs in order to give the channels that are wanted."""
        del wanted, analysis
        for arg in node.all_input_nodes:
            yield arg, None

    def write(self, node: Node, wanted: Need, writer: "Writer") -> Written:
        """Write it with at least the channels that are wanted."""
        del wanted
        return writer.again(node), None


class Pointwise(Rule):
    """Each value by itself, or with those at the same place of others."""

    @override
    def known(self, node: Node, analysis: Analysis) -> Known | None:
        rank, sizes = len(shape_of(node)), shape_of(node)
        for arg in filter(is_tensor, node.all_input_nodes):
            own = _own_dim(arg, analysis)
            dim = -1 if own is None else own + rank - len(shape_of(arg))
            if own is not None and sizes[dim] == shape_of(arg)[own]:
                found = self._along(node, dim, sizes[dim], analysis)
                if found.closed.any():
                    return found
        return None

    def _along(self, node: Node, dim: int, count: int, analysis: Analysis) -> Known:
        closed, zero = torch.ones(count, dtype=torch.bool), torch.zeros(count, dtype=torch.bool)
        values: dict[Node, Tensor] = {}
        for arg in node.all_input_nodes:
            own = dim - len(shape_of(node)) + len(shape_of(arg)) if is_tensor(arg) else -1
            found = analysis.values_along(arg, own) if own >= 0 else self._alone(arg, analysis)
            if found is None:
                closed = torch.zeros_like(closed)
                continue
            closed = closed & found.closed
            zero = zero | (found.closed & (found.value == 0))
            values[arg] = found.value.to(
                dtype if not (dtype := arg.meta["val"].dtype).is_floating_point else torch.float64
            )
        value = torch.zeros(count, dtype=torch.float64)
        if closed.any():
            args, kwargs = torch.fx.map_arg((node.args, node.kwargs), lambda arg: values[arg])
            value = value + cast("Tensor", _in_double(node)(*args, **kwargs)).double()
        if node.target is ATEN.mul.Tensor:
            value = torch.where(zero, 0.0, value)
            closed = closed | zero
        return Known(dim, closed, value)

    def _alone(self, arg: Node, analysis: Analysis) -> Known | None:
        """A tensor that has no channels, the same for all."""
        if arg not in analysis.program.fixed or not is_tensor(arg):
            return None
        value = analysis.program.value(arg).detach().cpu().double().flatten()
        if not len(value) or not value.eq(value[0]).all():
            return None
        return Known(0, torch.ones(1, dtype=torch.bool), value[:1])

    @override
    def needs(self, node: Node, wanted: Need, analysis: Analysis) -> Asked:
        del analysis
        for arg in node.all_input_nodes:
            yield arg, self._share(node, arg, wanted)

    @staticmethod
    def _share(node: Node, arg: Node, wanted: Need) -> Need:
        """The channels that are wanted, of one argument; None where it has none of its own."""
        if wanted is None or not is_tensor(arg):
            return None
        dim = wanted.dim - len(shape_of(node)) + len(shape_of(arg))
        has = dim >= 0 and shape_of(arg)[dim] == len(wanted.mask)
        return Open(dim, wanted.mask) if has else None

    @override
    def write(self, node: Node, wanted: Need, writer: "Writer") -> Written:
        def taken(arg: Node) -> Node:
            share = self._share(node, arg, wanted)
            return writer.whole(arg) if share is None else writer.form(arg, share)

        if node.target is ATEN.mul.Tensor and wanted is not None and len(node.all_input_nodes) == 2:
            features, gate = node.all_input_nodes
            share = self._share(node, gate, wanted)
            if share is not None and writer.is_one(gate, share) and shape_of(features) == shape_of(node):
                return taken(features), wanted
        return writer.again(node, taken), wanted


class ByChannel(Rule):
    """An operation along dimension 1 with a number or several for each channel: ``nn.PReLU``, batch norm in evaluation."""

    @override
    def known(self, node: Node, analysis: Analysis) -> Known | None:
        source, *parts = node.all_input_nodes
        found = analysis.known.get(source)
        if found is None or found.dim != 1 or any(part not in analysis.program.fixed for part in parts):
            return None
        values = {part: analysis.program.value(part).detach().cpu().double() for part in parts}
        values[source] = torch.where(found.closed, found.value, 0.0)[None]
        args = torch.fx.map_arg(node.args, lambda arg: values[arg])
        return Known(1, found.closed, cast("Any", node.target)(*args)[0])

    @override
    def needs(self, node: Node, wanted: Need, analysis: Analysis) -> Asked:
        del analysis
        for arg in node.all_input_nodes:
            alone = wanted is not None and wanted.dim == 1 and arg is node.args[0]
            yield arg, wanted if alone else None

    @override
    def write(self, node: Node, wanted: Need, writer: "Writer") -> Written:
        if wanted is None or wanted.dim != 1:
            return writer.again(node), None
        source, mask = node.args[0], wanted.mask

        def taken(arg: Node) -> Node:
            if arg is source:
                return writer.form(arg, wanted)
            return writer.rows(arg, mask) if shape_of(arg)[0] == len(mask) else writer.whole(arg)

        return writer.again(node, taken), wanted


def _own_dim(node: Node, analysis: Analysis) -> int | None:
    """Where the channels of a tensor are that is known: the only dimension of a fixed one."""
    if node in analysis.known:
        return analysis.known[node].dim
    wide = [dim for dim, size in enumerate(shape_of(node)) if str(size) != "1"]
    return wide[0] if node in analysis.program.fixed and len(wide) == 1 else None


def _in_double(node: Node) -> Any:
    """The operation on float64, whatever type it converts to."""
    if node.target in (ATEN._to_copy.default, ATEN.clone.default):
        return lambda value, **_: value
    return node.target
