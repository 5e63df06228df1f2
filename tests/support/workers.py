"""What runs in each of two processes; `test_distributed.py` starts them and reads what they found."""

import copy
import datetime
import traceback
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import torch
from torch import Tensor, nn
from torch import distributed as dist
from torch.distributed.fsdp import fully_shard
from torch.nn.parallel import DistributedDataParallel

import maskfusion as mf
from maskfusion.functional.sharding import gathered
from maskfusion.mask.find import masks_of
from maskfusion.quantizer.codebook import Processes
from tests.support import cure_workers
from tests.support.helpers import Network, quantizer, set_weight

STATE = ("codebook", "cluster_size", "initialized")
close = torch.testing.assert_close


class World:
    """The rank, and a group of this process alone, on which the references run."""

    def __init__(self, rank: int, early: mf.VectorQuantizer) -> None:
        alone = [dist.new_group([0]), dist.new_group([1])]
        self.rank, self.alone, self.early = rank, alone[rank], early

    def everywhere(self, value: Tensor) -> list[Tensor]:
        """The value of each rank."""
        values = [torch.empty_like(value) for _ in range(2)]
        dist.all_gather(values, value.contiguous())
        return values

    def expect_one_codebook(
        self, module: mf.VectorQuantizer, reference: mf.VectorQuantizer | None = None
    ) -> None:
        """The same bits on every rank, and what one process finds on the whole batch."""
        for name in STATE:
            value = getattr(module, name).detach()
            first, second = self.everywhere(value)
            assert torch.equal(first, second), f"{name} differs between ranks"
            if reference is not None:
                close(
                    value,
                    getattr(reference, name).detach(),
                    rtol=1e-4,
                    atol=1e-4,
                    msg=f"{name} is not that of one process",
                )

    def follow(self, module: mf.VectorQuantizer, batches: list[tuple[Tensor, ...]], reference=None) -> None:
        """Give each rank its part and the reference the whole."""
        reference = reference or mf.VectorQuantizer(module.dim, module.codebook_size, decay=module.decay)
        reference.processes = Processes(self.alone)
        for parts in batches:
            module(parts[self.rank])
            reference(torch.cat(parts))
            self.expect_one_codebook(module, reference)


def batches(*sizes: int, steps: int = 4, dim: int = 4) -> list[tuple[Tensor, ...]]:
    """The same parts on every rank."""
    generator = torch.Generator().manual_seed(7)
    return [tuple(torch.randn(size, dim, generator=generator) for size in sizes) for _ in range(steps)]


def one_codebook(world: World) -> None:
    world.follow(mf.VectorQuantizer(4, 8, decay=0.9), batches(20, 20))


def built_before_the_group(world: World) -> None:
    world.follow(world.early, batches(20, 20))


def parts_of_unequal_size(world: World) -> None:
    world.follow(mf.VectorQuantizer(4, 8, decay=0.9), batches(30, 5))


def one_rank_without_a_batch(world: World) -> None:
    world.follow(mf.VectorQuantizer(4, 8, decay=0.9), batches(20, 0))
    world.follow(mf.VectorQuantizer(4, 8, decay=0.9), batches(0, 20))


def no_rank_with_a_batch(world: World) -> None:
    module = mf.VectorQuantizer(4, 8)
    module(torch.zeros(0, 4))
    assert not module.initialized
    first, second = (part[world.rank] for part in batches(5, 6, steps=2))
    module(first)
    module(second)
    assert module.initialized
    world.expect_one_codebook(module)


def learned_codebook_starts_alike(world: World) -> None:
    torch.manual_seed(world.rank)
    module = mf.VectorQuantizer(4, 8, decay=None)
    module(batches(20, 20)[0][world.rank])
    world.expect_one_codebook(module)


def bad_vectors_on_one_rank(world: World) -> None:
    module, reference = (mf.VectorQuantizer(4, 8, decay=0.9) for _ in range(2))
    reference.processes = Processes(world.alone)
    for first, second in batches(20, 20):
        broken = torch.cat([first[:10], torch.full((3, 4), torch.nan), first[10:]])
        module(broken if world.rank == 0 else second)
        reference(torch.cat([first, second]))
        world.expect_one_codebook(module, reference)


def restarts_alike(world: World) -> None:
    codebook = torch.cat(
        [torch.randn(4, 4, generator=torch.Generator().manual_seed(1)), torch.full((4, 4), 30.0)]
    )
    module, reference = (quantizer(codebook, decay=0.5, restart_threshold=0.2) for _ in range(2))
    world.follow(module, batches(16, 16, steps=8), reference)
    assert float(module.codebook.abs().max()) < 10


def own_group(world: World) -> None:
    torch.manual_seed(world.rank)
    module = mf.VectorQuantizer(4, 8, process_group=world.alone)
    module(torch.randn(20, 4))
    first, second = world.everywhere(module.codebook)
    assert not torch.equal(first, second), "groups of one follow their own data"
    clone = copy.deepcopy(module)
    clone(torch.randn(20, 4))
    first, second = world.everywhere(clone.codebook)
    assert not torch.equal(first, second), "and so do their copies"


def evaluation_does_not_communicate(world: World) -> None:
    module = quantizer(torch.randn(8, 4))
    if world.rank == 0:
        module.eval()(torch.randn(5, 4))
        module.train().freeze()(torch.randn(5, 4))
        module.encode(torch.randn(5, 4))
        module.usage()


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


CHECKS: dict[str, Callable[[World], None]] = {
    check.__name__: check
    for check in (
        one_codebook,
        built_before_the_group,
        parts_of_unequal_size,
        one_rank_without_a_batch,
        no_rank_with_a_batch,
        learned_codebook_starts_alike,
        bad_vectors_on_one_rank,
        restarts_alike,
        own_group,
        evaluation_does_not_communicate,
        ddp,
        ddp_with_unused_parameters,
        ddp_without_broadcast,
        ddp_by_gradient,
        ddp_no_sync,
        tracker_of_a_wrapped_model,
        sharded,
        penalised,
        penalised_in_pieces,
        cure_workers.pool_of_unequal_parts,
        cure_workers.pool_where_one_rank_has_nothing,
        cure_workers.held_out_step,
    )
}


def outcome(check: Callable[[World], None], world: World) -> str:
    """How the check failed, or nothing."""
    try:
        check(world)
    except (AssertionError, AttributeError, IndexError, KeyError, RuntimeError, TypeError, ValueError):
        return traceback.format_exc()
    return ""


def work(rank: int, folder: str) -> None:
    """Run every check and write down what went wrong."""
    torch.set_num_threads(1)
    early = mf.VectorQuantizer(4, 8, decay=0.9)
    store = dist.FileStore(str(Path(folder) / "store"), 2)
    dist.init_process_group(
        "gloo", store=store, rank=rank, world_size=2, timeout=datetime.timedelta(seconds=30)
    )
    world = World(rank, early)
    torch.save({name: outcome(check, world) for name, check in CHECKS.items()}, Path(folder) / f"{rank}.pt")
    dist.barrier()
    dist.destroy_process_group()
