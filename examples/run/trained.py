"""A run that was trained before: its network with the chosen weights, its data, and what is known of it."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor

from examples.data.batches import Draw
from examples.data.contract import MultimodalData
from examples.data.place import Place
from examples.errors import UserError
from examples.methods import create
from examples.methods.base import Method
from examples.nets.model import FusionModel, build_model
from examples.recipes import Network, Recipe, Row
from examples.results import EpochRecord, Run
from examples.run.folder import RECIPE_ONLY, RunFolder
from examples.run.loading import loaded
from examples.run.task import read_records
from examples.typed import build

_PREFIX = "model."  # of the network's weights in a checkpoint of `FusionTask`


@dataclass(frozen=True)
class Trained:
    """What `load_trained` finds.

    Args:
        folder: Folder of the run.
        row: Name of the row in the recipe.
        seed: Seed of the run.
        recipe: All settings, with this row alone.
        versions: Versions of the packages that trained it.
        data: The modalities that the network sees, split and standardised as in training.
        method: Method with its arguments.
        model: Network with the chosen weights, in evaluation mode, on the CPU.
        epochs: One record each, as far as training came.
        result: Result; None where training was cut short, and the weights are those of the last whole epoch.
    """

    folder: RunFolder
    row: str
    seed: int
    recipe: Recipe
    versions: dict[str, str]
    data: MultimodalData
    method: Method
    model: FusionModel
    epochs: list[EpochRecord]
    result: Run | None

    def first_of_test(self, batch: int) -> dict[str, Tensor]:
        """Return the first samples of the test part, as the network takes them.

        Raises:
            UserError: There are not so many.
        """
        if batch > len(self.data.test):
            raise UserError(
                f"`batch` (={batch}) must be at most {len(self.data.test)}, the samples of the test part."
            )
        return self.data.test[Draw(list(range(batch)), None)].inputs


def load_trained(folder: RunFolder, place: Place) -> Trained:
    """Build the network of a run again and load its weights.

    Args:
        folder: Folder that `train` or `compare --keep` wrote.
        place: Location of the data.

    Raises:
        UserError: There is no run, or its checkpoint was not kept; says how to keep it.
        UserError: Another version, with other settings, trained it.
    """
    plan = folder.read_plan()
    result = folder.read_result()
    recipe = _recipe(plan, folder)
    path = folder.chosen(recipe.select)
    setting = recipe.comparison[plan["row"]]
    method = create(setting.method, setting.arguments)
    data = loaded(recipe.data, place, seed=plan["seed"], options=recipe.data_options)
    data = data.select(method.inputs(list(data.modalities)))
    checkpoint: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    try:
        model = network_of(checkpoint, method, data, recipe.network, quantise=setting.quantise)
    except RuntimeError as error:
        why = " ".join(str(error).split())
        raise UserError(f"'{path}' was trained by another version; its weights do not fit: {why}") from error
    return Trained(
        folder=folder,
        row=plan["row"],
        seed=plan["seed"],
        recipe=recipe,
        versions=plan["versions"],
        data=data,
        method=method,
        model=model,
        epochs=read_records(checkpoint) if result is None else result.epochs,
        result=result,
    )


def network_of(
    checkpoint: Mapping[str, Any],
    method: Method,
    data: MultimodalData,
    network: Network,
    *,
    quantise: bool,
) -> FusionModel:
    """Build a network again, with its weights, in evaluation mode on the CPU.

    Args:
        checkpoint: Checkpoint of its run.
        method: Method of the run.
        data: The modalities that the network sees.
        network: Sizes.
        quantise: Whether there are quantisers and decoders.
    """
    model = build_model(data, network, quantise=quantise)
    method.configure(model)
    weights = checkpoint["state_dict"]
    model.load_state_dict(
        {name.removeprefix(_PREFIX): value for name, value in weights.items() if name.startswith(_PREFIX)}
    )
    return model.eval()


def _recipe(plan: dict[str, Any], folder: RunFolder) -> Recipe:
    """Return the recipe of a run, with its row alone."""
    wanted = {key.name for kind in (Row, Recipe) for key in fields(kind)} - RECIPE_ONLY
    lacks = sorted(wanted - set(plan))
    if lacks:
        raise UserError(f"'{folder.path}' was trained by another version; its plan lacks {lacks}.")
    row = {key.name: plan[key.name] for key in fields(Row)}
    settings = {key.name: plan[key.name] for key in fields(Recipe) if key.name not in RECIPE_ONLY}
    return build(Recipe, {**settings, "comparison": {plan["row"]: row}}, f"'{folder.path}'")
