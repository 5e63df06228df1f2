"""What has gone of a network, and what could not."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, fx
from torch.utils.flop_counter import FlopCounterMode
from typing_extensions import override

from maskfusion._table import aligned
from maskfusion.compact.program import Node

Owner = Callable[[frozenset[str]], str]
"""Inputs that something depends on -> the row in which it is counted."""


JOINT, UNREAD = "joint", "not read"


@dataclass(frozen=True)
class Share:
    """What belongs to a modality, before and after."""

    modality: str
    """Its name; "joint" for what several have in common, "not read" for what the output does not depend on."""
    parameters: tuple[int, int]
    multiply_adds: tuple[int, int]
    """Of one call on the example."""
    bytes: tuple[int, int]
    """Parameters and buffers."""


@dataclass(frozen=True)
class Uncut:
    """A layer that still has, or reads, channels that are closed."""

    path: str
    operation: str
    channels: int
    """How many."""
    why: str

    @override
    def __str__(self) -> str:
        """A sentence."""
        stay = "1 closed channel stays" if self.channels == 1 else f"{self.channels} closed channels stay"
        return f"{self.path or 'the network itself'} ({self.operation}): {stay}; {self.why}."


@dataclass(frozen=True)
class Report:
    """What ``compact`` did; ``print`` shows a table."""

    shares: tuple[Share, ...]
    uncut: tuple[Uncut, ...]
    unread: tuple[str, ...]
    """Inputs that are not needed any more."""

    @property
    def total(self) -> Share:
        """The whole network."""
        columns = zip(
            *((each.parameters, each.multiply_adds, each.bytes) for each in self.shares), strict=True
        )
        parameters, multiply_adds, size = ((sum(p[0] for p in c), sum(p[1] for p in c)) for c in columns)
        return Share("all", parameters, multiply_adds, size)

    @override
    def __str__(self) -> str:
        """A table, then what is not needed and what stays."""
        rows: list[tuple[str, ...]] = [("", "parameters", "multiply-adds", "bytes")]
        for share in (*self.shares, self.total):
            numbers = (share.parameters, share.multiply_adds, share.bytes)
            rows.append((share.modality, *(f"{before:,} -> {after:,}" for before, after in numbers)))
        lines = aligned(rows)
        lines += [f"Not needed any more: {', '.join(self.unread)}."] if self.unread else []
        return "\n".join([*lines, *map(str, self.uncut)])


def count(
    graph: fx.Graph, values: Mapping[Node, Tensor], heard: Callable[[Node], frozenset[str]], owner: Owner
) -> Counter[str]:
    """Multiply-adds of one run of a program, by owner.

    Args:
        graph: The program.
        values: What is given, and what it stores.
        heard: Inputs that an operation depends on.
        owner: Whose an operation is.
    """
    found: Counter[str] = Counter()
    done: dict[Node, Any] = dict(values)
    left = Counter(arg for node in graph.nodes for arg in node.all_input_nodes)
    for node in graph.nodes:
        if node.op == "call_function" and node not in values:
            args, kwargs = fx.map_arg((node.args, node.kwargs), lambda arg: done[arg])
            with FlopCounterMode(display=False) as counter:
                done[node] = cast("Callable[..., Any]", node.target)(*args, **kwargs)
            found[owner(heard(node))] += counter.get_total_flops() // 2
        for arg in node.all_input_nodes:
            left[arg] -= 1
            if not left[arg]:
                done.pop(arg, None)
    return found


def tally(
    tensors: Iterable[tuple[Node, Tensor]], heard: Callable[[Node], frozenset[str]], owner: Owner
) -> tuple[Counter[str], Counter[str]]:
    """Parameters, and bytes of all that is stored, by the owner of what reads them."""
    parameters: Counter[str] = Counter()
    size: Counter[str] = Counter()
    for node, tensor in tensors:
        is_parameter = isinstance(tensor, torch.nn.Parameter)
        whose = owner(frozenset().union(*(heard(user) for user in node.users)))
        whose = UNREAD if is_parameter and not node.users else whose
        parameters[whose] += tensor.numel() if is_parameter else 0
        size[whose] += tensor.numel() * tensor.element_size()
    return parameters, size
