"""A mask on a network as it stands: what it finds out, and what stays as it was."""

import copy
import sys
from typing import Any

import pytest
import torch
from torch import nn

import maskfusion as mf
from tests.support.attaching import KEY, ROOMS, attached, batch, close, every_room, hears
from tests.support.helpers import set_weight
from tests.support.towers import Towers


@every_room
@pytest.mark.parametrize("training", [True, False])
def test_open_it_changes_no_bit(room: str, training: bool) -> None:
    build, attach = ROOMS[room]
    model, x = build().train(training), batch()
    plain = copy.deepcopy(model)
    mask = attach(model, x)
    outputs = [each(*x) for each in (plain, model)]
    assert torch.equal(*outputs)
    for output in outputs:
        output.square().sum().backward()
    ours = {name: p.grad for name, p in model.named_parameters() if p is not mask.weight}
    for name, parameter in plain.named_parameters():
        torch.testing.assert_close(ours[name], parameter.grad)
    assert bool((mask.weight.grad != 0).any())
    assert [module.training for module in model.modules()] == [training] * len(list(model.modules()))


@every_room
def test_a_closed_modality_is_not_heard(room: str) -> None:
    model, mask, x = attached(room)
    assert mask.channels == {"text": 4, "audio": 2}
    assert hears(model, x) == [True, True]
    close(mask, "text")
    assert hears(model, x) == [False, True]
    close(mask, "audio")
    assert hears(model, x) == [True, False]
    assert mf.check(model, x).problems == ()


@every_room
def test_nothing_is_replaced_and_one_key_is_new(room: str) -> None:
    build, attach = ROOMS[room]
    model, x = build(), batch()
    keys, kinds = list(model.state_dict()), [type(module) for module in model.modules()]
    random = torch.get_rng_state()
    mask = attach(model, x)
    assert torch.equal(torch.get_rng_state(), random)
    assert list(model.state_dict()) == [*keys, KEY]
    assert [type(module) for module in model.modules() if module is not mask] == kinds
    assert list(model.parameters())[-1] is mask.weight, "an optimiser's old state still fits"
    assert mf.detach(model) == ["complementary_mask"]
    assert list(model.state_dict()) == keys
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())


def test_in_a_sequential_the_mask_is_not_a_layer() -> None:
    model = nn.Sequential(nn.Sequential(nn.Linear(3, 4)), nn.ReLU(), nn.Linear(4, 2))
    x = torch.randn(5, 3)
    before = model(x)
    mask = mf.attach(model, {"only": "0"}, x)
    assert len(model) == 3
    assert torch.equal(model(x), before)
    assert list(model[0]._modules) == ["0"]
    assert model[0][0].complementary_mask is mask
    assert mf.detach(model) == ["0.0.complementary_mask"]


def test_features_of_every_form() -> None:
    model = Towers()
    padding = torch.zeros(4, 6, dtype=torch.bool)
    padding[1, 3:] = True
    example = {
        "ids": torch.randint(0, 20, (4, 6)),
        "padding": padding,
        "image": torch.randn(4, 3, 8, 8),
        "batch": {"sound": torch.randn(4, 5, 3), "table": torch.randn(4, 2)},
    }
    at = {"words": "encoder.layers.1", "picture": ["fine", "pairs"], "coarse": "coarse", "table": "table"}
    with pytest.raises(ValueError, match=r"`pairs` returns a list.*`entry=`, of \[0, 1\]"):
        mf.attach(model, at, example, entry={"table": "features"})
    entry: dict[str, Any] = {"table": "features", "pairs": [0, 1]}
    with pytest.raises(ValueError, match=r"which of the inputs .* are those of \['picture', 'coarse'\]"):
        mf.attach(model, at, example, entry=entry)
    plain = copy.deepcopy(model).eval()
    at = {"words": "encoder.layers.1", "picture": ["fine", "coarse", "pairs"], "batch": ["table", "sound"]}
    mask = mf.attach(model.eval(), at, example, entry={**entry, "sound": 1})
    assert mask.channels == {"words": 6, "picture": 4 + 5 + 2 + 4, "batch": 3 + 7}
    assert [place.channel_dim for place in mask.places] == [-1, 1, 1, 1, 1, 1, -1]
    assert {wire.modality: wire.inputs for wire in mf.check(model, example).wires} == {
        "words": ("ids", "padding"),
        "picture": ("image",),
        "batch": ("batch",),
    }
    after, before = model(**example), plain(**example)
    torch.testing.assert_close(after["scores"], before["scores"])
    torch.testing.assert_close(after["tokens"][~padding], before["tokens"][~padding])
    set_weight(mask, [0.0] * 31)
    assert bool((model(**example)["scores"] == model.head.bias).all())
    mf.detach(model)
    assert torch.equal(model(**example)["scores"], before["scores"]), "padding is nested again"


def test_without_a_compiler_loaded_nothing_is_compiled_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "torch._dynamo", raising=False)
    monkeypatch.setattr(torch.compiler, "reset", lambda: pytest.fail("it would load the compiler"))
    model, mask, x = attached("encoders")
    assert hears(model, x) == [True, True]
    assert mf.detach(model) == ["complementary_mask"]
    assert mask.kept.all()
