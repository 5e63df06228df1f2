"""Checkpoints of the published CM-VQVAE code, read into the networks of this repository.

``python -m examples.published model.pt`` says what its mask keeps open; with ``--output weights.pt`` it writes the same weights as
a ``state_dict`` of the network of recipe `crema-d-published`, row `mask`. Nothing is unpickled but tensors.
"""

import sys
from argparse import ArgumentParser
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from pickle import UnpicklingError

import torch
from torch import Tensor

from examples.data.contract import Modality
from examples.errors import UserError
from examples.nets.model import FusionModel
from examples.recipes import load_recipe, recipe_path
from maskfusion import (
    ComplementarityTracker,
    ComplementaryMask,
    VectorQuantizer,
    hard_gate,
    random_gate,
    soft_gate,
)

MODALITIES = {"image": "color", "audio": "audio"}
"""Their name in the published code, and here."""
THRESHOLD = 0.005
"""t of the published code, which is not in its checkpoints."""


def _signed_gate(weight: Tensor, threshold: float, training: bool = False) -> Tensor:
    """Gate as the published ternarizer does, where every Omega below 0 gives -1."""
    return hard_gate(weight, threshold, training) - (weight < 0).to(weight)


GATES: dict[str, Callable[..., Tensor]] = {
    "binarizer": hard_gate,
    "ternarizer": _signed_gate,
    "attention": soft_gate,
    "randomizer": random_gate(0.5, rescale=False, always=True),
}
"""What the published `threshold_fn` makes of Omega. It is not in the checkpoints either."""

_RECIPE, _ROW = "crema-d-published", "mask"
_SHAPES = {"color": Modality("image", (3, 128, 128)), "audio": Modality("image", (1, 256, 256))}
_OMEGA = "_classifier.private_shared_mask"
_CLASSES = "_classifier._fc2.bias"


def published_model(state: Mapping[str, Tensor], threshold_fn: str = "binarizer") -> FusionModel:
    """Return the network of recipe `crema-d-published` with the weights of a published checkpoint, in evaluation mode.

    Args:
        state: ``state_dict`` of the published `Model`, of mode "multimodal" for CREMA-D or RML, with any number of classes.
        threshold_fn: What it was trained with, a key of `GATES`. The checkpoint does not say.

    Raises:
        UserError: Names or shapes do not fit, or there is no such gate; names them.
        UserError: The codebooks were never used.
    """
    gate = _gate(threshold_fn)
    recipe = load_recipe(recipe_path(_RECIPE))
    row = recipe.comparison[_ROW]
    model = FusionModel(_SHAPES, len(_entry(state, _CLASSES)), recipe.network, quantise=row.quantise)
    model.fusion = ComplementaryMask(
        model.channels, fusion=model.fusion, init=2 * THRESHOLD, threshold=THRESHOLD, gate=gate
    )
    return load_published(model, state).eval()


def load_published(model: FusionModel, state: Mapping[str, Tensor]) -> FusionModel:
    """Load a published checkpoint into a masked, quantised network whose modalities are `color` and `audio`.

    The running sums of the published codebooks (``_ema_w``) are left out: here the codes themselves are the running means.

    Args:
        model: Is changed and returned.
        state: ``state_dict`` of the published `Model`.

    Raises:
        UserError: Names or shapes do not fit; names them, and leaves the model as it was.
        UserError: The codebooks were never used.
    """
    wanted = model.state_dict()
    names = _names(wanted)
    faults = {
        "lacks": [name for name in names if name not in state],
        "has the unknown": [name for name in state if name not in names and not name.endswith("._ema_w")],
        "has another shape of": [
            f"{name} {tuple(state[name].shape)}, not {tuple(wanted[here].shape)}"
            for name, here in names.items()
            if name in state and _squeezed(name, state[name]).shape != wanted[here].shape
        ],
    }
    if any(faults.values()):
        said = "; ".join(f"{fault} {', '.join(found)}" for fault, found in faults.items() if found)
        raise UserError(f"`state` must be that of the published multimodal model: it {said}.")
    for modality in MODALITIES:
        _counts(state, modality)
    started = {name: torch.ones_like(value) for name, value in wanted.items() if name.endswith("initialized")}
    model.load_state_dict({here: _squeezed(name, state[name]) for name, here in names.items()} | started)
    return model


def published_mask(
    state: Mapping[str, Tensor], threshold: float = THRESHOLD, threshold_fn: str = "binarizer"
) -> ComplementaryMask:
    """Return the mask of a published checkpoint alone.

    Args:
        state: ``state_dict`` of the published `Model`.
        threshold: t, where the training had another one.
        threshold_fn: What it was trained with, a key of `GATES`. The checkpoint does not say.

    Raises:
        UserError: There is no Omega in it, or no such gate.
    """
    omega = _squeezed(_OMEGA, _entry(state, _OMEGA))
    each = len(omega) // len(MODALITIES)
    mask = ComplementaryMask(
        dict.fromkeys(MODALITIES.values(), each),
        init=threshold + THRESHOLD,
        threshold=threshold,
        gate=_gate(threshold_fn),
    )
    mask.load_state_dict({"weight": omega})
    return mask


def published_quantizer(state: Mapping[str, Tensor], modality: str) -> VectorQuantizer:
    """Return the codebook of one modality of a published checkpoint alone, in evaluation mode.

    Args:
        state: ``state_dict`` of the published `Model`.
        modality: "image" or "audio", as it is called there.

    Raises:
        UserError: There is no such modality or no codebook, or the codebook was never used.
    """
    if modality not in MODALITIES:
        raise UserError(f"`modality` (='{modality}') must be one of {list(MODALITIES)}.")
    codebook = _entry(state, f"_vq_vae_{modality}._embedding.weight")
    codes, dim = codebook.shape
    quantizer = VectorQuantizer(dim, codes, restart_threshold=0.0)
    counts = _counts(state, modality)
    quantizer.load_state_dict(
        {"codebook": codebook, "cluster_size": counts, "initialized": torch.tensor(True)}
    )
    return quantizer.eval()


