"""What runs in each of two processes; `test_distributed.py` starts them and reads what they found."""

import datetime
import traceback
from collections.abc import Callable
from pathlib import Path

import torch
from torch import distributed as dist

import maskfusion as mf
from tests.support import codebook_workers, cure_workers, training_workers
from tests.support.world import World

CHECKS: dict[str, Callable[[World], None]] = {
    check.__name__: check
    for check in (
        codebook_workers.one_codebook,
        codebook_workers.built_before_the_group,
        codebook_workers.parts_of_unequal_size,
        codebook_workers.one_rank_without_a_batch,
        codebook_workers.no_rank_with_a_batch,
        codebook_workers.learned_codebook_starts_alike,
        codebook_workers.bad_vectors_on_one_rank,
        codebook_workers.restarts_alike,
        codebook_workers.own_group,
        codebook_workers.evaluation_does_not_communicate,
        training_workers.ddp,
        training_workers.ddp_with_unused_parameters,
        training_workers.ddp_without_broadcast,
        training_workers.ddp_by_gradient,
        training_workers.ddp_no_sync,
        training_workers.tracker_of_a_wrapped_model,
        training_workers.sharded,
        training_workers.penalised,
        training_workers.penalised_in_pieces,
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
