"""Runs that begin with each modality alone, on toy data."""

from pathlib import Path

import torch

from examples.data.contract import MultimodalData
from examples.methods import create
from examples.nets.model import FusionModel
from examples.recipes import Network, Recipe, Row
from examples.results import Run
from examples.run.folder import RunFolder
from examples.run.trained import network_of
from examples.run.training import train
from tests.examples.run.toy_runs import toy

SMALL = Network(encoder="plain", width=4, latent=6, head_hidden=8, dropout=0.1)
ROWS = {
    "v": Row("unimodal", quantise=False, arguments={"modality": "v"}),
    "concatenation": Row("concatenation", quantise=False),
    "experts": Row("pooled_experts", quantise=False),
    "joined": Row("joined", quantise=False),
    "frozen": Row("joined", quantise=False, arguments={"frozen": True, "epochs_after": 1.0}),
    "pooled": Row("joined_pooled", quantise=False),
    "ogm": Row("joined+ogm", quantise=False),
    "vote": Row("joined+uniform_losses", quantise=False, arguments={"vote": True}),
    "cure": Row("alone_joined_pooled", quantise=False, arguments={"mask_weight": 1e-3}),
    "tied": Row("alone_joined_pooled", quantise=False, arguments={"mask_weight": 1e-3, "tied": True}),
    "validated": Row("alone_validated_pooled", quantise=False),
    "all": Row("alone_joined_pooled", quantise=False, arguments={"mask_weight": 1e-3, "together": True}),
}


def recipe(**settings: object) -> Recipe:
    values = {"epochs": 4, "batch_size": 8, "learning_rate": 0.02, "select": "validation", "network": SMALL}
    return Recipe(data="toy", comparison=ROWS, **{**values, **settings})


def trained(row: str, folder: RunFolder, **settings: object) -> tuple[Run, FusionModel]:
    """Return a run and its network, built again from its checkpoint."""
    own = recipe(**settings)
    run = train(row, own, toy(), seed=3, folder=folder)
    return run, network(row, folder.best if own.select == "validation" else folder.last)


def network(row: str, path: Path) -> FusionModel:
    method = create(ROWS[row].method, ROWS[row].arguments)
    data = toy()
    data = data.select(method.inputs(list(data.modalities)))
    return network_of(torch.load(path, weights_only=True), method, data, SMALL, quantise=False)


def score(model: FusionModel, data: MultimodalData) -> float:
    inputs, target = data.test.everything()
    return 100 * float((model(inputs).prediction.argmax(1) == target).double().mean())


def same(one: torch.nn.Module, other: torch.nn.Module) -> bool:
    mine, theirs = one.state_dict(), other.state_dict()
    return list(mine) == list(theirs) and all(torch.equal(mine[name], theirs[name]) for name in mine)
