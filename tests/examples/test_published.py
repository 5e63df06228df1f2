"""Checkpoints of the published code, made of names and shapes alone, against a second reading of what they compute."""

from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from examples.data.contract import Modality
from examples.errors import UserError
from examples.nets.model import FusionModel
from examples.published import load_published, main, published_mask, published_model, published_quantizer
from examples.recipes import Network
from maskfusion import ComplementarityTracker, ComplementaryMask

State = dict[str, Tensor]
THERE = ("image", "audio")
SMALL = {"width": 8, "residual": 4, "latent": 4, "codes": 6, "head": 4, "head_residual": 2, "hidden": 5}
FULL = {
    "width": 128,
    "residual": 32,
    "latent": 64,
    "codes": 512,
    "head": 32,
    "head_residual": 8,
    "hidden": 256,
}


def checkpoint(sizes: dict[str, int], grid: int, classes: int = 6) -> State:
    """Random numbers under the published names, in the published shapes."""
    width, latent = sizes["width"], sizes["latent"]
    state: State = {}

    def random(*shape: int) -> Tensor:
        return torch.randn(shape) / max(1, torch.Size(shape[1:]).numel()) ** 0.5

    def layer(name: str, *shape: int, bias: int | None = None) -> None:
        state[f"{name}.weight"] = random(*shape)
        state[f"{name}.bias"] = random(shape[0] if bias is None else bias)

    def norm(name: str, count: int) -> None:
        state.update({f"{name}.{key}": torch.rand(count) + 0.5 for key in ("weight", "running_var")})
        state.update({f"{name}.{key}": torch.randn(count) for key in ("bias", "running_mean")})
        state[f"{name}.num_batches_tracked"] = torch.tensor(7)

    def stack(name: str, count: int, hidden: int) -> None:
        for block in range(2):
            inner = f"{name}._layers.{block}._block"
            norm(f"{inner}.0", count)
            state[f"{inner}.2.weight"] = random(hidden, count, 3, 3)
            norm(f"{inner}.3", hidden)
            state[f"{inner}.5.weight"] = random(count, hidden, 1, 1)
        norm(f"{name}._bn", count)

    for there, channels in zip(THERE, (3, 1), strict=True):
        encoder, decoder, codes = f"_encoder_{there}", f"_decoder_{there}", f"_vq_vae_{there}"
        layer(f"{encoder}._conv_1", width // 2, channels, 4, 4)
        norm(f"{encoder}._bn_1", width // 2)
        layer(f"{encoder}._conv_2", width, width // 2, 4, 4)
        norm(f"{encoder}._bn_2", width)
        layer(f"{encoder}._conv_3", width, width, 3, 3)
        stack(f"{encoder}._residual_stack", width, sizes["residual"])
        layer(f"_pre_vq_conv_{there}", latent, width, 1, 1)
        layer(f"{decoder}._conv_1", width, latent, 3, 3)
        stack(f"{decoder}._residual_stack", width, sizes["residual"])
        steps = [width, width // 2, width // 4][: 2 if there == "image" else 3]
        outs = [*steps[1:], channels]
        for number, (before, after) in enumerate(zip(steps, outs, strict=True), start=1):
            layer(f"{decoder}._conv_trans_{number}", before, after, 4, 4, bias=after)
        for number, count in enumerate(outs[:-1], start=1):
            norm(f"{decoder}._bn" if there == "image" else f"{decoder}._bn_{number}", count)
        state[f"{codes}._embedding.weight"] = torch.randn(sizes["codes"], latent)
        state[f"{codes}._ema_cluster_size"] = torch.rand(sizes["codes"])
        state[f"{codes}._ema_w"] = torch.randn(sizes["codes"], latent)
    head = sizes["head"]
    layer("_classifier._conv1", head, 2 * latent, 3, 3)
    norm("_classifier._bn_1", head)
    layer("_classifier._conv2", head, head, 3, 3)
    stack("_classifier._residual_stack", head, sizes["head_residual"])
    layer("_classifier._fc1", sizes["hidden"], head * (grid // 4) ** 2)
    norm("_classifier._bn_2", sizes["hidden"])
    layer("_classifier._fc2", classes, sizes["hidden"])
    state["_classifier.private_shared_mask"] = torch.randn(2 * latent, 1, 1) * 0.01
    return state


def published(state: State, inputs: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
    """What these weights compute in evaluation: scores and reconstructions."""

    def conv(name: str, x: Tensor, stride: int = 1, padding: int = 0) -> Tensor:
        return F.conv2d(x, state[f"{name}.weight"], state.get(f"{name}.bias"), stride=stride, padding=padding)

    def norm(name: str, x: Tensor) -> Tensor:
        mean, var, weight, bias = (
            state[f"{name}.{key}"] for key in ("running_mean", "running_var", "weight", "bias")
        )
        return F.batch_norm(x, mean, var, weight, bias).relu()

    def stack(name: str, x: Tensor) -> Tensor:
        for block in range(2):
            inner = f"{name}._layers.{block}._block"
            hidden = conv(f"{inner}.2", norm(f"{inner}.0", x), padding=1)
            x = x + conv(f"{inner}.5", norm(f"{inner}.3", hidden))
        return norm(f"{name}._bn", x)

    features, reconstructions = [], {}
    for there in THERE:
        encoder, decoder = f"_encoder_{there}", f"_decoder_{there}"
        x = norm(f"{encoder}._bn_1", conv(f"{encoder}._conv_1", inputs[there], 2, 1))
        x = norm(f"{encoder}._bn_2", conv(f"{encoder}._conv_2", x, 2, 1))
        x = conv(f"{encoder}._conv_3", x, padding=1)
        if there == "audio":
            x = F.max_pool2d(x, 3, stride=2, padding=1)
        z = conv(f"_pre_vq_conv_{there}", stack(f"{encoder}._residual_stack", x))
        codebook = state[f"_vq_vae_{there}._embedding.weight"]
        nearest = torch.cdist(z.movedim(1, -1).flatten(0, -2), codebook).argmin(1)
        features.append(codebook[nearest].view(*z.movedim(1, -1).shape).movedim(-1, 1))
        x = stack(f"{decoder}._residual_stack", conv(f"{decoder}._conv_1", features[-1], padding=1))
        norms = [f"{decoder}._bn"] if there == "image" else [f"{decoder}._bn_1", f"{decoder}._bn_2"]
        for number in range(1, len(norms) + 2):
            name = f"{decoder}._conv_trans_{number}"
            x = F.conv_transpose2d(x, state[f"{name}.weight"], state[f"{name}.bias"], stride=2, padding=1)
            x = norm(norms[number - 1], x) if number <= len(norms) else x
        reconstructions[there] = x
    x = torch.cat(features, 1) * (state["_classifier.private_shared_mask"] > 0.005)
    x = norm("_classifier._bn_1", conv("_classifier._conv1", x, 2, 1))
    x = stack("_classifier._residual_stack", conv("_classifier._conv2", x, 2, 1)).flatten(1)
    x = norm(
        "_classifier._bn_2", F.linear(x, state["_classifier._fc1.weight"], state["_classifier._fc1.bias"])
    )
    return F.linear(x, state["_classifier._fc2.weight"], state["_classifier._fc2.bias"]), reconstructions


def small_model() -> FusionModel:
    network = Network(
        pooling={"audio": 1},
        width=8,
        residual_width=4,
        latent=4,
        codes=6,
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
