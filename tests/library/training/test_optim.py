"""parameter_groups: no weight decay on Omega, a learning rate of its own."""

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrize, prune

import maskfusion as mf
from tests.support.helpers import Network


def names(model: nn.Module, group: dict) -> set[str]:
    """The names of a group's parameters."""
    by_id = {id(parameter): name for name, parameter in model.named_parameters()}
    return {by_id[id(parameter)] for parameter in group["params"]}


@pytest.mark.parametrize(("mask_lr", "expected"), [(None, 1e-3), (0.5, 0.5)])
def test_groups(mask_lr: float | None, expected: float) -> None:
    model = Network(decay=None)
    rest, masks = mf.parameter_groups(model, lr=1e-3, weight_decay=0.1, mask_lr=mask_lr)
    assert names(model, masks) == {"fusion.weight"}
    assert names(model, rest) == {name for name, _ in model.named_parameters()} - {"fusion.weight"}
    assert (rest["lr"], rest["weight_decay"]) == (1e-3, 0.1)
    assert (masks["lr"], masks["weight_decay"]) == (expected, 0.0)


def test_the_wrapped_fusion_decays_like_the_rest() -> None:
    model = nn.Sequential(nn.Linear(3, 4))
    model[0] = mf.ComplementaryMask(4, fusion=model[0])
    rest, masks = mf.parameter_groups(model, lr=1e-3)
    assert names(model, masks) == {"0.weight"}
    assert names(model, rest) == {"0.fusion.weight", "0.fusion.bias"}


def test_every_parameter_once() -> None:
    model = nn.ModuleList([mf.ComplementaryMask(4), mf.ComplementaryMask(2), nn.Linear(2, 2)])
    model.extend([model[0], model[2]])
    rest, masks = mf.parameter_groups(model, lr=1e-3)
    assert len(rest["params"]) == 2
    assert len(masks["params"]) == 2


def test_p9_a_tied_omega_is_listed_once() -> None:
    model = nn.ModuleList([mf.ComplementaryMask(4), mf.ComplementaryMask(4), nn.Linear(2, 2)])
    model[1].weight = model[0].weight
    rest, masks = mf.parameter_groups(model, lr=0.1)
    assert masks["params"] == [model[0].weight]
    assert len(rest["params"]) == 2
    torch.optim.SGD([rest, masks])


def test_p9_a_pruned_or_parametrised_omega() -> None:
    model = nn.ModuleDict({"pruned": mf.ComplementaryMask(4), "made": mf.ComplementaryMask(4)})
    prune.l1_unstructured(model["pruned"], "weight", amount=1)
    parametrize.register_parametrization(model["made"], "weight", nn.Softplus(), unsafe=True)
    (masks,) = mf.parameter_groups(model, lr=0.1, weight_decay=0.1)
    assert names(model, masks) == {"pruned.weight_orig", "made.parametrizations.weight.original"}
    assert masks["weight_decay"] == 0.0
    optimizer = torch.optim.SGD([masks])
    (model["pruned"].weight.sum() + model["made"].penalty()).backward()
    optimizer.step()


@pytest.mark.parametrize("optimiser", [torch.optim.SGD, torch.optim.AdamW])
def test_a_step(optimiser) -> None:
    model = nn.Sequential(nn.Linear(3, 4), mf.ComplementaryMask(4))
    groups = mf.parameter_groups(model, lr=0.0, weight_decay=10.0, mask_lr=0.01)
    before = model[0].weight.detach().clone()
    optimizer = optimiser(groups)
    (100 * model[1].penalty() + 0 * model(torch.randn(2, 3)).sum()).backward()
    optimizer.step()
    assert torch.equal(model[0].weight, before)
    moved = 1.0 if optimiser is torch.optim.SGD else 0.01
    torch.testing.assert_close(model[1].weight, torch.full((4,), 0.1 - moved))


def test_a_model_without_a_mask() -> None:
    layer = nn.Linear(2, 2)
    groups = mf.parameter_groups(layer, lr=0.1)
    assert [parameter for group in groups for parameter in group["params"]] == list(layer.parameters())
