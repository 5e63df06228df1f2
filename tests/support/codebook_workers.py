"""What two processes check of a codebook; `workers.py` runs it."""

import copy

import torch
from torch import Tensor

import maskfusion as mf
from maskfusion.quantizer.codebook import Processes
from tests.support.helpers import quantizer
from tests.support.world import World


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
