"""Naming what could not be cut."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch

from maskfusion.compact.channels import Analysis, is_tensor
from maskfusion.compact.program import Node, Program
from maskfusion.compact.readers import CONVOLUTIONS
from maskfusion.compact.registry import rule_of
from maskfusion.compact.report import Uncut

if TYPE_CHECKING:
    from maskfusion.compact.writer import Writer

NORMS = ("layer_norm", "group_norm", "rms_norm", "instance_norm")


def find_uncut(program: Program, analysis: Analysis, writer: "Writer") -> Iterator[Uncut]:
    """Operations that still read closed channels, or compute channels that are never read."""
    for node in program.graph.nodes:
        wanted = analysis.open.get(node)
        if node not in analysis.open or (wanted is not None and not wanted.mask.any()) or not is_tensor(node):
            continue
        given_away = 0 if wanted is None or writer.held(node) is not None else int((~wanted.mask).sum())
        if given_away:
            yield Uncut(path_of(node), name_of(node), given_away, "it gives all its channels at once")
        read = sum(_closed_that_it_reads(node, analysis))
        if read:
            yield Uncut(path_of(node), name_of(node), read, _why(node))


def _closed_that_it_reads(node: Node, analysis: Analysis) -> Iterator[int]:
    for arg, need in rule_of(node).needs(node, analysis.open[node], analysis):
        known = analysis.known.get(arg)
        if known is None:
            continue
        of_them = need.mask if need is not None and need.dim == known.dim else torch.ones_like(known.closed)
        yield int((known.closed & of_them).sum())


def _why(node: Node) -> str:
    if any(norm in name_of(node) for norm in NORMS):
        return "a norm over channels needs their mean"
    if node.target in CONVOLUTIONS:
        return "its groups, or its padding, need them"
    if torch.Tag.pointwise in getattr(node.target, "tags", ()):
        return "they meet channels that are open, as in a residual"
    return "it reads all channels together"


def name_of(node: Node) -> str:
    """How an operation is called."""
    return str(node.target).removeprefix("aten.").rsplit(".", 1)[0]


def path_of(node: Node) -> str:
    """The module that an operation is part of."""
    stack = list(node.meta.get("nn_module_stack", {}).values())
    path = str(stack[-1][0]) if stack else ""
    return path.removeprefix("model.") if path != "model" else ""
