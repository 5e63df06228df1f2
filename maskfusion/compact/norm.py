"""Batch norm in evaluation, which goes into the layer before it."""

from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor
from torch.nn.utils.fusion import fuse_conv_bn_weights
from typing_extensions import override

from maskfusion.compact.channels import Need, shape_of
from maskfusion.compact.program import ATEN, Node
from maskfusion.compact.readers import CONVOLUTIONS, parts_of
from maskfusion.compact.rules import ByChannel, Written

if TYPE_CHECKING:
    from maskfusion.compact.writer import Writer


class BatchNorm(ByChannel):
    """A factor and a summand for each channel. A convolution or ``nn.Linear`` takes both over if nothing else reads it."""

    @override
    def write(self, node: Node, wanted: Need, writer: "Writer") -> Written:
        source, *numbers = cast("tuple[Any, ...]", node.args)
        weight, bias, mean, variance, training, _, eps, *_ = numbers
        held = wanted if wanted is not None and wanted.dim == 1 else None
        fixed = all(part is None or part in writer.program.constants for part in (weight, bias))
        statistics = not training and {mean, variance} <= writer.program.constants.keys()
        if not (fixed and statistics and _makes_channels(source)):
            return super().write(node, wanted, writer)
        layer = writer.whole(source) if held is None else writer.form(source, held)
        if layer.target is not source.target:
            return super().write(node, wanted, writer)
        made = parts_of(layer)
        if any(part is not None and part.op != "get_attr" for part in (made.weight, made.bias)):
            return super().write(node, wanted, writer)
        # Rounded to half precision, its products would change the outputs of a deep network.
        if torch.finfo(writer.stored_at(made.weight).dtype).bits < 32:
            return super().write(node, wanted, writer)

        def rows(part: Node | None) -> Tensor | None:
            if part is None:
                return None
            value = writer.program.value(part).detach().double()
            return cast("Tensor", value if held is None else value[held.mask.to(value.device)])

        had = None if made.bias is None else writer.stored_at(made.bias).detach().double()
        new_weight, new_bias = fuse_conv_bn_weights(
            writer.stored_at(made.weight).detach().double(),
            had,
            cast("Tensor", rows(mean)),
            cast("Tensor", rows(variance)),
            eps,
            rows(weight),
            rows(bias),
        )
        return writer.call(
            layer, (made.source, *writer.replaced(made, new_weight, new_bias), *made.rest)
        ), held


def _makes_channels(source: Node) -> bool:
    """Whether it is a layer whose outputs are the channels of batch norm, and nothing else reads it."""
    linear = source.target is ATEN.linear.default and len(shape_of(source)) == 2
    return (linear or source.target in CONVOLUTIONS) and len(source.users) == 1
