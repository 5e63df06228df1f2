"""Tensors put together and taken apart."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, cast

import torch
from typing_extensions import override

from maskfusion.compact.channels import Analysis, Known, Need, Open, shape_of
from maskfusion.compact.program import Node
from maskfusion.compact.rules import Asked, Rule, Written

if TYPE_CHECKING:
    from maskfusion.compact.writer import Writer


class Cat(Rule):
    """Tensors one after the other, along the channels or along something else."""

    @override
    def known(self, node: Node, analysis: Analysis) -> Known | None:
        parts, dim = _parts(node)
        founds = [analysis.known.get(part) for part in parts]
        dims = {found.dim for found in founds if found is not None}
        if len(dims) != 1:
            return None
        (along,) = dims
        if along == dim:
            known = [
                found or Known(dim, torch.zeros(shape_of(part)[dim]).bool(), torch.zeros(shape_of(part)[dim]))
                for part, found in zip(parts, founds, strict=True)
            ]
            return Known(
                dim, torch.cat([k.closed for k in known]), torch.cat([k.value.double() for k in known])
            )
        if None in founds:
            return None
        first, *others = cast("list[Known]", founds)
        closed = first.closed.clone()
        for other in others:
            closed &= other.closed & (other.value == first.value)
        return Known(along, closed, first.value)

    @override
    def needs(self, node: Node, wanted: Need, analysis: Analysis) -> Asked:
        del analysis
        for part, share in self._shares(node, wanted):
            if share is None or share.mask.any():
                yield part, share

    @staticmethod
    def _shares(node: Node, wanted: Need) -> Iterator[tuple[Node, Need]]:
        parts, dim = _parts(node)
        start = 0
        for part in parts:
            if wanted is None or wanted.dim != dim:
                yield part, wanted
                continue
            stop = start + shape_of(part)[dim]
            yield part, Open(dim, wanted.mask[start:stop])
            start = stop

    @override
    def write(self, node: Node, wanted: Need, writer: "Writer") -> Written:
        shares = [
            (part, share) for part, share in self._shares(node, wanted) if share is None or share.mask.any()
        ]
        taken = [writer.whole(part) if share is None else writer.form(part, share) for part, share in shares]
        if len(taken) == 1:
            return taken[0], wanted
        return writer.call(node, (taken, _parts(node)[1])), wanted


class Slice(Rule):
    """A stretch of a tensor, along the channels or along something else."""

    @override
    def known(self, node: Node, analysis: Analysis) -> Known | None:
        source = cast("Node", node.args[0])
        found, stretch = analysis.known.get(source), _stretch(node)
        if found is None or stretch is None:
            return None
        dim, picked = stretch
        if dim != found.dim:
            return found
        return Known(dim, found.closed[picked], found.value[picked])

    @override
    def needs(self, node: Node, wanted: Need, analysis: Analysis) -> Asked:
        del analysis
        for arg in node.all_input_nodes:
            yield arg, self._share(node, wanted) if arg is node.args[0] else None

    @staticmethod
    def _share(node: Node, wanted: Need) -> Need:
        stretch = _stretch(node)
        if wanted is None or stretch is None:
            return None
        dim, picked = stretch
        if dim != wanted.dim:
            return wanted
        mask = torch.zeros(shape_of(cast("Node", node.args[0]))[dim], dtype=torch.bool)
        mask[picked] = wanted.mask
        return Open(dim, mask)

    @override
    def write(self, node: Node, wanted: Need, writer: "Writer") -> Written:
        source, share = cast("Node", node.args[0]), self._share(node, wanted)
        if share is None or wanted is None:
            return writer.again(node), None
        taken = writer.form(source, share)
        along = share.dim == cast("tuple[int, slice]", _stretch(node))[0]
        return taken if along else writer.again(
            node, lambda arg: taken if arg is source else writer.whole(arg)
        ), wanted


class Size(Rule):
    """The size of the batch, read from any input."""

    @override
    def needs(self, node: Node, wanted: Need, analysis: Analysis) -> Asked:
        if not analysis.program.is_batch(node.meta["val"]):
            yield from super().needs(node, wanted, analysis)

    @override
    def write(self, node: Node, wanted: Need, writer: "Writer") -> Written:
        if writer.program.is_batch(node.meta["val"]):
            return writer.batch(), None
        return super().write(node, wanted, writer)


def _parts(node: Node) -> tuple[list[Node], int]:
    parts = cast("list[Node]", node.args[0])
    dim = node.args[1] if len(node.args) > 1 else node.kwargs.get("dim", 0)
    return parts, cast("int", dim) % len(shape_of(node))


def _stretch(node: Node) -> tuple[int, slice] | None:
    """Dimension and stretch of ``aten.slice``; None where its ends are not fixed."""
    source, *rest = cast("tuple[Any, ...]", node.args)
    given: list[Any] = [*rest, *(0, None, None, 1)[len(rest) :]]
    dim, start, stop, step = given
    dim = dim % len(shape_of(node))
    size = shape_of(source)[dim]
    if isinstance(size, int) and all(isinstance(end, (int, type(None))) for end in (start, stop, step)):
        return dim, slice(*slice(start, stop, step).indices(size))
    return (dim, slice(None)) if str(size) == str(shape_of(node)[dim]) else None
