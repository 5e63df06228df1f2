"""Made-up checkpoints of the published code against a second reading of what they compute."""

from pathlib import Path

import pytest
import torch

from examples.data.contract import Modality
from examples.errors import UserError
from examples.nets.model import FusionModel
from examples.published import load_published, main, published_mask, published_model, published_quantizer
from examples.recipes import Network
from maskfusion import ComplementarityTracker, ComplementaryMask, soft_gate
from tests.examples.published_files import FULL, SMALL, THERE, checkpoint, published, trained_codes


def small_model(codes: int = 6) -> FusionModel:
    network = Network(
        pooling={"audio": 1},
        width=8,
        residual_width=4,
        latent=4,
        codes=codes,
        head_width=4,
        head_residual_width=2,
        head_hidden=5,
    )
    shapes = {"color": Modality("image", (3, 32, 32)), "audio": Modality("image", (1, 64, 64))}
    model = FusionModel(shapes, 6, network, quantise=True)
    model.fusion = ComplementaryMask(model.channels, fusion=model.fusion, init=0.01, threshold=0.005)
    return model.eval()


@torch.no_grad()
def test_same_outputs():
    state = checkpoint(SMALL, grid=8)
    inputs = {"image": torch.randn(5, 3, 32, 32), "audio": torch.randn(5, 1, 64, 64)}
    scores, reconstructions = published(state, inputs)
    output = load_published(small_model(), state)({"color": inputs["image"], "audio": inputs["audio"]})
    assert scores.std() > 0.01, "scores that are all alike would show nothing"
    torch.testing.assert_close(output.prediction, scores, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(
        output.reconstructions["color"], reconstructions["image"], rtol=1e-4, atol=1e-5
    )
    torch.testing.assert_close(
        output.reconstructions["audio"], reconstructions["audio"], rtol=1e-4, atol=1e-5
    )


@torch.no_grad()
def test_every_index_and_output_after_published_training():
    """Codes that were never used lie thousands of times too far out there."""
    sizes = SMALL | {"codes": 200}
    state = checkpoint(sizes, grid=8)
    inputs = {"image": torch.randn(20, 3, 32, 32), "audio": torch.randn(20, 1, 64, 64)}
    names = {"color": "image", "audio": "audio"}
    batch = {here: inputs[there] for here, there in names.items()}
    latents = load_published(small_model(200), state)(batch).latents
    for here, there in names.items():
        vectors = latents[here].movedim(1, -1).flatten(0, -2)
        codes = trained_codes(vectors, 200)
        state |= {f"_vq_vae_{there}.{name}": value for name, value in codes.items()}
        codebook = codes["_embedding.weight"]
        assert codebook.norm(dim=1).max() > 1e3 * codebook.norm(dim=1).min()
        exact = torch.cdist(vectors.double(), codebook.double()).argmin(1)
        assert len(exact.unique()) > 1
        assert torch.equal(published_quantizer(state, there).encode(vectors), exact)
    scores, reconstructions = published(state, inputs)
    output = load_published(small_model(200), state)(batch)
    torch.testing.assert_close(output.prediction, scores, rtol=1e-4, atol=1e-5)
    for here, there in names.items():
        torch.testing.assert_close(output.reconstructions[here], reconstructions[there], rtol=1e-4, atol=1e-4)


@torch.no_grad()
@pytest.mark.parametrize("threshold_fn", ["binarizer", "ternarizer", "attention"])
def test_gates_that_the_checkpoint_does_not_tell_apart(threshold_fn: str):
    state = checkpoint(SMALL, grid=8)
    inputs = {"image": torch.randn(5, 3, 32, 32), "audio": torch.randn(5, 1, 64, 64)}
    scores, _ = published(state, inputs, threshold_fn)
    model = small_model()
    model.fusion.gate = published_mask(state, threshold_fn=threshold_fn).gate
    output = load_published(model, state)({"color": inputs["image"], "audio": inputs["audio"]})
    torch.testing.assert_close(output.prediction, scores, rtol=1e-4, atol=1e-5)
    if threshold_fn != "binarizer":
        assert (scores - published(state, inputs)[0]).abs().max() > 1e-3


def test_the_gate_is_said_and_a_wrong_one_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    state = checkpoint(FULL, grid=32)
    assert published_model(state, "attention").mask.gate is soft_gate
    torch.save(state, tmp_path / "model.pt")
    assert main([str(tmp_path / "model.pt"), "--threshold-fn", "attention"]) == 0
    assert (
        "Read with threshold_fn attention: the file does not say which of binarizer, ternarizer, attention, randomizer"
        in capsys.readouterr().out
    )
    with pytest.raises(UserError, match=r"`threshold_fn` \(='ternary'\) must be one of \['binarizer', 'tern"):
        published_model({}, "ternary")
    random = published_mask(checkpoint(SMALL, grid=8), threshold_fn="randomizer")(torch.ones(1, 8, 1, 1))
    assert set(random.flatten().tolist()) <= {0.0, 1.0}


def test_a_baseline_without_quantisers_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """The published `Model_Baseline` with base_type 3 has the same names and shapes."""
    state = checkpoint(SMALL, grid=8)
    for there in THERE:
        state[f"_vq_vae_{there}._ema_cluster_size"] = torch.zeros(6)
    with pytest.raises(UserError, match=r"_vq_vae_image\._ema_cluster_size is all zero.*base_type 3"):
        load_published(small_model(), state)
    with pytest.raises(UserError, match=r"_vq_vae_audio\._ema_cluster_size is all zero.*Row `mask-no-vq`"):
        published_quantizer(state, "audio")
    full = checkpoint(FULL, grid=32) | {
        f"_vq_vae_{there}._ema_cluster_size": torch.zeros(512) for there in THERE
    }
    torch.save(full, tmp_path / "model.pt")
    assert main([str(tmp_path / "model.pt")]) == 2
    assert "never used" in capsys.readouterr().err


def test_published_sizes_from_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    state = checkpoint(FULL, grid=32)
    omega = state["_classifier.private_shared_mask"].flatten()
    torch.save(state, tmp_path / "model.pt")
    assert main([str(tmp_path / "model.pt"), "--output", str(tmp_path / "ours.pt")]) == 0
    kept = {"color": 100 * (omega[:64] > 0.005).sum() / 128, "audio": 100 * (omega[64:] > 0.005).sum() / 128}
    assert str({name: float(share) for name, share in kept.items()}) in capsys.readouterr().out
    model = published_model(checkpoint(FULL, grid=32))
    model.load_state_dict(torch.load(tmp_path / "ours.pt", weights_only=True))
    assert torch.equal(model.fusion.weight, omega)
    assert ComplementarityTracker(model).complementary() == kept


def test_mask_and_quantizer_alone():
    state = checkpoint(SMALL, grid=8)
    x = torch.randn(2, 8, 3, 3)
    mask = published_mask(state)
    assert list(mask.channels) == ["color", "audio"]
    assert torch.equal(mask(x), x * (state["_classifier.private_shared_mask"] > 0.005))
    assert published_mask(state, threshold=1.0).kept.sum() == 0
    quantizer = published_quantizer(state, "audio")
    codes = state["_vq_vae_audio._embedding.weight"]
    assert torch.equal(quantizer(codes).indices, torch.arange(6))
    assert torch.equal(quantizer.cluster_size, state["_vq_vae_audio._ema_cluster_size"])


def test_what_does_not_fit_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    model = small_model()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    state = checkpoint(SMALL, grid=8)
    del state["_decoder_audio._bn_2.weight"]
    state["_masker.private_shared_mask"] = torch.zeros(8)
    state["_classifier._conv1.weight"] = torch.zeros(4, 4, 3, 3)
    with pytest.raises(UserError, match="`state` must be that of the published") as caught:
        load_published(model, state)
    said = str(caught.value)
    assert "lacks _decoder_audio._bn_2.weight;" in said
    assert "has the unknown _masker.private_shared_mask;" in said
    assert "has another shape of _classifier._conv1.weight (4, 4, 3, 3), not (4, 8, 3, 3)." in said
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    with pytest.raises(UserError, match=r"it lacks _classifier\._fc2\.bias"):
        published_model({})
    with pytest.raises(UserError, match=r"`modality` \(='color'\) must be one of \['image', 'audio'\]"):
        published_quantizer(state, "color")
    torch.save(state, tmp_path / "model.pt")
    assert main([str(tmp_path / "model.pt")]) == 2
    assert main([str(tmp_path / "absent.pt")]) == 2
    assert "_decoder_audio._bn_2.weight" in capsys.readouterr().err
