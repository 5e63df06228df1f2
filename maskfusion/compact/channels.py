"""What is known of channels on their way through a network, and which of them somebody reads."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor
from torch.utils._pytree import tree_flatten

from maskfusion._typing import Bool, Float
from maskfusion.compact.program import Node, Program

if TYPE_CHECKING:
    from maskfusion.compact.rules import Rule


class Known(NamedTuple):
    """Channels that hold the same value for every sample and at every place."""

    dim: int
    closed: Bool[Tensor, " channels"]
    value: Float[Tensor, " channels"]
    """In float64; of no meaning where a channel is not closed."""


class Open(NamedTuple):
    """Some channels of a tensor."""

    dim: int
    mask: Bool[Tensor, " channels"]


Need = Open | None
"""Channels that are read; None for all."""


Rules = Callable[[Node], "Rule"]
"""The rule of an operation."""


class Analysis:
    """Forward, what is known; backward, what is needed. ``open`` is what must be computed: read by somebody, and not known.

    Args:
        program: The network.
        rule_of: How an operation treats channels.
    """

    def __init__(self, program: Program, rule_of: "Rules") -> None:
        self.program = program
        self.known: dict[Node, Known] = {}
        self.open: dict[Node, Need] = {}
        self._needs: dict[Node, Need] = {}
        for node in program.graph.nodes:
            if node.op == "call_function" and node not in program.fixed and is_tensor(node):
                self._learn(node, rule_of(node))
        for node in nodes_in(program.output):
            self.ask(node, None)
        for node in reversed(program.graph.nodes):
            self._trace_back(node, rule_of)

    def _learn(self, node: Node, rule: "Rule") -> None:
        found = rule.known(node, self)
        if found is None:
            return
        closed = found.closed & found.value.isfinite()
        sizes = [size for dim, size in enumerate(shape_of(node)) if dim != found.dim]
        if closed.any() and all(isinstance(size, int) or self.program.is_batch(size) for size in sizes):
            self.known[node] = Known(found.dim, closed, torch.where(closed, found.value, 0.0))

    def _trace_back(self, node: Node, rule_of: "Rules") -> None:
        if node.op != "call_function" or node not in self._needs or node in self.program.constants:
            return
        needed, known = self._needs[node], self.known.get(node)
        if known is not None:
            same = needed is not None and needed.dim == known.dim
            mask = ~known.closed & needed.mask if needed is not None and same else ~known.closed
            needed = Open(known.dim, mask)
        self.open[node] = needed
        if needed is None or needed.mask.any():
            for arg, need in rule_of(node).needs(node, needed, self):
                self.ask(arg, need)

    def ask(self, node: Node, need: Need) -> None:
        """Say that somebody reads these channels of a node."""
        if node not in self._needs:
            self._needs[node] = need
            return
        before = self._needs[node]
        same = before is not None and need is not None and before.dim == need.dim
        self._needs[node] = Open(need.dim, before.mask | need.mask) if before and need and same else None

    def is_read(self, node: Node) -> bool:
        """Whether anybody reads it."""
        return node in self._needs

    def values_along(self, node: Node, dim: int) -> Known | None:
        """What is known of a node along a dimension; of a parameter everything, if it varies along no other."""
        known = self.known.get(node)
        if known is not None:
            return known if known.dim == dim else None
        if node not in self.program.fixed or not is_tensor(node):
            return None
        value = self.program.value(node).detach()
        along = value.movedim(dim, 0).reshape(value.shape[dim], -1)
        if not along.numel() or not along.eq(along[:, :1]).all():
            return None
        first = along[:, 0].cpu().double()
        return Known(dim, torch.ones(len(first), dtype=torch.bool), first)


def is_tensor(node: Node) -> bool:
    """Whether a node is one tensor."""
    return isinstance(node.meta.get("val"), Tensor)


def shape_of(node: Node) -> tuple[Any, ...]:
    """Sizes of a tensor, that of the batch a symbol."""
    return tuple(node.meta["val"].shape)


def nodes_in(value: Any) -> list[Node]:
    """The nodes in nested collections."""
    return [leaf for leaf in tree_flatten(value)[0] if isinstance(leaf, Node)]
