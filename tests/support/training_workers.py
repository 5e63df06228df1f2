"""What two processes check of a network that DDP or FSDP trains; `workers.py` runs it."""

import copy
from collections.abc import Callable
from contextlib import nullcontext

import torch
from torch import Tensor, nn
from torch.distributed.fsdp import fully_shard
from torch.nn.parallel import DistributedDataParallel

import maskfusion as mf
from maskfusion.functional.sharding import gathered
from maskfusion.mask.find import masks_of
from maskfusion.quantizer.codebook import Processes
from tests.support.helpers import Network, set_weight
from tests.support.world import World, close


def network_batches() -> list[tuple[Tensor, Tensor, Tensor]]:
    """Image, audio and label of the whole batch."""
    generator = torch.Generator().manual_seed(3)
    return [
        (
            torch.randn(8, 3, 4, 4, generator=generator),
            torch.randn(8, 1, 4, 4, generator=generator),
            torch.randint(3, (8,), generator=generator),
        )
        for _ in range(3)
    ]


def loss_of(model: nn.Module, penalty: Tensor, batch: tuple[Tensor, ...]) -> Tensor:
    """Task, codes and penalty."""
    scores, code_loss = model(*batch[:2])
    return nn.functional.cross_entropy(scores, batch[2]) + code_loss + penalty


def train(world: World, *, decay: float | None, accumulate: bool = False, **settings: bool) -> None:
    """Three steps of DDP and of one process on the whole batch give the same model."""
    torch.manual_seed(0)
    model = Network(decay=decay, tracked=True)
    reference = copy.deepcopy(model)
    reference.quantizer.processes = Processes(world.alone)
    parallel = DistributedDataParallel(model, **settings)
    optimizers = [torch.optim.SGD(each.parameters(), lr=0.1) for each in (parallel, reference)]
    half = slice(4 * world.rank, 4 * world.rank + 4)
    schedules = [mf.SteeredPenalty(each, 0.5, start=0.01, steps=2) for each in (model, reference)]
    for number, batch in enumerate(network_batches()):
        part = tuple(value[half] for value in batch)
        steps = not accumulate or number % 2 == 1
        cost, expected_cost = (
            s.value * m.fusion.penalty() for s, m in zip(schedules, (model, reference), strict=True)
        )
        with nullcontext() if steps else parallel.no_sync():
            loss_of(parallel, cost, part).backward()
        loss_of(reference, expected_cost, batch).backward()
        if steps:
            for optimizer in optimizers:
                optimizer.step()
                optimizer.zero_grad()
            for schedule in schedules:
                schedule.step()
    assert torch.equal(*world.everywhere(schedules[0].level)), "lambda differs between ranks"
    assert schedules[0].value == schedules[1].value
    for (name, actual), expected in zip(model.named_parameters(), reference.parameters(), strict=True):
        close(actual, expected, rtol=1e-4, atol=1e-5, msg=lambda m, name=name: f"{name}: {m}")
    world.expect_one_codebook(model.quantizer, reference.quantizer)
    if world.rank == 0:
        model.tracker.update()
    assert model.tracker.zeta() == reference.tracker.zeta()


def ddp(world: World) -> None:
    train(world, decay=0.9)


def ddp_with_unused_parameters(world: World) -> None:
    train(world, decay=0.9, find_unused_parameters=True)


def ddp_without_broadcast(world: World) -> None:
    train(world, decay=0.9, broadcast_buffers=False)


def ddp_by_gradient(world: World) -> None:
    train(world, decay=None, find_unused_parameters=True)


def ddp_no_sync(world: World) -> None:
    train(world, decay=0.9, accumulate=True)


def tracker_of_a_wrapped_model(world: World) -> None:
    mask = set_weight(mf.ComplementaryMask([2, 2]), [0.2, -1.0, 0.2, 0.2])
    tracker = mf.ComplementarityTracker(DistributedDataParallel(nn.Sequential(mask)))
    assert tracker.zeta() == 0.5
    if world.rank == 0:
        tracker.update()


def sharded(world: World) -> None:
    del world
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Linear(3, 5), set_weight(mf.ComplementaryMask([2, 3]), [0.2, -1.0, 0.2, 0.2, -1.0])
    )
    plain = copy.deepcopy(model)
    fully_shard(model)
    tracker = mf.ComplementarityTracker(model)
    assert type(model[1].weight.data).__name__ == "DTensor", "the weight is in pieces"
    assert tracker.kept() == mf.ComplementarityTracker(plain).kept()
    tracker.update()
    optimizers = [torch.optim.SGD(each.parameters(), lr=0.5) for each in (model, plain)]
    x = torch.randn(4, 3)
    for each, optimizer in zip((model, plain), optimizers, strict=True):
        loss = each(x).square().mean() + each[1].penalty()
        loss.backward()
        optimizer.step()
    close(model[1].weight.full_tensor(), plain[1].weight)
    assert tracker.kept() == mf.ComplementarityTracker(plain).kept()
    tracker.update()
    assert tracker.history[-1]["flipped"] > 0
    repr(model)


def penalised(world: World, wrap: Callable[[nn.Module], nn.Module] = DistributedDataParallel) -> None:
    """`penalize` counts once, whatever the number of processes."""
    del world
    torch.manual_seed(0)
    plain = nn.Sequential(nn.Linear(3, 4), set_weight(mf.ComplementaryMask(4), [0.2, -1.0, 0.3, 0.4]))
    wrapped = wrap(copy.deepcopy(plain))
    optimizers = [torch.optim.SGD(each.parameters(), lr=0.5) for each in (wrapped, plain)]
    mf.penalize(optimizers[0], wrapped, 0.25)
    x = torch.randn(4, 3)
    for _ in range(2):
        for each, weight, optimizer in ((wrapped, 0.0, optimizers[0]), (plain, 0.25, optimizers[1])):
            optimizer.zero_grad()
            (each(x).square().mean() + weight * plain[1].penalty()).backward()
            optimizer.step()
    (mask,) = masks_of(wrapped).values()
    close(gathered(mask.weight), plain[1].weight)


def penalised_in_pieces(world: World) -> None:
    penalised(world, fully_shard)
