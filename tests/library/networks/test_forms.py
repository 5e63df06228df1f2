"""Networks that know nothing of masks: with one on them they compute the same, a closed modality is not heard, and it goes again."""

import copy
import io
import warnings
from collections.abc import Mapping, Sequence
from inspect import signature
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map

import maskfusion as mf
from tests.library.networks.form import Form
from tests.library.networks.maps import MAPS
from tests.library.networks.pretrained import PRETRAINED
from tests.library.networks.vectors import VECTORS
from tests.support.helpers import set_weight

FORMS = {**VECTORS, **MAPS, **PRETRAINED}
every_form = pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)


def close(mask: mf.ComplementaryMask, modality: str) -> None:
    """Close one modality and open the others."""
    parts = [torch.full((n,), -1.0 if name == modality else 0.2) for name, n in mask.channels.items()]
    set_weight(mask, torch.cat(parts))


@every_form
@pytest.mark.parametrize("training", [True, False])
def test_open_it_changes_no_bit(form: Form, training: bool) -> None:
    model, batch = form.build().train(training), form.batch()
    plain = copy.deepcopy(model)
    kinds = [(name, type(module)) for name, module in model.named_modules()]
    with warnings.catch_warnings():
        warnings.simplefilter("error", mf.WiringWarning)
        mask = form.mask(model, batch)
    assert [(name, type(each)) for name, each in model.named_modules() if each is not mask] == kinds
    outputs = [form.run(each, batch) for each in (plain, model)]
    assert torch.equal(*outputs)
    for output in outputs:
        output.square().sum().backward()
    ours = {name: p.grad for name, p in model.named_parameters() if p is not mask.weight}
    for name, parameter in plain.named_parameters():
        torch.testing.assert_close(ours[name], parameter.grad)
    for modality, gradient in mask.split(mask.weight.grad[None]).items():
        assert bool((gradient != 0).any()), modality


def replaced(model: nn.Module, batch: Any, names: Sequence[str]) -> Any:
    """The batch with other numbers in these inputs."""
    if isinstance(batch, Mapping):
        return {**batch, **{name: tree_map(other, batch[name]) for name in names}}
    if isinstance(batch[0], Mapping):
        return (replaced(model, batch[0], names),)
    inputs = zip(signature(model.forward).parameters, batch, strict=True)
    return tuple(other(value) if name in names else value for name, value in inputs)


def other(value: Tensor) -> Tensor:
    return 2 * value.flip(0) + 1 if value.is_floating_point() else value.flip(0)


@every_form
def test_a_closed_modality_is_not_heard(form: Form) -> None:
    model, batch = form.build().eval(), form.batch()
    mask = form.mask(model, batch)
    wiring = mf.check(model, batch)
    assert wiring.problems == ()
    for closed in mask.channels:
        close(mask, closed)
        before = form.run(model, batch)
        heard = {
            wire.modality: not torch.equal(before, form.run(model, replaced(model, batch, wire.inputs)))
            for wire in wiring.wires
        }
        assert heard == {modality: modality != closed for modality in mask.channels}


@every_form
def test_saved_loaded_and_taken_off(form: Form) -> None:
    model, again, batch = form.build().eval(), form.build().eval(), form.batch()
    bare, keys = copy.deepcopy(model.state_dict()), set(model.state_dict())
    plain = form.run(model, batch)
    mask = form.mask(model, batch)
    set_weight(mask, torch.linspace(0.02, 0.2, len(mask.weight)))
    masked = form.run(model, batch)
    assert not torch.equal(masked, plain)
    (key,) = set(model.state_dict()) - keys
    file = io.BytesIO()
    torch.save(model.state_dict(), file)
    file.seek(0)
    form.mask(again, batch)
    again.load_state_dict(torch.load(file, weights_only=True))
    assert torch.equal(form.run(again, batch), masked)
    again.load_state_dict(bare)
    assert torch.equal(form.run(again, batch), masked), "a checkpoint of the plain network leaves Omega alone"
    assert mf.detach(again) == [key.removesuffix(".weight")]
    assert set(again.state_dict()) == keys
    assert torch.equal(form.run(again, batch), plain)


def test_llava_generates_what_it_did_and_not_from_a_closed_picture() -> None:
    form = FORMS["LLaVA"]
    model, batch = form.build().eval(), form.batch()

    def said(inputs: Any) -> Tensor:
        settings = {"max_new_tokens": 4, "do_sample": False}
        out = model.generate(**inputs, **settings, return_dict_in_generate=True, output_logits=True)
        return torch.stack(out.logits)

    before = said(batch)
    mask = form.mask(model, batch)
    assert torch.equal(said(batch), before)
    others = replaced(model, batch, ["pixel_values"])
    assert not torch.equal(said(others), before)
    close(mask, "image")
    assert torch.equal(said(others), said(batch))
    close(mask, "text")
    assert not torch.equal(said(others), said(batch))
