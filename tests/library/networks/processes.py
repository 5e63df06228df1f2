"""What runs in each of two processes; `test_distributed_networks.py` starts them and reads what they found."""

import copy
import datetime
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import torch
import transformers as hf
from accelerate import Accelerator, DistributedDataParallelKwargs
from torch import Tensor, nn
from torch import distributed as dist
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_model_state_dict,
    set_model_state_dict,
)
from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard
from torch.nn.parallel import DistributedDataParallel
from torch.utils._pytree import tree_map

import maskfusion as mf
from tests.library.networks.form import BATCH
from tests.library.networks.networks import NETWORKS, Plain, mask_plain
from tests.library.networks.stepping import TARGET, mask_of, masked
from tests.support.fusions import WIDTH
from tests.support.helpers import set_weight
from tests.support.workers import outcome

close = torch.testing.assert_close
Criterion = Callable[[Tensor, Tensor, mf.ComplementaryMask], Tensor]


def by_hand(scores: Tensor, target: Tensor, mask: mf.ComplementaryMask) -> Tensor:
    """The loss of a plain loop."""
    return nn.functional.cross_entropy(scores, target) + 0.05 * mask.penalty()


def by_helper(scores: Tensor, target: Tensor, mask: mf.ComplementaryMask) -> Tensor:
    """The same from the class."""
    return mf.ComplementaryLoss(mask_weight=0.05)(scores, target, masks=mask).total


def bounded(scores: Tensor, target: Tensor, mask: mf.ComplementaryMask) -> Tensor:
    """Another penalty, of all masks of a model."""
    criterion = mf.ComplementaryLoss(mask_weight=0.05, penalty=mf.positive_sum)
    return criterion(scores, target, masks=[mask]).total


def plain_and_parallel(name: str) -> tuple[nn.Module, nn.Module, mf.ComplementaryMask]:
    """The same masked network twice, and the mask of the second."""
    torch.manual_seed(0)
    reference, _, _ = masked(name)
    model = copy.deepcopy(reference)
    return reference, model, mask_of(model)


def step(
    model: nn.Module,
    mask: mf.ComplementaryMask,
    batch: tuple,
    optimizer: torch.optim.Optimizer,
    loss: Criterion,
) -> None:
    """One step of a plain loop."""
    inputs, target = batch
    loss(model(**inputs) if isinstance(inputs, Mapping) else model(*inputs), target, mask).backward()
    optimizer.step()
    optimizer.zero_grad()


