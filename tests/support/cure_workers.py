"""What two processes check of a pool and of a held-out step; `workers.py` runs it."""

import copy
from typing import Any

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

import maskfusion as mf


def pool_of_unequal_parts(world: Any) -> None:
    generator = torch.Generator().manual_seed(0)
    target = torch.randint(4, (30,), generator=generator)
    right = nn.functional.one_hot(target, 4)
    scores = {
        name: known * right + torch.randn(30, 4, generator=generator)
        for name, known in (("a", 2.0), ("b", 0.5))
    }
    here = slice(0, 21) if world.rank == 0 else slice(21, 30)
    part = {name: each[here] for name, each in scores.items()}
    for balanced in (False, True):
        pool = mf.LogarithmicPool(scores).fit(part, target[here], balanced=balanced)
        reference = mf.LogarithmicPool(scores, process_group=world.alone).fit(
            scores, target, balanced=balanced
        )
        for name, value in pool.state_dict().items():
            first, second = world.everywhere(value)
            assert torch.equal(first, second), f"{name} differs between ranks"
            torch.testing.assert_close(
                value, reference.state_dict()[name], msg=f"{name} is not that of one process"
            )


def pool_where_one_rank_has_nothing(world: Any) -> None:
    scores, target = torch.eye(3).repeat(4, 1), torch.arange(3).repeat(4)
    here = slice(0, 12 * (world.rank == 0))
    pool = mf.LogarithmicPool(["a"]).fit({"a": scores[here]}, target[here])
    first, second = world.everywhere(pool.weight)
    assert torch.equal(first, second)
    assert int(pool.fitted_on) == 12


def held_out_step(world: Any) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), mf.ComplementaryMask(4), nn.Linear(4, 2))
    plain = copy.deepcopy(model)
    x, other = torch.randn(4, 3), torch.randn(4, 3)
    parts = [slice(0, 2), slice(2, 4)]
    groups = [mf.parameter_groups(each, lr=0.1, mask_lr=0.3) for each in (model, plain)]
    weights, reference = (torch.optim.SGD(group[:1]) for group in groups)
    step = mf.HeldOutMasks(model, torch.optim.SGD(groups[0][1:]))
    alone = mf.HeldOutMasks(plain, torch.optim.SGD(groups[1][1:]), process_group=world.alone)
    parallel = DistributedDataParallel(model)
    here = parts[world.rank]
    for _ in range(3):
        weights.zero_grad()
        parallel(x[here]).square().mean().backward()
        weights.step()
        step.step(lambda: model(other[here]).square().mean())
        reference.zero_grad()
        plain(x).square().mean().backward()
        reference.step()
        alone.step(lambda: plain(other).square().mean())
    for (name, value), wanted in zip(model.state_dict().items(), plain.state_dict().values(), strict=True):
        first, second = world.everywhere(value)
        assert torch.equal(first, second), f"{name} differs between ranks"
        torch.testing.assert_close(value, wanted, msg=f"{name} is not that of one process")
