"""Layers that make new channels of those that they read: their weights lose rows and columns."""

from typing import TYPE_CHECKING, Any, NamedTuple, cast

import torch
from torch import Tensor
from typing_extensions import override

from maskfusion._typing import Bool, Float
from maskfusion.compact.channels import Analysis, Known, Need, Open, shape_of
from maskfusion.compact.program import ATEN, Node
from maskfusion.compact.rules import Asked, Rule, Written

if TYPE_CHECKING:
    from maskfusion.compact.writer import Writer

CONVOLUTIONS = tuple(
    getattr(getattr(ATEN, f"conv{rank}d"), kind) for rank in (1, 2, 3) for kind in ("default", "padding")
)


class Parts(NamedTuple):
    """What a linear layer or a convolution is called with."""

    source: Node
    weight: Node
    bias: Node | None
    rest: tuple[Any, ...]


class Reader(Rule):
    """``nn.Linear`` and convolutions without groups. Closed channels leave the weight; what they add goes into the bias."""

    @override
    def known(self, node: Node, analysis: Analysis) -> Known | None:
        constants = self._constants(node, analysis)
        if constants is None or not constants[0].all() or (_pads(node) and constants[1].any()):
            return None
        added = _added(node, constants, analysis)
        bias = parts_of(node).bias
        if bias is not None and bias not in analysis.program.fixed:
            return None
        value = added if bias is None else added + analysis.program.value(bias).detach().cpu().double()
        return Known(_dim(node), torch.ones(len(value), dtype=torch.bool), value)

    @override
    def needs(self, node: Node, wanted: Need, analysis: Analysis) -> Asked:
        parts = parts_of(node)
        for arg in (parts.weight, parts.bias):
            if arg is not None:
                yield arg, None
        constants = self._constants(node, analysis)
        reads_all = (
            constants is None or constants[0].all()
        )  # of constants alone it still makes borders, where it pads
        yield parts.source, None if constants is None or reads_all else Open(_dim(node), ~constants[0])

    @override
    def write(self, node: Node, wanted: Need, writer: "Writer") -> Written:
        parts, dim = parts_of(node), _dim(node)
        constants = self._constants(node, writer.analysis)
        if constants is not None and (constants[0].all() or not constants[0].any()):
            constants = None
        rows = wanted if wanted is not None and wanted.dim == dim else None
        mask = None if rows is None else rows.mask
        if constants is None:
            source, weight, bias = writer.whole(parts.source), writer.rows(parts.weight, mask), parts.bias
            return writer.call(node, (source, weight, bias and writer.rows(bias, mask), *parts.rest)), rows
        source = writer.form(parts.source, Open(dim, ~constants[0]))
        if _pads(node) and constants[1].any():
            ones = _of_closed(writer.program.value(parts.weight), constants)
            weight = writer.columns(parts.weight, mask, ~constants[0], ones)
            source, bias = writer.with_ones(source), parts.bias and writer.rows(parts.bias, mask)
        else:
            weight = writer.columns(parts.weight, mask, ~constants[0])
            bias = writer.added_bias(parts, _added(node, constants, writer.analysis), mask)
        return writer.call(node, (source, weight, bias, *parts.rest)), rows

    @staticmethod
    def _constants(
        node: Node, analysis: Analysis
    ) -> tuple[Bool[Tensor, " channels"], Float[Tensor, " channels"]] | None:
        """Channels that the layer need not read, and their values; None where it must read all."""
        parts = parts_of(node)
        found = analysis.known.get(parts.source)
        if found is None or found.dim != _dim(node) or parts.weight not in analysis.program.fixed:
            return None
        return found.closed, torch.where(found.closed, found.value, 0.0)


class Depthwise(Rule):
    """A convolution that treats each channel by itself."""

    @override
    def known(self, node: Node, analysis: Analysis) -> Known | None:
        parts = parts_of(node)
        found = analysis.values_along(parts.source, 1)
        fixed = [part for part in (parts.weight, parts.bias) if part is not None]
        if found is None or any(part not in analysis.program.fixed for part in fixed):
            return None
        sums = analysis.program.value(parts.weight).detach().cpu().double().flatten(1).sum(1)
        value = torch.where(found.closed, found.value, 0.0) * sums
        if parts.bias is not None:
            value = value + analysis.program.value(parts.bias).detach().cpu().double()
        closed = found.closed & (found.value == 0) if _pads(node) else found.closed
        return Known(1, closed, value)

    @override
    def needs(self, node: Node, wanted: Need, analysis: Analysis) -> Asked:
        for arg in node.all_input_nodes:
            alone = arg is node.args[0] and wanted is not None and wanted.dim == 1
            yield arg, wanted if alone else None
        del analysis

    @override
    def write(self, node: Node, wanted: Need, writer: "Writer") -> Written:
        if wanted is None or wanted.dim != 1:
            return writer.again(node), None
        parts = parts_of(node)
        weight, bias = (
            writer.rows(parts.weight, wanted.mask),
            parts.bias and writer.rows(parts.bias, wanted.mask),
        )
        taken = writer.form(parts.source, wanted), weight, bias
        return writer.call(node, (*taken, *parts.rest[:3], int(wanted.mask.sum()))), wanted


class Embedding(Rule):
    """A table whose columns are the channels."""

    @override
    def write(self, node: Node, wanted: Need, writer: "Writer") -> Written:
        if wanted is None or wanted.dim != len(shape_of(node)) - 1:
            return writer.again(node), None
        table, indices, *rest = cast("tuple[Any, ...]", node.args)
        return writer.call(
            node, (writer.columns(table, None, wanted.mask), writer.whole(indices), *rest)
        ), wanted


def reads(node: Node) -> Rule:
    """The rule of a convolution, by its groups."""
    rest = parts_of(node).rest
    groups = rest[3] if len(rest) > 3 else 1
    if groups == 1:
        return Reader()
    channels = shape_of(parts_of(node).source)[1]
    return Depthwise() if groups == channels == shape_of(parts_of(node).weight)[0] else Rule()


def parts_of(node: Node) -> Parts:
    """What a linear layer or a convolution is called with."""
    source, weight, *others = cast("tuple[Any, ...]", node.args)
    bias, *rest = others or [None]
    return Parts(source, weight, bias, tuple(rest))


def _dim(node: Node) -> int:
    """Where the channels are: along dimension 1 of a convolution, the last of ``nn.Linear``."""
    return 1 if node.target in CONVOLUTIONS else len(shape_of(node)) - 1


def _pads(node: Node) -> bool:
    if node.target not in CONVOLUTIONS:
        return False
    rest = parts_of(node).rest
    padding: Any = rest[1] if len(rest) > 1 else node.kwargs.get("padding", 0)
    if isinstance(padding, str):
        return padding != "valid"
    return padding > 0 if isinstance(padding, int) else any(padding)


def _of_closed(weight: Tensor, constants: tuple[Tensor, Tensor]) -> Float[Tensor, "out *kernel"]:
    """What the closed channels add to the output, a value an element of the kernel."""
    closed, value = constants
    theirs = weight.detach().cpu().double()[:, closed]
    summed: Tensor = torch.tensordot(theirs, value[closed], ([1], [0]))
    return summed


def _added(node: Node, constants: tuple[Tensor, Tensor], analysis: Analysis) -> Float[Tensor, " out"]:
    weight = analysis.program.value(parts_of(node).weight)
    return (
        _of_closed(weight, constants).flatten(1).sum(1) if weight.ndim > 2 else _of_closed(weight, constants)
    )
