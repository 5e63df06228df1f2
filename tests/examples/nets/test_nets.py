"""Encoders, decoders and heads by kind, and the model for any number of modalities."""

import pytest
import torch
from torch import nn

from examples.data.contract import UNSCORED, Modality
from examples.errors import UserError
from examples.nets.decoders import build_decoder
from examples.nets.encoders import build_encoder, latent_grid
from examples.nets.heads import ClassificationHead, PlainHead, SegmentationHead
from examples.nets.model import Concatenation, FusionModel
from examples.recipes import Network
from examples.typed import build
from maskfusion import ComplementaryMask

SIZES = {
    "width": 8,
    "residual_width": 4,
    "residual_blocks": 2,
    "latent": 6,
    "codes": 5,
    "resnet_width": 4,
    "head_width": 4,
    "head_residual_width": 2,
    "head_hidden": 8,
}
SMALL = Network(**SIZES)
RESNET = Network(**SIZES, encoder="resnet18")
PYRAMID = Network(**SIZES, encoder="pyramid")
PLAIN = Network(**SIZES, encoder="plain")
KINDS = {
    "image": (Modality("image", (3, 16, 15)), (4, 3)),
    "tall": (Modality("image", (1, 21, 4)), (5, 1)),
    "sequence": (Modality("sequence", (6, 30)), (7, 1)),
    "vector": (Modality("vector", (11,)), (1, 1)),
}


def inputs_of(modalities: dict[str, Modality], batch: int) -> dict[str, torch.Tensor]:
    return {key: torch.randn(batch, *modality.shape) for key, modality in modalities.items()}


@pytest.mark.parametrize("key", KINDS)
def test_encoder_and_decoder_shapes(key: str):
    modality, grid = KINDS[key]
    encoder = build_encoder(modality, SMALL)
    x = torch.randn(2, *modality.shape)
    latent = encoder(x)
    assert latent.shape == (2, SMALL.latent, *grid)
    assert latent_grid(encoder) == grid
    assert build_decoder(modality, SMALL, encoder.grids)(latent).shape == x.shape


@pytest.mark.parametrize("pooling", [0, 1, 3])
@pytest.mark.parametrize(
    "network",
    [
        SMALL,
        RESNET,
        PYRAMID,
        *(Network(**SIZES, encoder=encoder, resnet_stages=2) for encoder in ("resnet18", "pyramid")),
    ],
)
@pytest.mark.parametrize("shape", [(1, 19, 19), (2, 66, 81), (3, 71, 64), (6, 29), (6, 4)])
def test_decoder_undoes_every_halving(shape: tuple[int, ...], network: Network, pooling: int):
    modality = Modality("image" if len(shape) == 3 else "sequence", shape)
    encoder = build_encoder(modality, network, pooling).eval()
    decoder = build_decoder(modality, network, encoder.grids).eval()
    latent = encoder(torch.randn(1, *shape))
    assert latent.shape[2:] == latent_grid(encoder)
    assert decoder(latent).shape == (1, *shape)


def test_pooling_halves_the_grid_of_the_modality_it_names():
    network = Network(**SIZES, pooling={"audio": 1})
    modalities = {"image": Modality("image", (3, 16, 16)), "audio": Modality("image", (1, 32, 32))}
    model = FusionModel(modalities, 2, network, quantise=True)
    output = model(inputs_of(modalities, 2))
    assert {latent.shape for latent in output.latents.values()} == {(2, 6, 4, 4)}
    assert output.reconstructions["audio"].shape == (2, 1, 32, 32)


def test_nothing_to_pool():
    with pytest.raises(UserError, match=r"`pooling` \(=1\) of a vector must be 0"):
        build_encoder(Modality("vector", (4,)), SMALL, 1)
    network = Network(pooling={"audio": 1})
    network.expect_pooled(["image", "audio"])
    with pytest.raises(UserError, match=r"`pooling` has unknown names \['audio'\]; the data has \['image'\]"):
        network.expect_pooled(["image"])


@pytest.mark.parametrize(("network", "kind"), [(RESNET, "ResNetEncoder"), (PYRAMID, "PyramidEncoder")])
def test_resnet_is_for_images_only(network: Network, kind: str):
    kinds = {key: type(build_encoder(modality, network)).__name__ for key, (modality, _) in KINDS.items()}
    assert kinds == {"image": kind, "tall": kind, "sequence": "MapEncoder", "vector": "VectorEncoder"}


@pytest.mark.parametrize(
    ("shape", "stages", "grid"),
    [((3, 64, 96), 4, (16, 24)), ((1, 70, 65), 2, (18, 17)), ((3, 20, 31), 4, (20, 31))],
)
def test_the_pyramid_comes_back_to_the_grid_of_the_first_stage(
    shape: tuple[int, ...], stages: int, grid: tuple[int, int]
):
    network = Network(**SIZES, encoder="pyramid", resnet_stages=stages)
    encoder = build_encoder(Modality("image", shape), network)
    assert encoder(torch.randn(2, *shape)).shape == (2, 6, *grid)


