"""The command line with a network that sees each sample by itself, so that one process and several can be compared."""

import sys
from typing import Any

from torch import nn

from examples.__main__ import main
from examples.data.batches import Draw
from examples.data.contract import MultimodalData
from examples.nets.model import FusionModel, build_model
from examples.recipes import Network
from examples.run import training

FIRST = 10
"""Samples that the codebooks start from, in every process: their own start depends on the order of a batch."""


def by_sample(data: MultimodalData, network: Network, **more: Any) -> FusionModel:
    """Return the network with group norm in place of batch norm, and with codebooks that have started."""
    model = build_model(data, network, **more)
    for parent in list(model.modules()):
        for name, layer in parent.named_children():
            if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
                setattr(parent, name, nn.GroupNorm(1, layer.num_features))
    model.train()
    model(data.train[Draw(list(range(FIRST)), None)].inputs)
    return model


if __name__ == "__main__":
    training.build_model = by_sample
    sys.exit(main())