def _entry(state: Mapping[str, Tensor], name: str) -> Tensor:
    if name not in state:
        raise UserError(f"`state` must be that of the published multimodal model: it lacks {name}.")
    return state[name]


def _counts(state: Mapping[str, Tensor], modality: str) -> Tensor:
    """Return how often the codes of a modality were used; a network without quantisers has the entry too, all zero."""
    name = f"_vq_vae_{modality}._ema_cluster_size"
    counts = _entry(state, name)
    if not counts.any():
        raise UserError(
            f"`state` must be that of a network that quantises: {name} is all zero, so its codebook was never used, as in "
            "`Model_Baseline` with base_type 3, which has a mask alone. Row `mask-no-vq` of recipe `crema-d-published` "
            "trains such a network; its checkpoints cannot be read."
        )
    return counts


def _gate(threshold_fn: str) -> Callable[..., Tensor]:
    if threshold_fn not in GATES:
        raise UserError(f"`threshold_fn` (='{threshold_fn}') must be one of {list(GATES)}.")
    return GATES[threshold_fn]


def _squeezed(name: str, value: Tensor) -> Tensor:
    """Return an entry in the shape that it has here: Omega had two axes more."""
    return value.flatten() if name == _OMEGA else value


def _names(wanted: Mapping[str, Tensor]) -> dict[str, str]:
    """Return the published name of every entry of a `FusionModel`, and its name here."""
    blocks = sum(name.startswith("head.layers.5.") and name.endswith(".layers.2.weight") for name in wanted)
    modules = _head(blocks)
    names = {_OMEGA: "fusion.weight"}
    for there, here in MODALITIES.items():
        modules |= _encoder(there, here, blocks) | _decoder(there, here, blocks)
        names[f"_vq_vae_{there}._embedding.weight"] = f"quantizers.{here}.codebook"
        names[f"_vq_vae_{there}._ema_cluster_size"] = f"quantizers.{here}.cluster_size"
    paths = {here: there for there, here in modules.items()}
    for name in wanted:
        path, _, entry = name.rpartition(".")
        if path in paths:
            names[f"{paths[path]}.{entry}"] = name
    return names


def _encoder(there: str, here: str, blocks: int) -> dict[str, str]:
    start, layers = f"_encoder_{there}", f"encoders.{here}.layers"
    stack = 8 if there == "audio" else 7  # behind a pooling, which has no weights
    published = ("_conv_1", "_bn_1", "_conv_2", "_bn_2", "_conv_3")
    return {
        **{
            f"{start}.{name}": f"{layers}.{number}"
            for name, number in zip(published, (0, 1, 3, 4, 6), strict=True)
        },
        **_stack(f"{start}._residual_stack", f"{layers}.{stack}", blocks),
        f"_pre_vq_conv_{there}": f"{layers}.{stack + 1}",
    }


def _decoder(there: str, here: str, blocks: int) -> dict[str, str]:
    start, layers = f"_decoder_{there}", f"decoders.{here}.layers"
    norms = ("_bn_1", "_bn_2") if there == "audio" else ("_bn",)
    return {
        f"{start}._conv_1": f"{layers}.0",
        **_stack(f"{start}._residual_stack", f"{layers}.1", blocks),
        **{f"{start}._conv_trans_{i + 1}": f"{layers}.{2 + 3 * i}.layer" for i in range(len(norms) + 1)},
        **{f"{start}.{norm}": f"{layers}.{3 + 3 * i}" for i, norm in enumerate(norms)},
    }


def _head(blocks: int) -> dict[str, str]:
    published = ("_conv1", "_bn_1", "_conv2", "_fc1", "_bn_2", "_fc2")
    return {
        **{
            f"_classifier.{name}": f"head.layers.{number}"
            for name, number in zip(published, (0, 1, 3, 7, 8, 11), strict=True)
        },
        **_stack("_classifier._residual_stack", "head.layers.5", blocks),
    }


def _stack(there: str, here: str, blocks: int) -> dict[str, str]:
    inner = {
        f"{there}._layers.{block}._block.{layer}": f"{here}.{block}.layers.{layer}"
        for block in range(blocks)
        for layer in (0, 2, 3, 5)
    }
    return {**inner, f"{there}._bn": f"{here}.{blocks}"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Read a checkpoint, say what its mask keeps open, and write it anew where that is asked for."""
    parser = ArgumentParser(prog="python -m examples.published", description="Read a published checkpoint.")
    parser.add_argument("checkpoint", type=Path, help="A state_dict of the published code, `model.pt`.")
    parser.add_argument("--output", type=Path, help="Where to write the state_dict of our network.")
    parser.add_argument(
        "--threshold_fn",
        "--threshold-fn",
        choices=GATES,
        default="binarizer",
        help="What it was trained with.",
    )
    parsed = parser.parse_args(arguments)
    try:
        state = torch.load(parsed.checkpoint, map_location="cpu", weights_only=True)
        model = published_model(state, parsed.threshold_fn)
    except (FileNotFoundError, UnpicklingError, UserError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    tracker = ComplementarityTracker(model)
    print(
        f"Read with threshold_fn {parsed.threshold_fn}: the file does not say which of {', '.join(GATES)} it was trained "
        "with."
    )
    print(f"compl in percent of all channels: {tracker.complementary()}; zeta: {tracker.zeta()}")
    if parsed.output is not None:
        torch.save(model.state_dict(), parsed.output)
        print(f"In {parsed.output}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