def test_every_stage_reaches_the_pyramids_maps():
    torch.manual_seed(0)
    encoder = build_encoder(Modality("image", (3, 64, 64)), PYRAMID)
    encoder(torch.randn(2, 3, 64, 64)).square().sum().backward()
    assert [layer.in_channels for layer in encoder.lateral] == [4, 8, 16, 32]
    assert all(weights.grad is not None and weights.grad.any() for weights in encoder.parameters())


@pytest.mark.parametrize("modality", [Modality("image", (1, 3, 8)), Modality("sequence", (2, 3))])
def test_too_small_to_halve_twice(modality: Modality):
    with pytest.raises(UserError, match=r"`shape` .* must be at least 4 wide"):
        build_encoder(modality, SMALL)


@pytest.mark.parametrize("layers", [1, 3, 4])
@pytest.mark.parametrize("shape", [(1, 19, 19), (8, 24, 48), (3, 1, 5), (6, 29), (6, 1)])
def test_plain_encoder_pools_wholly(shape: tuple[int, ...], layers: int):
    modality = Modality("image" if len(shape) == 3 else "sequence", shape)
    encoder = build_encoder(modality, Network(**SIZES, encoder="plain", plain_layers=layers)).eval()
    x = torch.randn(2, *shape)
    latent = encoder(x)
    assert latent.shape == (2, SMALL.latent, 1, 1)
    assert latent_grid(encoder) == (1, 1)
    assert sum(isinstance(layer, nn.Conv1d | nn.Conv2d) for layer in encoder.modules()) == layers
    assert build_decoder(modality, PLAIN, encoder.grids).eval()(latent).shape == x.shape


def test_plain_features_are_the_mean_of_their_maps():
    encoder = build_encoder(Modality("sequence", (3, 64)), PLAIN).eval()
    maps = encoder.layers(x := torch.randn(2, 3, 64))
    assert maps.shape == (2, SMALL.latent, 8)
    torch.testing.assert_close(encoder(x)[:, :, 0, 0], maps.mean(dim=2))


def test_plain_is_for_classes_of_whole_samples():
    with pytest.raises(UserError, match=r"`pooling` \(=1\) beside `encoder: plain` must be 0"):
        build_encoder(Modality("image", (1, 8, 8)), PLAIN, 1)
    modalities = {"image": Modality("image", (1, 8, 8))}
    with pytest.raises(
        UserError, match=r"`encoder` \(='plain'\) pools its maps wholly; to score pixels it must be"
    ):
        FusionModel(modalities, 3, PLAIN, quantise=False, target_shape=(8, 8))


def test_head_of_plain_encoders_has_two_layers():
    modalities = {key: KINDS[key][0] for key in ("image", "sequence", "vector")}
    model = FusionModel(modalities, 4, PLAIN, quantise=True)
    assert isinstance(model.head, PlainHead)
    assert sum(isinstance(layer, nn.Linear) for layer in model.head.modules()) == 2
    output = model(inputs_of(modalities, 3))
    assert output.prediction.shape == (3, 4)
    assert {key: value.shape for key, value in output.reconstructions.items()} == {
        key: (3, *modality.shape) for key, modality in modalities.items()
    }


@pytest.mark.parametrize("grid", [(1, 1), (4, 3), (7, 1), (9, 5)])
def test_classifier_takes_any_grid(grid: tuple[int, int]):
    head = ClassificationHead(6, grid, 3, SMALL)
    assert head(torch.randn(2, 6, *grid)).shape == (2, 3)


@pytest.mark.parametrize("size", [(16, 16), (33, 10), (3, 5), (4, 4), (64, 1)])
@pytest.mark.parametrize("grid", [(4, 4), (5, 2), (1, 1)])
def test_segmentation_scores_each_pixel(grid: tuple[int, int], size: tuple[int, int]):
    head = SegmentationHead(6, grid, 3, size, SMALL).eval()
    assert head(torch.randn(1, 6, *grid)).shape == (1, 3, *size)
    pairs = zip([grid, *head.sizes], head.sizes, strict=False)
    assert all(
        after <= 2 * before for small, large in pairs for before, after in zip(small, large, strict=True)
    )


def test_concatenation_repeats_the_nearest_value():
    image = torch.arange(4.0).view(1, 1, 2, 2)
    vector = torch.full((1, 2, 1, 1), 9.0)
    fused = Concatenation()({"image": image, "vector": vector})
    assert fused.shape == (1, 3, 2, 2)
    assert torch.equal(fused[:, :1], image)
    assert (fused[:, 1:] == 9).all()


