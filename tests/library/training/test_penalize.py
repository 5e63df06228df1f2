"""The penalty before each optimiser step: the same Omega as with the penalty in the loss, whatever the loop does (P24)."""

import copy
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize, prune

import maskfusion as mf
from tests.support.helpers import two
from tests.support.messages import INF
from tests.support.penalizing import LAMBDA, OPTIMIZERS, batches, close, expected, network, plain, same


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("penalty", [mf.signed_sum, mf.positive_sum, mf.absolute_sum])
def test_as_in_the_loss(name: str, penalty: Callable[[Tensor], Tensor]) -> None:
    model = network(masks=2)
    wanted = expected(OPTIMIZERS[name], model, penalty=penalty)
    optimizer = OPTIMIZERS[name](model)
    mf.penalize(optimizer, model, LAMBDA, penalty=penalty)
    for x in batches():
        plain(model, optimizer, x)
    same(model, wanted)
    assert not torch.equal(model[1].weight, network()[1].weight)


def test_p24_accumulated_batches_count_once() -> None:
    model = network()
    wanted = expected(OPTIMIZERS["adam"], model)
    optimizer = OPTIMIZERS["adam"](model)
    mf.penalize(optimizer, model, LAMBDA)
    for x in batches():
        optimizer.zero_grad()
        for part in x.split(1):
            (model(part).square().mean() / len(x)).backward()
        optimizer.step()
    same(model, wanted)


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("unscaled", [False, True])
def test_under_loss_scaling(name: str, unscaled: bool) -> None:
    model = network()
    wanted = expected(OPTIMIZERS[name], model)
    optimizer = OPTIMIZERS[name](model)
    schedule = mf.WarmupPenalty(LAMBDA, steps=1)
    schedule.step()
    mf.penalize(optimizer, model, schedule)
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    for x in batches():
        optimizer.zero_grad()
        scaler.scale(model(x).square().mean()).backward()
        if unscaled:
            scaler.unscale_(optimizer)
        scaler.step(optimizer)
        scaler.update()
    same(model, wanted)
    before = copy.deepcopy(model)
    steps = int(schedule.count)
    scaler.scale(model(x).sum() * INF).backward()
    scaler.step(optimizer)
    same(model, before)
    assert int(schedule.count) == steps


LBFGS = {"strong wolfe": {"line_search_fn": "strong_wolfe"}, "fixed": {"lr": 0.1}}


def squares(weight: Tensor) -> Tensor:
    """A penalty of a user's own, and a smooth one."""
    return weight.square().sum()


