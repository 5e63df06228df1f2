"""What travels with a mask on a network as it stands: checkpoints, copies, averages, compiled and exported programs."""

import copy
import pickle
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize, prune
from torch.optim.swa_utils import AveragedModel
from torch.utils.checkpoint import checkpoint

import maskfusion as mf
from tests.support.attaching import KEY, ROOMS, attached, batch, close, every_room, hears
from tests.support.helpers import through_file


@every_room
def test_checkpoints_of_the_plain_network_load_before_and_after(room: str) -> None:
    build, attach = ROOMS[room]
    plain, model, x = build(), build(), batch()
    mask = attach(model, x)
    close(mask, "text")
    assert model.load_state_dict(plain.state_dict()).missing_keys == []
    assert not mask.kept.all(), "Omega stays as it was"
    again = build()
    attach(again, x)
    again.load_state_dict(model.state_dict())
    assert torch.equal(again(*x), model(*x))
    mf.detach(again)
    again.load_state_dict(plain.state_dict())
    assert torch.equal(again(*x), plain(*x))


@every_room
@pytest.mark.parametrize(
    "copied", [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model)), through_file]
)
def test_copies_have_hooks_of_their_own(room: str, copied: Callable[[nn.Module], nn.Module]) -> None:
    model, mask, x = attached(room)
    twin = copied(model)
    close(twin.complementary_mask, "text")
    assert hears(twin, x) == [False, True]
    assert hears(model, x) == [True, True]
    assert mf.check(twin, x).problems == ()
    close(mask, "audio")
    assert hears(twin, x) == [False, True]
    mf.detach(twin)
    assert hears(twin, x) == [True, True]
    assert hears(model, x) == [True, False]


def test_averaged_models_with_buffers() -> None:
    model, mask, x = attached("encoders")
    averaged = AveragedModel(model, use_buffers=True)
    for modality in ("text", "text", "audio"):
        close(mask, modality)
        averaged.update_parameters(model)
    omega = averaged.module.complementary_mask.weight
    torch.testing.assert_close(omega[:4], torch.full((4,), (-1.0 * 2 + 0.2) / 3))
    assert not torch.equal(averaged(*x), model(*x))


@pytest.mark.unchecked
@every_room
def test_compiled_before_and_after(room: str) -> None:
    torch._dynamo.reset()
    build, attach = ROOMS[room]
    model, x = build(), batch()
    early = torch.compile(model, fullgraph=True, backend="eager")
    early(*x)
    mask = attach(early if "by hand" in room else model, x)
    late = torch.compile(model, fullgraph=True, backend="eager")
    close(mask, "text")
    for compiled in (early, late):
        assert hears(compiled, x) == [False, True]
        torch.testing.assert_close(compiled(*x), model(*x))
    mf.detach(early)
    assert hears(early, x) == [True, True]


@pytest.mark.unchecked
@every_room
@pytest.mark.parametrize("strict", [True, False])
def test_exported(room: str, strict: bool) -> None:
    model, mask, x = attached(room)
    close(mask, "text")
    model(*x)
    program = torch.export.export(model.eval(), x, strict=strict)
    assert KEY in program.state_dict
    assert hears(program.module(), x) == [False, True]
    torch.testing.assert_close(program.module()(*x), model(*x))


@every_room
def test_recomputed_and_called_functionally(room: str) -> None:
    model, mask, x = attached(room)
    close(mask, "audio")
    checkpoint(model, *x, use_reentrant=False).sum().backward()
    recomputed, mask.weight.grad = mask.weight.grad, None
    model(*x).sum().backward()
    torch.testing.assert_close(recomputed, mask.weight.grad)
    parameters = {name: p.detach() for name, p in model.named_parameters()}
    parameters[KEY] = torch.zeros(6)
    nothing = torch.func.functional_call(model, parameters, x)
    assert bool((nothing == nothing[0]).all()), "all closed"


def test_omega_may_be_parametrised_and_pruned() -> None:
    class Capped(nn.Module):
        def forward(self, weight: Tensor) -> Tensor:
            return weight.clamp(max=0.0)

    model, mask, x = attached("encoders")
    parametrize.register_parametrization(mask, "weight", Capped())
    assert hears(model, x) == [False, False]
    parametrize.remove_parametrizations(mask, "weight", leave_parametrized=False)
    assert hears(model, x) == [True, True]
    prune.custom_from_mask(mask, "weight", torch.tensor([0, 0, 0, 0, 1, 1]))
    assert hears(model, x) == [False, True]
    prune.remove(mask, "weight")
    assert KEY in model.state_dict()


def test_resetting_and_converting_every_layer() -> None:
    model, mask, x = attached("encoders")
    close(mask, "text")
    for module in model.modules():
        if hasattr(module, "reset_parameters"):
            module.reset_parameters()
    assert mask.kept.all()
    assert hears(nn.SyncBatchNorm.convert_sync_batchnorm(model), x) == [True, True]
