"""What a run starts from: parts of the network of a run that was trained before."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, get_args

import torch
from torch import Tensor, nn

from examples.data.contract import MultimodalData
from examples.errors import UserError
from examples.nets.model import FusionModel
from examples.run.folder import RunFolder

Part: TypeAlias = Literal["encoders", "quantizers", "decoders", "mask", "head"]
PARTS: tuple[Part, ...] = get_args(Part)
_BY_MODALITY = PARTS[:3]
_PREFIX = "model."  # of the network's weights in a checkpoint of `FusionTask`
_SHOWN = 3


@dataclass(frozen=True)
class Start:
    """Weights that are carried from a finished run, and which classes are scored.

    Encoders, quantisers and decoders are carried by the name of their modality; a modality that the source lacks starts
    fresh. What is not carried starts as it does without a source, with the same seed. Classes that the source does not
    have, by name, are neither learned nor scored.

    Args:
        source: Folder of the run.
        parts: Parts that are carried; with none the run starts from scratch, and is scored on the same classes.
    """

    source: RunFolder
    parts: tuple[Part, ...] = ()

    def __post_init__(self) -> None:
        """Refuse a part that no network has."""
        unknown = [part for part in self.parts if part not in PARTS]
        if unknown:
            raise UserError(f"`parts` has unknown names {unknown}; it must be some of {list(PARTS)}.")

    def record(self) -> dict[str, Any]:
        """Return what decides the numbers, for the plan of the run: another source is another run.

        Raises:
            UserError: There is no run, or its checkpoint was not kept.
            UserError: It is not finished, or another version trained it.
        """
        checkpoint, plan = self._checkpoint(), self.source.read_plan()
        classes = {"classes": checkpoint["classes"]}
        if not self.parts:
            return classes
        digest = hashlib.sha256()
        for name, value in sorted(_weights(checkpoint).items()):
            digest.update(name.encode() + value.contiguous().numpy().tobytes())
        known = {key: plan[key] for key in ("data", "row", "seed")}
        return {**known, "parts": list(self.parts), "weights": digest.hexdigest(), **classes}

    def scored(self, data: MultimodalData) -> MultimodalData:
        """Return the data with every target `UNSCORED` whose class the source does not have."""
        return data.scoring(self._checkpoint()["classes"])

    def initialise(self, model: FusionModel) -> None:
        """Put the carried weights into a network.

        Raises:
            UserError: A part does not fit; names it, and what is different. Parts before it were carried.
        """
        if not self.parts:
            return
        weights = _weights(self._checkpoint())
        for part in self.parts:
            wanted = _modules(model, part)
            found = {path: _below(weights, path) for path in wanted}
            if wanted and not any(found.values()):
                raise UserError(
                    f"`carry` has '{part}', and '{self.source.path}' has none for any of {list(wanted)}. Leave it out, or "
                    "take a source that has them."
                )
            for path, values in found.items():
                if values:
                    self._load(path, wanted[path], values)

    def _load(self, path: str, module: nn.Module, values: Mapping[str, Tensor]) -> None:
        own = module.state_dict()
        differ = [
            f"`{name}` is {_shape(values, name)} there and {_shape(own, name)} here"
            for name in dict.fromkeys([*own, *values])
            if _shape(values, name) != _shape(own, name)
        ]
        if differ:
            more = f", and {len(differ) - _SHOWN} more" if len(differ) > _SHOWN else ""
            raise UserError(
                f"'{path}' of '{self.source.path}' does not fit: {'; '.join(differ[:_SHOWN])}{more}. Both runs need the "
                f"same `network` and shapes, or --carry without '{path.split('.', maxsplit=1)[0]}'."
            )
        module.load_state_dict(values)

    def _checkpoint(self) -> dict[str, Any]:
        plan = self.source.read_plan()
        if self.source.read_result() is None:
            raise UserError(
                f"`source` (='{self.source.path}') must be finished; the command that began it ends it."
            )
        path = self.source.chosen(plan["select"])
        checkpoint: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        if "classes" not in checkpoint:
            raise UserError(
                f"'{path}' is of an earlier version, which did not note the classes; --fresh makes it anew."
            )
        return checkpoint


def _weights(checkpoint: Mapping[str, Any]) -> dict[str, Tensor]:
    """Return the weights of the network by their names in it."""
    state: Mapping[str, Tensor] = checkpoint["state_dict"]
    return {name.removeprefix(_PREFIX): value for name, value in state.items() if name.startswith(_PREFIX)}


def _modules(model: FusionModel, part: Part) -> dict[str, nn.Module]:
    """Return the modules of a part by their path in the network; nothing where the network has none."""
    if part in _BY_MODALITY:
        by_modality: nn.ModuleDict = getattr(model, part)
        return {f"{part}.{name}": module for name, module in by_modality.items()}
    if part == "head":
        return {"head": model.head}
    return {} if model.mask is None else {"mask": model.mask}


def _below(weights: Mapping[str, Tensor], path: str) -> dict[str, Tensor]:
    """Return the weights of the module at a path, by their names in it."""
    if path == "mask":  # Omega is the only weight of the fusion, which concatenates
        path = "fusion"
    return {
        name.removeprefix(f"{path}."): value for name, value in weights.items() if name.startswith(f"{path}.")
    }


def _shape(values: Mapping[str, Tensor], name: str) -> tuple[int, ...] | str:
    return tuple(values[name].shape) if name in values else "missing"