def train_both(
    name: str, wrap: Callable[[nn.Module], nn.Module], rank: int, loss: Criterion = by_hand
) -> tuple[nn.Module, nn.Module, mf.ComplementaryMask]:
    """Three steps on half of the batch a process, and on the whole of it in one; the plain and the parallel network."""
    reference, model, mask = plain_and_parallel(name)
    parallel = wrap(model)
    optimizers = [
        torch.optim.SGD(mf.parameter_groups(each, lr=0.5, weight_decay=0.01))
        for each in (parallel, reference)
    ]
    mine = slice(rank * BATCH // 2, (rank + 1) * BATCH // 2)
    for _ in range(3):
        batch = NETWORKS[name].batch(), TARGET
        step(parallel, mask, tree_map(lambda value: value[mine], batch), optimizers[0], loss)
        step(reference, mask_of(reference), batch, optimizers[1], loss)
    return reference, parallel, mask


def expect_equal(reference: nn.Module, model: nn.Module, mask: mf.ComplementaryMask) -> None:
    """All parameters agree, and the readings of the mask."""
    for (name, wanted), actual in zip(reference.named_parameters(), model.parameters(), strict=True):
        full = actual.full_tensor() if hasattr(actual, "full_tensor") else actual
        close(full, wanted, rtol=1e-4, atol=1e-5, msg=lambda text, name=name: f"{name}: {text}")
    assert torch.equal(mask.kept, mask_of(reference).kept)
    assert 0 < int(mask.kept.sum()) < 2 * WIDTH
    assert mf.ComplementarityTracker(model).zeta() == mf.ComplementarityTracker(reference).zeta()
    close(mask.penalty(), mask_of(reference).penalty())
    x = torch.randn(2, 2 * WIDTH)
    assert torch.equal(mask.complementary(x), mask_of(reference).complementary(x))


def ddp(rank: int) -> None:
    wrap = partial(DistributedDataParallel, find_unused_parameters=True)  # CLIP has a temperature
    for name in ("clip", "wav2vec2 and bert, lightning", "plain, keywords"):
        reference, parallel, mask = train_both(name, wrap, rank)
        expect_equal(reference, parallel.module, mask)
        assert mf.ComplementarityTracker(parallel).history == []


def sharded_as_one(model: nn.Module) -> nn.Module:
    """All parameters in one group."""
    return fully_shard(model)


def sharded_by_layer(model: nn.Module) -> nn.Module:
    """The mask in a group of its own, with the fusion, so that Omega is in pieces when the penalty asks."""
    for module in (model.image, model.audio, model.fusion):
        fully_shard(module)
    return fully_shard(model)


def sharded_within(model: nn.Module) -> nn.Module:
    """The fusion inside of the mask in its group, Omega in that of the model; pieces after the forward pass."""
    fully_shard(model.fusion.fusion)
    return fully_shard(model, reshard_after_forward=True)


def fsdp(rank: int) -> None:
    for wrap, loss in (
        (sharded_as_one, by_hand),
        (sharded_within, by_hand),
        (sharded_by_layer, by_hand),
        (sharded_by_layer, by_helper),
        (sharded_by_layer, bounded),
    ):
        reference, parallel, mask = train_both("plain, keywords", wrap, rank, loss)
        assert type(mask.weight.data).__name__ == "DTensor"
        expect_equal(reference, parallel, mask)


def fsdp_of_a_network_of_transformers(rank: int) -> None:
    def wrap(model: nn.Module) -> nn.Module:
        for layer in [*model.sound.encoder.layers, *model.words.encoder.layer]:
            fully_shard(layer)
        fully_shard(model.fusion)
        fully_shard(mask_of(model))  # which only its hooks call
        return fully_shard(model)

    expect_equal(*train_both("wav2vec2 and bert, lightning", wrap, rank))


def fsdp_penalty_before_the_forward_pass(rank: int) -> None:
    def first(scores: Tensor, target: Tensor, mask: mf.ComplementaryMask) -> Tensor:
        return nn.functional.cross_entropy(scores, target) + asked.pop(id(mask))

    asked: dict[int, Tensor] = {}
    reference, model, mask = plain_and_parallel("plain, keywords")
    sharded_by_layer(model)
    mine = slice(rank * BATCH // 2, (rank + 1) * BATCH // 2)
    for each, own, part in ((model, mask, mine), (reference, mask_of(reference), slice(None))):
        torch.manual_seed(1)
        batch = NETWORKS["plain, keywords"].batch(), TARGET
        asked[id(own)] = 0.05 * own.penalty()
        batch = tree_map(lambda value, part=part: value[part], batch)
        step(each, own, batch, torch.optim.SGD(each.parameters(), lr=0.5), first)
    expect_equal(reference, model, mask)


def fsdp_gradients_are_clipped(rank: int) -> None:
    reference, model, mask = plain_and_parallel("plain, keywords")
    sharded_by_layer(model)
    batch = NETWORKS["plain, keywords"].batch()
    norms = []
    for each, own in ((model, mask), (reference, mask_of(reference))):
        by_hand(each(**batch), TARGET, own).backward()
        norm = nn.utils.clip_grad_norm_(each.parameters(), 0.1)
        norms.append(norm.full_tensor() if hasattr(norm, "full_tensor") else norm)
        torch.optim.SGD(each.parameters(), lr=0.5).step()
    close(*norms)
    expect_equal(reference, model, mask)
    del rank


def fsdp_checkpoints(rank: int) -> None:
    reference, parallel, mask = train_both("plain, keywords", sharded_by_layer, rank)
    options = StateDictOptions(full_state_dict=True)
    state = get_model_state_dict(parallel, options=options)
    if rank == 0:
        again = Plain()
        mask_plain(again)
        again.load_state_dict(state)
        close(again.fusion.weight, mask_of(reference).weight)
    _, other, other_mask = plain_and_parallel("plain, keywords")
    sharded_by_layer(other)
    options = StateDictOptions(full_state_dict=True, broadcast_from_rank0=True)
    set_model_state_dict(other, state, options=options)
    assert torch.equal(other_mask.kept, mask.kept)


def fsdp_in_half_precision(rank: int) -> None:
    half = MixedPrecisionPolicy(param_dtype=torch.bfloat16, reduce_dtype=torch.float32)

    def wrap(model: nn.Module) -> nn.Module:
        fully_shard(model.fusion.fusion, mp_policy=half)
        fully_shard(model.fusion)  # without the policy: Omega stays in float32
        return fully_shard(model, mp_policy=half)

    reference, parallel, mask = train_both("plain, keywords", wrap, rank)
    assert mask.weight.dtype == torch.float32
    close(mask.weight.full_tensor(), mask_of(reference).weight, rtol=0.05, atol=0.02)
    set_weight(mask, 0.05001)  # bfloat16 cannot tell it from the threshold
    batch = NETWORKS["plain, keywords"].batch()
    seen = []
    mask.register_forward_hook(lambda *call: seen.append(call[-1]))
    parallel(**batch)
    assert seen[0].dtype == torch.bfloat16
    assert bool(seen[0].any()), "open, as kept says"
    assert bool(mask.kept.all())


def fsdp_made_on_meta(rank: int) -> None:
    del rank
    with torch.device("meta"):
        model = Plain()
        mask = mask_plain(model)
    sharded_by_layer(model)
    model.to_empty(device="cpu")
    mask.reset_parameters()
    assert bool(mask.kept.all())
    close(mask.penalty(), torch.tensor(0.1 * 2 * WIDTH))
    repr(model)


@contextmanager
def launched(rank: int) -> Iterator[None]:
    """What a launcher puts into the environment."""
    names = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": 2, "LOCAL_WORLD_SIZE": 2}
    os.environ.update({name: str(value) for name, value in names.items()})
    yield
    for name in names:
        del os.environ[name]


def accelerated(rank: int) -> None:
    with launched(rank):
        unused = DistributedDataParallelKwargs(find_unused_parameters=True)
        accelerator = Accelerator(cpu=True, kwargs_handlers=[unused])
        assert accelerator.num_processes == 2
        reference, model, mask = plain_and_parallel("clip")
        optimizers = [torch.optim.SGD(each.parameters(), lr=0.5) for each in (model, reference)]
        prepared, optimizers[0] = accelerator.prepare(model, optimizers[0])
        assert isinstance(prepared, DistributedDataParallel)
        mine = slice(rank * BATCH // 2, (rank + 1) * BATCH // 2)
        for _ in range(3):
            batch = NETWORKS["clip"].batch()
            part = {key: value[mine] for key, value in batch.items()}
            accelerator.backward(by_hand(prepared(**part), TARGET[mine], mask))
            optimizers[0].step()
            optimizers[0].zero_grad()
            step(reference, mask_of(reference), (batch, TARGET), optimizers[1], by_hand)
        expect_equal(reference, accelerator.unwrap_model(prepared), mask)
        assert mask_of(accelerator.unwrap_model(prepared)) is mask


CHECKS: dict[str, Callable[[int], None]] = {
    check.__name__: check
    for check in (
        ddp,
        fsdp,
        fsdp_of_a_network_of_transformers,
        fsdp_penalty_before_the_forward_pass,
        fsdp_gradients_are_clipped,
        fsdp_checkpoints,
        fsdp_in_half_precision,
        fsdp_made_on_meta,
        accelerated,
    )
}


def work(rank: int, folder: str) -> None:
    """Run every check and write down what went wrong."""
    torch.set_num_threads(1)
    hf.utils.logging.set_verbosity_error()
    store = dist.FileStore(str(Path(folder) / "store"), 2)
    dist.init_process_group(
        "gloo", store=store, rank=rank, world_size=2, timeout=datetime.timedelta(seconds=60)
    )
    found = {name: outcome(check, rank) for name, check in CHECKS.items()}
    torch.save(found, Path(folder) / f"{rank}.pt")
    dist.barrier()
    dist.destroy_process_group()
