"""Checkpoints of the published CM-VQVAE code, read into the networks of this repository.

``python -m examples.published model.pt`` says what its mask keeps open; with ``--output weights.pt`` it writes the same weights as
a ``state_dict`` of the network of recipe `crema-d-published`, row `mask`. Nothing is unpickled but tensors.
"""

import sys
from argparse import ArgumentParser
from collections.abc import Mapping, Sequence
from pathlib import Path
from pickle import UnpicklingError

import torch
from torch import Tensor

from examples.data.contract import Modality
from examples.errors import UserError
from examples.methods import create
from examples.nets.model import FusionModel
from examples.recipes import load_recipe, recipe_path
from maskfusion import ComplementarityTracker, ComplementaryMask, VectorQuantizer

MODALITIES = {"image": "color", "audio": "audio"}
"""Their name in the published code, and here."""
THRESHOLD = 0.005
"""t of the published code, which is not in its checkpoints."""

_RECIPE, _ROW = "crema-d-published", "mask"
_SHAPES = {"color": Modality("image", (3, 128, 128)), "audio": Modality("image", (1, 256, 256))}
_OMEGA = "_classifier.private_shared_mask"
_CLASSES = "_classifier._fc2.bias"


def published_model(state: Mapping[str, Tensor]) -> FusionModel:
    """Return the network of recipe `crema-d-published` with the weights of a published checkpoint, in evaluation mode.

    Args:
        state: ``state_dict`` of the published `Model`, of mode "multimodal" for CREMA-D or RML, with any number of classes.

    Raises:
        UserError: Names or shapes do not fit; names them.
    """
    recipe = load_recipe(recipe_path(_RECIPE))
    row = recipe.comparison[_ROW]
    model = FusionModel(_SHAPES, len(_entry(state, _CLASSES)), recipe.network, quantise=row.quantise)
    create(row.method, row.arguments).configure(model)
    return load_published(model, state).eval()


def load_published(model: FusionModel, state: Mapping[str, Tensor]) -> FusionModel:
    """Load a published checkpoint into a masked, quantised network whose modalities are `color` and `audio`.

    The running sums of the published codebooks (``_ema_w``) are left out: here the codes themselves are the running means.

    Args:
        model: Is changed and returned.
        state: ``state_dict`` of the published `Model`.

    Raises:
        UserError: Names or shapes do not fit; names them, and leaves the model as it was.
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
    started = {name: torch.ones_like(value) for name, value in wanted.items() if name.endswith("initialized")}
    model.load_state_dict({here: _squeezed(name, state[name]) for name, here in names.items()} | started)
    return model


def published_mask(state: Mapping[str, Tensor], threshold: float = THRESHOLD) -> ComplementaryMask:
    """Return the mask of a published checkpoint alone.

    Args:
        state: ``state_dict`` of the published `Model`.
        threshold: t, where the training had another one.
    """
    omega = _squeezed(_OMEGA, _entry(state, _OMEGA))
    each = len(omega) // len(MODALITIES)
    mask = ComplementaryMask(
        dict.fromkeys(MODALITIES.values(), each), init=threshold + 0.005, threshold=threshold
    )
    mask.load_state_dict({"weight": omega})
    return mask


def published_quantizer(state: Mapping[str, Tensor], modality: str) -> VectorQuantizer:
    """Return the codebook of one modality of a published checkpoint alone, in evaluation mode.

    Args:
        state: ``state_dict`` of the published `Model`.
        modality: "image" or "audio", as it is called there.
    """
    if modality not in MODALITIES:
        raise UserError(f"`modality` (='{modality}') must be one of {list(MODALITIES)}.")
    codebook = _entry(state, f"_vq_vae_{modality}._embedding.weight")
    codes, dim = codebook.shape
    quantizer = VectorQuantizer(dim, codes, restart_threshold=0.0)
    counts = _entry(state, f"_vq_vae_{modality}._ema_cluster_size")
    quantizer.load_state_dict(
        {"codebook": codebook, "cluster_size": counts, "initialized": torch.tensor(True)}
    )
    return quantizer.eval()


def _entry(state: Mapping[str, Tensor], name: str) -> Tensor:
    if name not in state:
        raise UserError(f"`state` must be that of the published multimodal model: it lacks {name}.")
    return state[name]


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
    parsed = parser.parse_args(arguments)
    try:
        model = published_model(torch.load(parsed.checkpoint, map_location="cpu", weights_only=True))
    except (FileNotFoundError, UnpicklingError, UserError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    tracker = ComplementarityTracker(model)
    print(f"compl in percent of all channels: {tracker.complementary()}; zeta: {tracker.zeta()}")
    if parsed.output is not None:
        torch.save(model.state_dict(), parsed.output)
        print(f"In {parsed.output}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
