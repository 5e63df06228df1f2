"""What the decoders and the head are given: the algebra of the channels, exactly."""

import pytest
import torch

from examples.data.contract import Modality
from examples.methods.complementary_mask import MaskedFusion
from examples.nets.model import FusionModel
from examples.recipes import Network
from examples.report.reconstruct import PARTS, parts_of, predict, reconstruct

SMALL = Network(width=8, residual_width=4, residual_blocks=1, latent=6, codes=5, head_width=4, head_hidden=8)
MODALITIES = {"left": Modality("image", (1, 16, 16)), "right": Modality("image", (2, 16, 16))}


def network(
    modalities: dict[str, Modality] = MODALITIES, *, quantise: bool = True, masked: bool = True
) -> FusionModel:
    torch.manual_seed(0)
    model = FusionModel(modalities, 3, SMALL, quantise=quantise)
    if masked:
        MaskedFusion().configure(model)
        with torch.no_grad():
            model.mask.weight.copy_(torch.tensor([1.0, 0.0] * 6))
    model.train()
    model(batch(modalities))  # fills the codebooks
    return model.eval()


def batch(modalities: dict[str, Modality] = MODALITIES) -> dict[str, torch.Tensor]:
    torch.manual_seed(1)
    return {name: torch.randn(4, *modality.shape) for name, modality in modalities.items()}


def test_all_is_the_decoder_on_the_features():
    model = network()
    with torch.no_grad():
        output = model(batch())
    made = reconstruct(model, batch())
    assert list(made) == list(PARTS)
    for name in MODALITIES:
        assert torch.equal(made["all"][name], output.reconstructions[name])
        assert made["contradictory"][name].shape == batch()[name].shape


def test_the_two_halves_add_up_and_share_no_channel():
    model = network()
    features = model(batch()).features
    parts = parts_of(features, model.mask)
    for name, whole in features.items():
        kept, closed = parts["complementary"][name], parts["contradictory"][name]
        assert torch.equal(kept + closed, whole)
        assert not kept[:, 1::2].any()
        assert not closed[:, ::2].any()
        assert torch.equal(kept[:, ::2], whole[:, ::2])


def test_each_part_goes_through_the_decoder():
    model = network()
    with torch.no_grad():
        features = model(batch()).features["right"].clone()
        features[:, 1::2] = 0
        assert torch.equal(
            reconstruct(model, batch())["complementary"]["right"], model.decoders["right"](features)
        )


def test_exchanged_is_the_exchange_of_the_mask():
    model = network()
    features = model(batch()).features
    whole = model.mask.exchange(torch.cat(list(features.values()), dim=1))
    for name, part in parts_of(features, model.mask)["exchanged"].items():
        assert torch.equal(part, model.mask.split(whole)[name])
        assert torch.equal(part[2, 1::2], features[name][1, 1::2])


def test_the_networks_own_prediction_is_the_complementary_one():
    model = network()
    with torch.no_grad():
        prediction = model(batch()).prediction
    made = predict(model, batch())
    assert list(made) == list(PARTS)
    assert torch.equal(made["complementary"], prediction)
    assert not torch.equal(made["all"], prediction)


def test_grids_of_unequal_size():
    modalities = {"image": Modality("image", (1, 16, 16)), "vector": Modality("vector", (5,))}
    model = network(modalities)
    made = reconstruct(model, batch(modalities))
    assert made["exchanged"]["vector"].shape == (4, 5)
    assert predict(model, batch(modalities))["exchanged"].shape == (4, 3)


@pytest.mark.parametrize("masked", [True, False])
def test_without_decoders_there_is_nothing(masked: bool):
    assert reconstruct(network(quantise=False, masked=masked), batch()) == {}


def test_without_a_mask_there_is_one_part():
    model = network(masked=False)
    assert list(reconstruct(model, batch())) == ["all"]
    assert list(predict(model, batch())) == ["all"]
