"""The masks of a model by path: each once, wrappers left out of the path, nothing lost (P18)."""

import functools
from collections import OrderedDict
from collections.abc import Callable

import pytest
import torch
from torch import distributed as dist
from torch import nn
from torch.distributed.algorithms._checkpoint.checkpoint_wrapper import checkpoint_wrapper
from torch.optim.swa_utils import AveragedModel

import maskfusion as mf
from maskfusion.mask.find import masks_of, shortened


def network() -> nn.Sequential:
    body = nn.Sequential(nn.Linear(2, 4), mf.ComplementaryMask(4))
    return nn.Sequential(OrderedDict(body=body, head=nn.Linear(4, 1)))


def compiled_inside() -> nn.Module:
    model = network()
    model.body = torch.compile(model.body, backend="eager")
    return model


def checkpointed_inside() -> nn.Module:
    model = network()
    model.body[1] = checkpoint_wrapper(model.body[1])
    return model


def of_fabric() -> nn.Module:
    wrappers = pytest.importorskip("lightning.fabric.wrappers", reason="lightning is not installed")
    model = network()
    return wrappers._FabricModule(model, strategy=None, original_module=model)


WRAPPED: dict[str, Callable[[], nn.Module]] = {
    "nothing": network,
    "compiled": lambda: torch.compile(network(), backend="eager"),
    "compiled inside": compiled_inside,
    "checkpoint_wrapper": checkpointed_inside,
    "DataParallel": lambda: nn.DataParallel(network()),
    "AveragedModel": lambda: AveragedModel(network()),
    "Fabric": of_fabric,
    "several": lambda: torch.compile(nn.DataParallel(checkpointed_inside()), backend="eager"),
}


@pytest.mark.unchecked
@pytest.mark.parametrize("name", WRAPPED)
def test_p18_wrappers_are_left_out_of_the_path(name: str) -> None:
    model = WRAPPED[name]()
    masks = masks_of(model)
    assert list(masks) == ["body.1"]
    assert [masks["body.1"]] == [
        module for module in model.modules() if isinstance(module, mf.ComplementaryMask)
    ]


@pytest.mark.unchecked
@pytest.mark.filterwarnings("ignore:FSDP is switching to use `NO_SHARD`:UserWarning")
@pytest.mark.filterwarnings("ignore:.*FSDP1.*deprecated|.*NO_SHARD.*deprecated:FutureWarning")
@pytest.mark.parametrize("wrap", ["DistributedDataParallel", "FullyShardedDataParallel"])
def test_p18_across_processes(wrap: str, tmp_path) -> None:
    from torch.distributed.fsdp import FullyShardedDataParallel
    from torch.nn.parallel import DistributedDataParallel

    dist.init_process_group("gloo", init_method=f"file://{tmp_path}/rendezvous", rank=0, world_size=1)
    try:
        wrapped = {
            "DistributedDataParallel": DistributedDataParallel,
            "FullyShardedDataParallel": functools.partial(
                FullyShardedDataParallel, device_id=torch.device("cpu")
            ),
        }[wrap](network())
        assert list(masks_of(wrapped)) == ["body.1"]
    finally:
        dist.destroy_process_group()


def test_a_users_own_names_stay() -> None:
    model = nn.ModuleDict({"module": nn.ModuleDict({"_orig_mod": mf.ComplementaryMask(4)})})
    assert list(masks_of(model)) == ["module._orig_mod"]


def test_a_mask_itself_has_an_empty_path() -> None:
    mask = mf.ComplementaryMask(4)
    assert masks_of(mask) == {"": mask}
    assert masks_of(torch.compile(mask, backend="eager")) == {"": mask}
    assert masks_of(nn.Linear(2, 2)) == {}


def test_a_mask_under_two_paths_counts_once() -> None:
    mask = mf.ComplementaryMask(4)
    assert masks_of(nn.ModuleDict({"a": mask, "b": mask})) == {"a": mask}


def test_nothing_is_lost_where_two_paths_would_be_one() -> None:
    model = nn.DataParallel(nn.ModuleDict({"fusion": mf.ComplementaryMask(4)}))
    model.fusion = mf.ComplementaryMask(6)
    assert list(masks_of(model)) == ["module.fusion", "fusion"]


def test_other_modules() -> None:
    model = nn.DataParallel(nn.ModuleDict({"penalty": mf.ConstantPenalty()}))
    assert shortened(model, {"module.penalty": model.module["penalty"]}) == {
        "penalty": model.module["penalty"]
    }
