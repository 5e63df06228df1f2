"""Checkpoints of the published code, made of names and shapes alone, and a second reading of what they compute."""

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

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


def trained_codes(latents: Tensor, count: int, steps: int = 12) -> State:
    """A codebook that the published moving averages have trained: from counts of zero, the smoothed ones written back."""
    counts, sums = torch.zeros(count), torch.randn(count, latents.shape[1])
    codes = latents.mean(0) + latents.std(0) * torch.randn(
        count, latents.shape[1]
    )  # so that several are used
    for _ in range(steps):
        batch = latents[torch.randperm(len(latents))[:256]]
        used = (
            F.one_hot(published_indices(batch, codes), count) * 512.0
        )  # a published batch has 131,072 vectors
        counts = 0.99 * counts + 0.01 * used.sum(0)
        total = counts.sum()
        counts = (counts + 1e-5) / (total + count * 1e-5) * total
        sums = 0.99 * sums + 0.01 * used.T @ batch
        codes = sums / counts[:, None]
    return {"_embedding.weight": codes, "_ema_cluster_size": counts, "_ema_w": sums}


def published_indices(z: Tensor, codes: Tensor) -> Tensor:
    return (z.square().sum(1, keepdim=True) + codes.square().sum(1) - 2 * z @ codes.T).argmin(1)


def published(
    state: State, inputs: dict[str, Tensor], threshold_fn: str = "binarizer"
) -> tuple[Tensor, dict[str, Tensor]]:
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
        nearest = published_indices(z.movedim(1, -1).flatten(0, -2), codebook)
        features.append(codebook[nearest].view(*z.movedim(1, -1).shape).movedim(-1, 1))
        x = stack(f"{decoder}._residual_stack", conv(f"{decoder}._conv_1", features[-1], padding=1))
        norms = [f"{decoder}._bn"] if there == "image" else [f"{decoder}._bn_1", f"{decoder}._bn_2"]
        for number in range(1, len(norms) + 2):
            name = f"{decoder}._conv_trans_{number}"
            x = F.conv_transpose2d(x, state[f"{name}.weight"], state[f"{name}.bias"], stride=2, padding=1)
            x = norm(norms[number - 1], x) if number <= len(norms) else x
        reconstructions[there] = x
    omega = state["_classifier.private_shared_mask"]
    gates = {
        "binarizer": (omega > 0.005).float(),
        "ternarizer": torch.where(omega < 0, -1.0, torch.where(omega > 0.005, 1.0, 0.0)),
        "attention": omega,
    }
    x = torch.cat(features, 1) * gates[threshold_fn]
    x = norm("_classifier._bn_1", conv("_classifier._conv1", x, 2, 1))
    x = stack("_classifier._residual_stack", conv("_classifier._conv2", x, 2, 1)).flatten(1)
    x = norm(
        "_classifier._bn_2", F.linear(x, state["_classifier._fc1.weight"], state["_classifier._fc1.bias"])
    )
    return F.linear(x, state["_classifier._fc2.weight"], state["_classifier._fc2.bias"]), reconstructions