@pytest.mark.parametrize("network", [SMALL, RESNET])
@pytest.mark.parametrize("target_shape", [(), (16, 15)])
@pytest.mark.parametrize("quantise", [False, True])
@pytest.mark.parametrize(
    "keys", [["vector"], ["image", "sequence"], ["vector", "image", "sequence"], list(KINDS)]
)
def test_model_for_any_number_of_modalities(
    keys: list[str], quantise: bool, target_shape: tuple[int, ...], network: Network
):
    modalities = {key: KINDS[key][0] for key in keys}
    model = FusionModel(modalities, 4, network, quantise=quantise, target_shape=target_shape)
    inputs = inputs_of(modalities, 3)
    output = model(inputs)
    grids = {key: latent_grid(model.encoders[key]) for key in keys}
    assert output.prediction.shape == (3, 4, *target_shape)
    assert output.fused.shape == (
        3,
        6 * len(keys),
        *(max(grid[axis] for grid in grids.values()) for axis in (0, 1)),
    )
    assert {key: latent.shape for key, latent in output.latents.items()} == {
        key: (3, 6, *grid) for key, grid in grids.items()
    }
    assert list(output.quantized) == list(output.reconstructions) == (keys if quantise else [])
    for key, reconstruction in output.reconstructions.items():
        assert reconstruction.shape == inputs[key].shape
    assert model.mask is None


@pytest.mark.parametrize("classes", [2, 27, 1000])
@pytest.mark.parametrize("network", [SMALL, RESNET])
def test_one_sample_and_any_number_of_classes(classes: int, network: Network):
    modalities = {key: modality for key, (modality, _) in KINDS.items()}
    model = FusionModel(modalities, classes, network, quantise=True).eval()
    assert model(inputs_of(modalities, 1)).prediction.shape == (1, classes)


@pytest.mark.parametrize("target_shape", [(), (16, 15)])
@pytest.mark.parametrize("network", [SMALL, RESNET])
def test_every_weight_learns(network: Network, target_shape: tuple[int, ...]):
    torch.manual_seed(0)
    modalities = {key: modality for key, (modality, _) in KINDS.items()}
    model = FusionModel(modalities, 3, network, quantise=True, target_shape=target_shape)
    inputs, target = inputs_of(modalities, 8), torch.randint(3, (8, *target_shape))
    if target_shape:
        target[:, :4] = UNSCORED
    output = model(inputs)
    loss = nn.CrossEntropyLoss()(output.prediction, target)
    for key, reconstruction in output.reconstructions.items():
        loss = loss + nn.functional.mse_loss(reconstruction, inputs[key]) + output.quantized[key].loss
    loss.backward()
    assert loss.isfinite()
    without = [name for name, weight in model.named_parameters() if weight.grad is None]
    assert without == []


def test_the_head_reads_the_codes():
    model = FusionModel({"v": Modality("vector", (11,))}, 2, SMALL, quantise=True)
    output = model({"v": torch.randn(3, 11)})
    assert torch.equal(output.fused, output.quantized["v"].quantized)


def test_mask_wraps_the_fusion_and_closes_channels():
    modalities = {"v": Modality("vector", (11,)), "i": Modality("image", (1, 8, 8))}
    model = FusionModel(modalities, 2, SMALL, quantise=True).eval()
    inputs = inputs_of(modalities, 2)
    before = model(inputs)
    model.fusion = ComplementaryMask(model.channels, fusion=model.fusion)
    assert model.mask is model.fusion
    assert torch.equal(model(inputs).prediction, before.prediction)
    with torch.no_grad():
        model.mask.weight[:6] = 0.0
    assert (model(inputs).fused[:, :6] == 0).all()
    assert torch.equal(model(inputs).reconstructions["v"], before.reconstructions["v"])


def test_target_of_one_axis():
    with pytest.raises(ValueError, match=r"`target_shape` \(=\(5,\)\) must be \(\) or \(height, width\)"):
        FusionModel({"v": Modality("vector", (11,))}, 2, SMALL, quantise=False, target_shape=(5,))


@pytest.mark.parametrize(
    ("key", "value"),
    [("width", 0), ("latent", 0), ("residual_blocks", -1), ("codes", 0), ("resnet_width", 0)],
)
def test_impossible_sizes(key: str, value: int):
    with pytest.raises(UserError, match=rf"`{key}` \(={value}\) must be (at least|above) 0"):
        build(Network, {key: value})


def test_impossible_steps():
    with pytest.raises(UserError, match=r"`pooling.audio` \(=-1\) must be at least 0"):
        build(Network, {"pooling": {"audio": -1}})
    with pytest.raises(UserError, match=r"`resnet_stages` \(=5\) must be at most 4"):
        build(Network, {"resnet_stages": 5})


@pytest.mark.parametrize("target_shape", [(), (6, 5)])
def test_heads_of_each_modality(target_shape: tuple[int, ...]):
    modalities = {"v": Modality("vector", (5,)), "i": Modality("image", (1, 12, 8))}
    model = FusionModel(modalities, 3, SMALL, quantise=True, target_shape=target_shape)
    inputs = {name: torch.randn(4, *it.shape) for name, it in modalities.items()}
    assert model(inputs).unimodal == {}
    model.add_unimodal_heads()
    output = model(inputs)
    assert {name: scores.shape for name, scores in output.unimodal.items()} == dict.fromkeys(
        modalities, (4, 3, *target_shape)
    )
    assert torch.equal(output.features["i"], output.quantized["i"].quantized)
    output.unimodal["v"].sum().backward()
    assert all(weight.grad is None for weight in model.encoders["i"].parameters())
    assert any(weight.grad is not None for weight in model.encoders["v"].parameters())
