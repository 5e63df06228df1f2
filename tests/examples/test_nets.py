"""Encoders, decoders and heads by kind, and the model for one, two and three modalities."""

import pytest
import torch

from examples.data.contract import Modality
from examples.nets.decoders import build_decoder
from examples.nets.encoders import build_encoder
from examples.nets.heads import ConvolutionalHead
from examples.nets.model import Concatenation, FusionModel
from examples.recipe import Network
from maskfusion import ComplementaryMask

SMALL = Network(width=8, residual_width=4, residual_blocks=2, latent=6, codes=5, head_width=4, head_hidden=8)
KINDS = {
    "image": (Modality("image", (3, 16, 15)), (4, 3)),
    "tall": (Modality("image", (1, 21, 4)), (5, 1)),
    "sequence": (Modality("sequence", (6, 30)), (7, 1)),
    "vector": (Modality("vector", (11,)), (1, 1)),
}


@pytest.mark.parametrize("key", KINDS)
def test_encoder_and_decoder_shapes(key: str):
    modality, grid = KINDS[key]
    encoder, decoder = build_encoder(modality, SMALL), build_decoder(modality, SMALL)
    x = torch.randn(2, *modality.shape)
    latent = encoder(x)
    assert latent.shape == (2, SMALL.latent, *grid)
    assert encoder.grid == grid
    assert decoder(latent).shape == x.shape


@pytest.mark.parametrize("modality", [Modality("image", (1, 3, 8)), Modality("sequence", (2, 3))])
def test_too_small_to_halve_twice(modality: Modality):
    with pytest.raises(ValueError, match=r"`shape` .* must be at least 4 wide"):
        build_encoder(modality, SMALL)


def test_published_sizes():
    encoder = build_encoder(Modality("image", (3, 128, 128)), Network())
    assert encoder(torch.zeros(1, 3, 128, 128)).shape == (1, 64, 32, 32)
    head = ConvolutionalHead(128, (32, 32), 6, Network()).eval()
    assert any(isinstance(layer, torch.nn.Linear) and layer.in_features == 2048 for layer in head.layers)
    assert head(torch.zeros(1, 128, 32, 32)).shape == (1, 6)


@pytest.mark.parametrize("grid", [(1, 1), (4, 3), (7, 1), (9, 5)])
def test_head_takes_any_grid(grid: tuple[int, int]):
    head = ConvolutionalHead(6, grid, 3, SMALL)
    assert head(torch.randn(2, 6, *grid)).shape == (2, 3)


def test_concatenation_repeats_the_nearest_value():
    image = torch.arange(4.0).view(1, 1, 2, 2)
    vector = torch.full((1, 2, 1, 1), 9.0)
    fused = Concatenation()({"image": image, "vector": vector})
    assert fused.shape == (1, 3, 2, 2)
    assert torch.equal(fused[:, :1], image)
    assert (fused[:, 1:] == 9).all()


@pytest.mark.parametrize("quantise", [False, True])
@pytest.mark.parametrize("keys", [["vector"], ["image", "sequence"], ["vector", "image", "sequence"]])
def test_model_for_any_number_of_modalities(keys: list[str], quantise: bool):
    modalities = {key: KINDS[key][0] for key in keys}
    model = FusionModel(modalities, 4, SMALL, quantise=quantise)
    inputs = {key: torch.randn(3, *modality.shape) for key, modality in modalities.items()}
    output = model(inputs)
    grid = tuple(max(KINDS[key][1][axis] for key in keys) for axis in (0, 1))
    assert output.prediction.shape == (3, 4)
    assert output.fused.shape == (3, 6 * len(keys), *grid)
    assert {key: latent.shape for key, latent in output.latents.items()} == {
        key: (3, 6, *KINDS[key][1]) for key in keys
    }
    assert list(output.quantized) == list(output.reconstructions) == (keys if quantise else [])
    for key, reconstruction in output.reconstructions.items():
        assert reconstruction.shape == inputs[key].shape
    assert model.mask is None


def test_the_head_reads_the_codes():
    model = FusionModel({"v": Modality("vector", (11,))}, 2, SMALL, quantise=True)
    output = model({"v": torch.randn(3, 11)})
    assert torch.equal(output.fused, output.quantized["v"].quantized)


def test_mask_wraps_the_fusion_and_closes_channels():
    modalities = {"v": Modality("vector", (11,)), "i": Modality("image", (1, 8, 8))}
    model = FusionModel(modalities, 2, SMALL, quantise=True).eval()
    inputs = {name: torch.randn(2, *modality.shape) for name, modality in modalities.items()}
    before = model(inputs)
    model.fusion = ComplementaryMask(model.channels, fusion=model.fusion)
    assert model.mask is model.fusion
    assert torch.equal(model(inputs).prediction, before.prediction)
    with torch.no_grad():
        model.mask.weight[:6] = 0.0
    assert (model(inputs).fused[:, :6] == 0).all()
    assert torch.equal(model(inputs).reconstructions["v"], before.reconstructions["v"])


@pytest.mark.parametrize(
    ("key", "value"), [("width", 0), ("latent", 0), ("residual_blocks", -1), ("codes", 0)]
)
def test_impossible_sizes(key: str, value: int):
    with pytest.raises(ValueError, match=rf"`{key}` \(={value}\) must be at least"):
        Network(**{key: value})
