"""What the tests of compact share: a mask with closed channels, layers with no zeros, a network, and equality."""

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

import maskfusion as mf
from tests.support.helpers import set_weight

CHANNELS = {"image": 5, "audio": 3}
OMEGA = [0.2, -0.3, 0.04, 0.1, -0.2, 0.3, 0.0, -0.1]
SHAPES = {0: (4, 8), 1: (4, 8, 9), 2: (4, 8, 6, 5), 3: (3, 8, 4, 5, 6)}
CONVS = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}
NORMS = {0: nn.BatchNorm1d, 1: nn.BatchNorm1d, 2: nn.BatchNorm2d, 3: nn.BatchNorm3d}
Step = Callable[[Any, Tensor], Tensor]


def masked(omega: object = OMEGA, **settings) -> mf.ComplementaryMask:
    """A mask of 8 channels, of which three are open."""
    return set_weight(mf.ComplementaryMask(CHANNELS, **settings), omega).eval()


def norm(layer: nn.Module) -> nn.Module:
    """A batch norm as after training: all of its numbers differ, no channel stays zero."""
    count = layer.num_features
    for value in (layer.weight, layer.bias, layer.running_mean):
        if value is not None:
            value.data = torch.randn(count)
    if layer.running_var is not None:
        layer.running_var = torch.rand(count) + 0.5
    return layer


def expect_equal(mask: mf.ComplementaryMask, consumer: nn.Module, *shape: int) -> nn.Sequential:
    """Outputs are equal in evaluation, and what went in did not change."""
    consumer.eval()
    before = copy.deepcopy([mask, consumer])
    small = mf.compact(mask, consumer)
    for old, new in zip(before, [mask, consumer], strict=True):
        torch.testing.assert_close(new.state_dict(), old.state_dict(), rtol=0, atol=0, equal_nan=True)
        assert repr(new) == repr(old)
    assert not small.training
    theirs = {tensor.data_ptr() for tensor in consumer.state_dict().values()} - {0}
    assert not theirs & {tensor.data_ptr() for tensor in small.state_dict().values()}, "nothing is shared"
    features = torch.randn(shape)
    fused = mask.fusion(features) if mask.fusion else features
    torch.testing.assert_close(small(fused), consumer(mask(features)), rtol=1e-5, atol=1e-5)
    return small


class Net(nn.Module):
    """Maps of two modalities, something before the mask, and something behind it."""

    def __init__(self, behind: Step, before: Step, layers: dict[str, nn.Module], **settings: Any) -> None:
        super().__init__()
        self.encoder = nn.Conv2d(3, 8, 1)
        self.mask = set_weight(mf.ComplementaryMask({"image": 5, "audio": 3}, **settings), OMEGA)
        self.before, self.behind = before, behind
        for name, layer in layers.items():
            self.add_module(name, layer)

    def forward(self, x: Tensor) -> Tensor:
        return self.behind(self, self.mask(self.before(self, self.encoder(x))))


def same(model: nn.Module, *inputs: Any) -> tuple[Any, dict[str, tuple[int, ...]]]:
    """Compact, equal in evaluation; shapes of what is stored."""
    small = mf.compact(model.eval(), inputs)
    torch.testing.assert_close(small(*inputs), model(*inputs), rtol=1e-5, atol=1e-5)
    return small, {key: tuple(value.shape) for key, value in small.network.state_dict().items()}


def conv(**settings: Any) -> nn.Module:
    """What reads the masked maps."""
    return nn.Conv2d(8, 4, 3, **settings)
