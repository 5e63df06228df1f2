"""HeldOutMasks: what it refuses, and what each error says."""

import pytest
import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

import maskfusion as mf
from tests.library.training.test_held_out import adam, mask
from tests.support.messages import Case, check, expect


def made(*extra: object, **settings: float) -> object:
    model = mask()
    return mf.HeldOutMasks(model, torch.optim.AdamW([model[0].weight, *extra], **settings))


def everything() -> object:
    model = mask()
    return mf.HeldOutMasks(model, torch.optim.SGD(model.parameters(), lr=1.0))


def stepped(closure: object) -> object:
    model = mask()
    return mf.HeldOutMasks(model, adam(model)).step(closure)


def let_go() -> object:
    model = mask()
    step = mf.HeldOutMasks(model, adam(model))
    model.requires_grad_()
    return step.step(lambda: model(torch.ones(1, 4)).sum())


RULE = "`optimizer` must have every Omega of `model` and nothing else, as in torch.optim.Adam(parameter_groups(model, lr=...)[-1:])"
CASES: list[Case] = [
    (lambda: mf.HeldOutMasks("model", None), TypeError, "`model` (='model') must be a module."),
    (
        lambda: mf.HeldOutMasks(nn.Linear(2, 2), None),
        ValueError,
        "`model` (Linear) must hold a ComplementaryMask.",
    ),
    (
        lambda: mf.HeldOutMasks(mask(), "adam"),
        TypeError,
        "`optimizer` (='adam') must be a torch.optim.Optimizer",
    ),
    (
        lambda: mf.HeldOutMasks(mask(), torch.optim.SGD([nn.Parameter(torch.ones(1))], lr=1.0)),
        ValueError,
        f"{RULE}; it lacks ['0.weight'].",
    ),
    (
        lambda: made(nn.Parameter(torch.ones(1)), weight_decay=0.0),
        ValueError,
        f"{RULE}; it also has parameters of something else, 1 in all.",
    ),
    (
        everything,
        ValueError,
        f"{RULE}; it also has ['1.weight', '1.bias'], 2 in all.",
    ),
    (
        made,
        ValueError,
        "`optimizer` has weight decay on Omega, 0.01, which closes useful channels too: pass weight_decay=0.0.",
    ),
    (
        lambda: stepped(lambda: 0.5),
        TypeError,
        "`closure` returned 0.5; it must return the loss, a tensor of one number.",
    ),
    (lambda: stepped(lambda: torch.ones(2)), TypeError, "it must return the loss, a tensor of one number."),
    (
        lambda: stepped(lambda: torch.ones(())),
        ValueError,
        (
            "`closure` returned a loss that does not depend on Omega: run the masked network in it, without torch.no_grad."
        ),
    ),
    (
        lambda: stepped(lambda: torch.ones((), requires_grad=True) * 2),
        ValueError,
        (
            "`closure` returned a loss that does not depend on any Omega, so none can move: run the masked network in it. Compiled by PyTorch 2.6, "
            "a network holds Omega as a constant: run it as it is, not compiled."
        ),
    ),
    (
        let_go,
        RuntimeError,
        (
            "Omega has `requires_grad` again, so the training loss has moved it too: set it for other parameters only, or call `release()` if "
            "Omega is to follow the training loss from here on."
        ),
    ),
]


@pytest.mark.unchecked
@check(CASES)
def test_message(case: Case) -> None:
    expect(case)


@pytest.mark.usefixtures("_one_process")
def test_a_wrapped_network_is_refused_and_one_that_is_wrapped_later_trains() -> None:
    model = mask()
    with pytest.raises(
        TypeError, match=r"^`model` \(DistributedDataParallel\) must be the network itself, and not"
    ):
        mf.HeldOutMasks(DistributedDataParallel(mask()), adam(model))
    step = mf.HeldOutMasks(model, adam(model))
    parallel = DistributedDataParallel(model)
    for _ in range(2):
        parallel(torch.ones(1, 4)).sum().backward()
        step.step(lambda: model(torch.ones(1, 4)).sum())
    assert bool((model[0].weight != 0.1).all())


def test_pieces_of_omega_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    model = mask()
    monkeypatch.setattr(model[0].weight, "full_tensor", lambda: None, raising=False)
    with pytest.raises(ValueError, match=r"^`model` is sharded \(FSDP\), where Omega is in pieces"):
        mf.HeldOutMasks(model, adam(model))
