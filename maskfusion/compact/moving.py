"""Operations after which every channel is what it was, elsewhere: views, transposes, pooling, means over places."""

from collections.abc import Callable, Mapping, Sequence
from math import prod
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from torch import Tensor
from typing_extensions import override

from maskfusion.compact.channels import Analysis, Known, Need, Open, shape_of
from maskfusion.compact.program import ATEN, Node
from maskfusion.compact.rules import Asked, Rule, Written

if TYPE_CHECKING:
    from maskfusion.compact.writer import Writer


class Move(NamedTuple):
    """Where channels are afterwards."""

    dim: int
    before: int = 1
    """How often they repeat as a whole."""
    after: int = 1
    """How many values each of them has become."""

    def spread(self, channels: Tensor) -> Tensor:
        """From the channels before to those after."""
        return channels.repeat_interleave(self.after).repeat(self.before)

    def gathered(self, channels: Tensor) -> Tensor:
        """The channels before of which any value after is among these."""
        return channels.view(self.before, -1, self.after).any(2).any(0)


Where = Callable[[Node, int], Move | None]
"""``(node, dimension before) -> where it is after``; None where channels are not to be followed."""


class Moving(Rule):
    """An operation on the places of a tensor.

    Args:
        where: Where the channels go.
        keeps_constants: Whether a channel that is constant, but not zero, still is; a function of the operation.
        sized: Whether the operation is told the sizes of its output.
    """

    def __init__(
        self, where: Where, keeps_constants: Callable[[Node], bool] = lambda _: True, sized: bool = False
    ) -> None:
        self.where = where
        self.keeps_constants = keeps_constants
        self.sized = sized

    @override
    def known(self, node: Node, analysis: Analysis) -> Known | None:
        found = analysis.known.get(cast("Node", node.args[0]))
        move = None if found is None else self.where(node, found.dim)
        if found is None or move is None:
            return None
        closed = found.closed if self.keeps_constants(node) else found.closed & (found.value == 0)
        return Known(move.dim, move.spread(closed), move.spread(found.value))

    def _share(self, node: Node, wanted: Need, analysis: Analysis) -> tuple[Open, Move] | None:
        """The channels that it reads, and where they go."""
        if wanted is None:
            return None
        source = cast("Node", node.args[0])
        found = analysis.known.get(source)
        sizes = shape_of(source)
        dims = (
            [found.dim]
            if found is not None
            else sorted(range(len(sizes)), key=lambda dim: str(sizes[dim]) == "1")
        )
        for dim in dims:
            move = self.where(node, dim)
            if move is not None and move.dim == wanted.dim and isinstance(sizes[dim], int):
                return Open(dim, move.gathered(wanted.mask)), move
        return None

    @override
    def needs(self, node: Node, wanted: Need, analysis: Analysis) -> Asked:
        share = self._share(node, wanted, analysis)
        for arg in node.all_input_nodes:
            yield arg, share[0] if share is not None and arg is node.args[0] else None

    @override
    def write(self, node: Node, wanted: Need, writer: "Writer") -> Written:
        share = self._share(node, wanted, writer.analysis)
        if share is None:
            return writer.again(node), None
        reads, move = share
        gives = Open(move.dim, move.spread(reads.mask))
        source, *rest = node.args
        taken = writer.form(cast("Node", source), reads)
        others = [writer.mapped(arg) for arg in rest]
        if self.sized:
            sizes = list(cast("Sequence[Any]", others[0]))
            sizes[move.dim] = int(gives.mask.sum())
            others[0] = sizes
        return writer.call(node, (taken, *others)), gives


def stays(node: Node, dim: int) -> Move | None:
    """Channels stay where they are; those of a dimension that changes its size are not to be followed."""
    before, after = shape_of(cast("Node", node.args[0])), shape_of(node)
    return Move(dim) if len(before) == len(after) and str(before[dim]) == str(after[dim]) else None


def pooled(node: Node, dim: int) -> Move | None:
    """Pooling and interpolation work on the dimensions behind the channels."""
    return Move(dim) if dim == 1 and len(shape_of(node)) > 2 else None


def padded(node: Node, dim: int) -> Move | None:
    """Padding adds places along the last dimensions."""
    touched = len(cast("Sequence[Any]", node.args[1])) // 2
    return Move(dim) if dim < len(shape_of(node)) - touched else None


def permuted(node: Node, dim: int) -> Move | None:
    """Every dimension has a new place."""
    order = [each % len(shape_of(node)) for each in cast("Sequence[int]", node.args[1])]
    return Move(order.index(dim))


