"""What two processes check of a pool; `workers.py` runs it."""

from typing import Any

import torch
from torch import nn

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
    pool = mf.LogarithmicPool(scores).fit({name: each[here] for name, each in scores.items()}, target[here])
    reference = mf.LogarithmicPool(scores, process_group=world.alone).fit(scores, target)
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
