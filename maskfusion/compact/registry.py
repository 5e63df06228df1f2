"""Which rule an operation follows."""

import operator
from collections.abc import Mapping
from typing import Any

import torch

from maskfusion.compact.moving import MOVING
from maskfusion.compact.norm import BatchNorm
from maskfusion.compact.program import ATEN, Node
from maskfusion.compact.readers import CONVOLUTIONS, Embedding, Reader, reads
from maskfusion.compact.rules import ByChannel, Pointwise, Rule
from maskfusion.compact.stretches import Cat, Size, Slice

UNTAGGED = (
    *(ATEN._to_copy.default, ATEN.hardswish.default, ATEN.log_sigmoid.default, ATEN.detach.default),
    *(ATEN.alias.default, ATEN.where.ScalarOther, ATEN.where.ScalarSelf),
)
"""Operations on each value by itself that PyTorch does not call so."""

RULES: Mapping[Any, Rule] = {
    **MOVING,
    **dict.fromkeys(UNTAGGED, Pointwise()),
    ATEN.batch_norm.default: BatchNorm(),
    ATEN.prelu.default: ByChannel(),
    ATEN.cat.default: Cat(),
    ATEN.slice.Tensor: Slice(),
    ATEN.linear.default: Reader(),
    ATEN.embedding.default: Embedding(),
    ATEN.sym_size.int: Size(),
}
OTHER, POINTWISE = Rule(), Pointwise()


def rule_of(node: Node) -> Rule:
    """The rule of an operation; of those not known, one that keeps it as it is."""
    if node.target in CONVOLUTIONS:
        return reads(node)
    if node.target in RULES:
        return RULES[node.target]
    if node.target is operator.getitem:
        return OTHER
    return POINTWISE if torch.Tag.pointwise in getattr(node.target, "tags", ()) else OTHER