def transposed(node: Node, dim: int) -> Move | None:
    """Two dimensions change places."""
    rank = len(shape_of(node))
    first, second = (cast("int", each) % rank for each in (node.args[1:] or (0, 1)))
    return Move({first: second, second: first}.get(dim, dim))


def reduced(node: Node, dim: int) -> Move | None:
    """Some dimensions are averaged, or looked through for the largest value."""
    rank = len(shape_of(cast("Node", node.args[0])))
    dims = node.args[1] if len(node.args) > 1 else None
    over = {
        each % rank
        for each in ([dims] if isinstance(dims, int) else cast("Sequence[int]", dims or range(rank)))
    }
    if dim in over:
        return None
    kept = len(shape_of(node)) == rank
    return Move(dim if kept else dim - sum(each < dim for each in over))


def selected(node: Node, dim: int) -> Move | None:
    """One place along a dimension is taken."""
    rank = len(shape_of(node)) + 1
    at = cast("int", node.args[1]) % rank
    return None if at == dim else Move(dim - (at < dim))


def viewed(node: Node, dim: int) -> Move | None:
    """Dimensions are joined, or those of size 1 come and go."""
    before, after = shape_of(cast("Node", node.args[0])), shape_of(node)
    start = _alike(before, after)
    end = _alike(before[start:][::-1], after[start:][::-1])
    if dim < start:
        return Move(dim)
    if dim >= len(before) - end:
        return Move(dim + len(after) - len(before))
    ours, theirs = before[start : len(before) - end], after[start : len(after) - end]
    if not all(isinstance(size, int) for size in (*ours, *theirs)):
        return None
    wide = [place for place, size in enumerate(theirs) if str(size) != "1"] or list(range(len(theirs)))[:1]
    if len(wide) != 1:
        return None
    place = dim - start
    return Move(start + wide[0], prod(ours[:place]), prod(ours[place + 1 :]))


def _alike(before: Sequence[Any], after: Sequence[Any]) -> int:
    """How many sizes are the same from the start."""
    count = 0
    while count < min(len(before), len(after)) and str(before[count]) == str(after[count]):
        count += 1
    return count


def _averages_places_alone(node: Node) -> bool:
    """Whether average pooling leaves padding out, and divides by what it adds up."""
    padding, _, counts, divisor = (cast("Any", node.args)[3 + place :] for place in range(4))
    pads = bool(padding) and any(padding[0] if isinstance(padding[0], (list, tuple)) else [padding[0]])
    return not (pads and (not counts or counts[0])) and (not divisor or divisor[0] is None)


def _pads_alike(node: Node) -> bool:
    """Whether what is padded with is taken from the channel itself."""
    return len(node.args) > 2 and node.args[2] != "constant"


def _named(*names: str, ranks: Sequence[int] = (1, 2, 3)) -> list[Any]:
    """The operations of these names, ``{}`` being their rank."""
    return [getattr(ATEN, name.format(rank)) for name in names for rank in ranks]


MOVING: Mapping[Any, Moving] = {
    **dict.fromkeys(
        (ATEN.view.default, ATEN._unsafe_view.default, ATEN.reshape.default), Moving(viewed, sized=True)
    ),
    **dict.fromkeys((ATEN.unsqueeze.default, ATEN.squeeze.dim, ATEN.squeeze.dims), Moving(viewed)),
    ATEN.expand.default: Moving(stays, sized=True),
    ATEN.permute.default: Moving(permuted),
    ATEN.transpose.int: Moving(transposed),
    ATEN.t.default: Moving(transposed),
    ATEN.select.int: Moving(selected),
    **dict.fromkeys((ATEN.mean.dim, ATEN.amax.default, ATEN.amin.default), Moving(reduced)),
    ATEN.pad.default: Moving(padded, _pads_alike),
    **dict.fromkeys(
        [
            *(packet.default for packet in _named("max_pool{}d")),
            *(packet.default for packet in _named("adaptive_avg_pool{}d")),
            *(packet.vec for packet in _named("upsample_nearest{}d")),
            *(ATEN.upsample_bilinear2d.vec, ATEN.upsample_linear1d.vec, ATEN.upsample_trilinear3d.vec),
        ],
        Moving(pooled),
    ),
    **dict.fromkeys(
        (packet.default for packet in _named("avg_pool{}d")), Moving(pooled, _averages_places_alone)
    ),
}