@pytest.mark.parametrize("kind", LBFGS)
def test_closures(kind: str) -> None:
    def run(model: nn.Module, in_loss: float, optimizer: torch.optim.Optimizer) -> list[float]:
        losses = []
        for x in batches():

            def closure(x: Tensor = x) -> Tensor:
                optimizer.zero_grad()
                loss = model(x).square().mean() + in_loss * mf.total_penalty(model, squares)
                loss.backward()
                return loss.detach()

            losses.append(float(optimizer.step(closure)))
        return losses

    def make(model: nn.Module) -> torch.optim.Optimizer:
        return torch.optim.LBFGS(model.parameters(), max_iter=5, **LBFGS[kind])

    model, wanted = network(), network()
    losses = run(wanted, LAMBDA, make(wanted))
    optimizer = make(model)
    mf.penalize(optimizer, model, LAMBDA, penalty=squares)
    assert run(model, 0.0, optimizer) == pytest.approx(losses, rel=1e-4)
    close(model[1].weight, wanted[1].weight, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("keyword", [False, True])
@pytest.mark.parametrize(
    "returns", [Tensor.detach, Tensor.item, Tensor.zero_], ids=["tensor", "float", "nothing"]
)
def test_closures_of_other_optimizers(keyword: bool, returns: Callable[[Tensor], object]) -> None:
    model = network()
    wanted = expected(OPTIMIZERS["adam"], model)
    optimizer = OPTIMIZERS["adam"](model)
    mf.penalize(optimizer, model, LAMBDA)
    for x in batches():

        def closure(x: Tensor = x) -> object:
            optimizer.zero_grad()
            loss = model(x).square().mean()
            loss.backward()
            return None if returns is Tensor.zero_ else returns(loss)

        cost = LAMBDA * mf.total_penalty(model).item()
        loss = closure()
        found = optimizer.step(closure=closure) if keyword else optimizer.step(closure)
        assert found is None if loss is None else float(found) == pytest.approx(float(loss) + cost)
    same(model, wanted)


def test_several_optimizers() -> None:
    model = network(masks=2)
    wanted = expected(lambda model: torch.optim.SGD(model.parameters(), lr=0.1), model)
    parts = [[model[0], model[1]], [model[2], model[3]]]
    optimizers = [torch.optim.SGD(nn.ModuleList(part).parameters(), lr=0.1) for part in parts]
    mf.penalize(optimizers[0], model[1], LAMBDA)
    mf.penalize(optimizers[1], model[2], LAMBDA)
    for x in batches():
        for optimizer in optimizers:
            optimizer.zero_grad()
        model(x).square().mean().backward()
        for optimizer in optimizers:
            optimizer.step()
    same(model, wanted)


def test_a_lambda_for_each_mask_of_one_optimizer() -> None:
    model = network(masks=2)
    optimizer = torch.optim.SGD([model[1].weight, model[2].weight], lr=1.0)
    for mask, weight in ((model[1], 0.25), (model[2], 0.5)):
        mf.penalize(optimizer, mask, weight)
    before = [mask.weight.detach().clone() for mask in (model[1], model[2])]
    optimizer.step()
    close(model[1].weight, before[0] - 0.25)
    close(model[2].weight, before[1] - 0.5)


def test_a_schedule_is_stepped_with_the_optimizer() -> None:
    model = network()
    model[1].requires_grad_(True)
    optimizer = torch.optim.SGD([model[1].weight], lr=1.0)
    schedule = mf.WarmupPenalty(1.0, steps=4)
    mf.penalize(optimizer, model, schedule)
    fallen = []
    for _ in range(6):
        before = model[1].weight.detach().clone()
        optimizer.zero_grad()
        optimizer.step()
        fallen.append((before - model[1].weight).mean().item())
    assert fallen == pytest.approx([0.0, 0.25, 0.5, 0.75, 1.0, 1.0])
    assert int(schedule.count) == 6


class Value:
    """A lambda of a user's own."""

    value = torch.tensor(0.5)


def test_a_lambda_of_ones_own_and_no_gradient_yet() -> None:
    mask = two(4, 4)
    optimizer = torch.optim.SGD(mask.parameters(), lr=0.1)
    mf.penalize(optimizer, mask, Value())
    for _ in range(2):
        before = mask.weight.detach().clone()
        optimizer.zero_grad()
        optimizer.step()
        close(mask.weight, before - 0.05)


def test_removed() -> None:
    model = network()
    optimizer = torch.optim.SGD(model[1].parameters(), lr=1.0)
    handle = mf.penalize(optimizer, model)
    handle.remove()
    handle.remove()
    optimizer.step()
    assert torch.equal(model[1].weight, network()[1].weight)
    mf.penalize(optimizer, model), "again"


def test_frozen_omega_stays() -> None:
    mask = two(4, 4)
    optimizer = torch.optim.SGD(mask.parameters(), lr=1.0)
    mask.requires_grad_(False)
    mf.penalize(optimizer, mask, 1.0)
    assert optimizer.step(lambda: 2.0) == 2.0
    assert torch.equal(mask.weight, two(4, 4).weight)


@pytest.mark.parametrize("how", ["pruning", "parametrization"])
def test_p9_omega_made_of_something_else(how: str) -> None:
    models = [network(), network()]
    for model in models:
        if how == "pruning":
            model[1].register_forward_pre_hook(lambda *_: None)
            prune.l1_unstructured(model[1], "weight", amount=3)
        else:
            parametrize.register_parametrization(model[1], "weight", nn.Softplus(), unsafe=True)
    optimizers = [OPTIMIZERS["sgd"](model) for model in models]
    mf.penalize(optimizers[0], models[0], LAMBDA)
    for x in batches():
        plain(models[0], optimizers[0], x)
        optimizers[1].zero_grad()
        (models[1](x).square().mean() + LAMBDA * mf.total_penalty(models[1])).backward()
        optimizers[1].step()
    same(*models)
    assert not torch.equal(mf.total_penalty(models[0]), network()[1].weight.sum())


def test_p9_a_tied_omega_is_pushed_once() -> None:
    model = network(masks=2)
    model[2].weight = model[1].weight
    optimizer = torch.optim.SGD(model[1].parameters(), lr=1.0)
    mf.penalize(optimizer, model, 0.25)
    before = model[1].weight.detach().clone()
    optimizer.step()
    close(model[1].weight, before - 0.25)
    close(mf.total_penalty(model), model[1].weight.sum())
