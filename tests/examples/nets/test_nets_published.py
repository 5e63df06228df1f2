"""The published configuration, layer by layer against numbers worked out by hand, and ResNet-18."""

from itertools import pairwise

import pytest
import torch
from torch import Tensor, nn

from examples.data.contract import Modality
from examples.nets.model import FusionModel
from examples.nets.resnet import ResNet18
from examples.recipes import Network
from maskfusion import ComplementaryMask

MODALITIES = {"image": Modality("image", (3, 128, 128)), "audio": Modality("image", (1, 256, 256))}
PUBLISHED = Network(pooling={"audio": 1})


@pytest.fixture(scope="module")
def model() -> FusionModel:
    torch.manual_seed(0)
    model = FusionModel(MODALITIES, 6, PUBLISHED, quantise=True)
    model.fusion = ComplementaryMask(model.channels, fusion=model.fusion)
    return model.eval()


def conv(channels: int, width: int, kernel: int) -> int:
    """Weights and biases of a square convolution, forth or back."""
    return channels * width * kernel**2 + width


def stack(width: int, hidden: int) -> int:
    """Weights of two residual blocks, whose convolutions have no biases, and of the last normalisation."""
    block = 2 * width + width * hidden * 9 + 2 * hidden + hidden * width
    return 2 * block + 2 * width


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def shapes(layers: nn.Sequential, x: Tensor) -> list[tuple[int, ...]]:
    """What leaves each layer that changes the shape, without the batch."""
    seen = [tuple(x.shape[1:])]
    for layer in layers:
        x = layer(x)
        seen.append(tuple(x.shape[1:]))
    return [after for before, after in pairwise(seen) if before != after]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("image", [(64, 64, 64), (128, 32, 32), (64, 32, 32)]),
        ("audio", [(64, 128, 128), (128, 64, 64), (128, 32, 32), (64, 32, 32)]),
    ],
)
def test_shapes_of_the_encoder(model: FusionModel, name: str, expected: list[tuple[int, ...]]):
    x = torch.zeros(1, *MODALITIES[name].shape)
    assert shapes(model.encoders[name].layers, x) == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("image", [(128, 32, 32), (64, 64, 64), (3, 128, 128)]),
        ("audio", [(128, 32, 32), (64, 64, 64), (32, 128, 128), (1, 256, 256)]),
    ],
)
def test_shapes_of_the_decoder(model: FusionModel, name: str, expected: list[tuple[int, ...]]):
    assert shapes(model.decoders[name].layers, torch.zeros(1, 64, 32, 32)) == expected


def test_shapes_of_the_classifier(model: FusionModel):
    expected = [(32, 16, 16), (32, 8, 8), (2048,), (256,), (6,)]
    assert shapes(model.head.layers, torch.zeros(1, 128, 32, 32)) == expected


def test_shapes_of_the_whole(model: FusionModel):
    output = model({name: torch.randn(1, *modality.shape) for name, modality in MODALITIES.items()})
    assert output.prediction.shape == (1, 6)
    assert output.fused.shape == (1, 128, 32, 32)
    for name, modality in MODALITIES.items():
        assert output.latents[name].shape == output.quantized[name].quantized.shape == (1, 64, 32, 32)
        assert output.reconstructions[name].shape == (1, *modality.shape)
        assert model.quantizers[name].codebook.shape == (512, 64)


def test_parameters(model: FusionModel):
    encoders = {
        name: conv(channels, 64, 4)
        + 2 * 64
        + conv(64, 128, 4)
        + 2 * 128
        + conv(128, 128, 3)
        + stack(128, 32)
        + conv(128, 64, 1)
        for name, channels in (("image", 3), ("audio", 1))
    }
    begin = conv(64, 128, 3) + stack(128, 32) + conv(128, 64, 4) + 2 * 64
    decoders = {
        "image": begin + conv(64, 3, 4),
        "audio": begin + conv(64, 32, 4) + 2 * 32 + conv(32, 1, 4),
    }
    head = (
        conv(128, 32, 3)
        + 2 * 32
        + conv(32, 32, 3)
        + stack(32, 8)
        + (2048 * 256 + 256)
        + 2 * 256
        + (256 * 6 + 6)
    )
    assert {name: count(encoder) for name, encoder in model.encoders.items()} == encoders
    assert {name: count(decoder) for name, decoder in model.decoders.items()} == decoders
    assert count(model.head) == head
    mask = 128
    assert count(model) == sum(encoders.values()) + sum(decoders.values()) + head + mask == 1_935_306


def test_order_of_layers(model: FusionModel):
    """What the weights do not tell: where it is normalised, rectified, pooled and dropped."""

    def kinds(layers: nn.Module) -> list[str]:
        return [type(layer).__name__ for layer in layers.children()]

    encoder = model.encoders["audio"].layers
    start = ["Conv2d", "BatchNorm2d", "ReLU"]
    assert kinds(encoder) == [*start, *start, "Conv2d", "MaxPool2d", "Sequential", "Conv2d"]
    residuals = encoder[8]
    assert kinds(residuals) == ["Residual", "Residual", "BatchNorm2d", "ReLU"]
    assert kinds(residuals[0].layers) == 2 * ["BatchNorm2d", "ReLU", "Conv2d"]
    up = ["Doubling", "BatchNorm2d", "ReLU"]
    assert kinds(model.decoders["audio"].layers) == ["Conv2d", "Sequential", *up, *up, "Doubling"]
    last = ["Flatten", "Linear", "BatchNorm1d", "ReLU", "Dropout", "Linear"]
    assert kinds(model.head.layers) == [*start, "Conv2d", "Dropout", "Sequential", *last]


def test_channels_last_stays():
    """No layer of the published network turns its maps back, and the numbers are the same."""
    torch.manual_seed(0)
    modalities = {"image": Modality("image", (3, 32, 32)), "audio": Modality("image", (1, 64, 64))}
    model = FusionModel(modalities, 6, PUBLISHED, quantise=True)
    model.fusion = ComplementaryMask(model.channels, fusion=model.fusion)
    inputs = {name: torch.randn(2, *modality.shape) for name, modality in modalities.items()}
    model(inputs)  # the first codes
    model.eval()
    before = model(inputs)
    model.to(memory_format=torch.channels_last)
    turned: list[str] = []

    def watch(name: str, maps: object) -> None:
        maps = getattr(maps, "quantized", maps)
        if (
            isinstance(maps, Tensor)
            and maps.ndim == 4
            and not maps.is_contiguous(memory_format=torch.channels_last)
        ):
            turned.append(name)

    for name, module in model.named_modules():
        module.register_forward_hook(lambda _module, _inputs, output, name=name: watch(name, output))
    after = model({name: x.contiguous(memory_format=torch.channels_last) for name, x in inputs.items()})
    assert turned == []
    torch.testing.assert_close(after.latents, before.latents, rtol=1e-4, atol=1e-4)


def test_resnet_has_the_standard_size():
    body = ResNet18((3, 224, 224)).eval()
    assert count(body) == 11_689_512 - (512 * 1000 + 1000)  # of the classifier of ImageNet
    assert shapes(body.stem, torch.zeros(1, 3, 224, 224)) == [(64, 112, 112), (64, 56, 56)]
    expected = [(128, 28, 28), (256, 14, 14), (512, 7, 7)]
    assert shapes(body.stages, torch.zeros(1, 64, 56, 56)) == expected
    assert body.grids == ((224, 224), (112, 112), (56, 56), (28, 28), (14, 14), (7, 7))


@pytest.mark.parametrize("channels", [1, 3, 7])
@pytest.mark.parametrize(
    ("size", "stages", "grid"),
    [((63, 90), 4, (8, 12)), ((64, 65), 4, (2, 3)), ((96, 100), 2, (12, 13)), ((5, 1), 3, (2, 1))],
)
def test_resnet_for_any_input(channels: int, size: tuple[int, int], stages: int, grid: tuple[int, int]):
    body = ResNet18((channels, *size), width=4, stages=stages).eval()
    assert body(torch.zeros(1, channels, *size)).shape == (1, 4 * 2 ** (stages - 1), *grid)
    assert body.grids[-1] == grid


def test_resnet_adds_the_shortcut():
    block = ResNet18((1, 8, 8), width=2, stages=2).stages[0][0].eval()
    nn.init.zeros_(block.layers[0].weight)
    x = torch.randn(1, 2, 3, 3)
    assert torch.equal(block(x), x.relu())
