"""A mask on a network as it stands: what it finds out, what stays as it was, and what travels with copies."""

import copy
import io
import pickle
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize, prune
from torch.optim.swa_utils import AveragedModel
from torch.utils.checkpoint import checkpoint

import maskfusion as mf
from tests.support.helpers import set_weight

AT = {"text": "text", "audio": "audio"}
KEY = "complementary_mask.weight"


def batch() -> tuple[Tensor, Tensor]:
    """Text and audio of six samples."""
    return torch.randn(6, 5), torch.randn(6, 3)


class Late(nn.Module):
    """Late fusion by an inline concatenation, in another order than the arguments'."""

    def __init__(self) -> None:
        super().__init__()
        self.text, self.audio = nn.Linear(5, 4), nn.Sequential(nn.Linear(3, 2), nn.ReLU())
        self.head = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3))

    def forward(self, text: Tensor, audio: Tensor) -> Tensor:
        return self.head(torch.cat([self.audio(audio), self.text(text)], 1))


class Sorted(Late):
    """A fusion layer that takes a mapping and sorts its keys."""

    def __init__(self) -> None:
        super().__init__()
        self.fusion = SortedCat()

    def forward(self, text: Tensor, audio: Tensor) -> Tensor:
        return self.head(self.fusion({"text": self.text(text), "audio": self.audio(audio)}))


class SortedCat(nn.Module):
    def forward(self, parts: dict[str, Tensor]) -> Tensor:
        return torch.cat([parts[name] for name in sorted(parts)], 1)


class Summed(Late):
    """A fusion that mixes channels."""

    def __init__(self) -> None:
        super().__init__()
        self.fusion = Add()

    def forward(self, text: Tensor, audio: Tensor) -> Tensor:
        return self.fusion(audio=self.audio(audio), text=self.text(text), scale=torch.ones(len(text), 1))


class Add(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.text, self.audio = nn.Linear(4, 3), nn.Linear(2, 3)

    def forward(self, audio: Tensor, text: Tensor, scale: Tensor) -> Tensor:
        return scale * (self.text(text) + self.audio(audio))


ROOMS: dict[str, tuple[Callable[[], nn.Module], Callable[[nn.Module, Any], mf.ComplementaryMask]]] = {
    "encoders": (Late, lambda model, x: mf.attach(model, AT, x)),
    "reader of an inline cat": (Late, lambda model, x: mf.attach(model, "head", x, side="input")),
    "fused layer": (Sorted, lambda model, x: mf.attach(model, "fusion", x)),
    "mixing layer": (Summed, lambda model, x: mf.attach(model, "fusion", x, side="input")),
    "encoders, by hand": (
        Late,
        lambda model, _: mf.attach(model, AT, channels={"text": 4, "audio": 2}, channel_dim=1),
    ),
    "fused layer, by hand": (
        Sorted,
        lambda model, _: mf.attach(model, "fusion", channels={"audio": 2, "text": 4}, channel_dim=1),
    ),
    "mixing layer, by hand": (
        Summed,
        lambda model, _: mf.attach(
            model, "fusion", channels={"text": 4, "audio": 2}, channel_dim=1, side="input"
        ),
    ),
    "reader, by hand": (
        Late,
        lambda model, _: mf.attach(
            model, "head.0", channels={"audio": 2, "text": 4}, channel_dim=1, side="input"
        ),
    ),
}
every_room = pytest.mark.parametrize("room", ROOMS)


def attached(room: str) -> tuple[nn.Module, mf.ComplementaryMask, tuple[Tensor, Tensor]]:
    build, attach = ROOMS[room]
    model, x = build(), batch()
    return model, attach(model, x), x


def close(mask: mf.ComplementaryMask, modality: str) -> None:
    """Close one modality and open the other."""
    parts = [torch.full((n,), -1.0 if name == modality else 0.2) for name, n in mask.channels.items()]
    set_weight(mask, torch.cat(parts))


def hears(model: nn.Module, x: tuple[Tensor, Tensor]) -> list[bool]:
    """Whether the output depends on text, and on audio."""
    text, audio = x
    before = model(text, audio)
    return [
        not torch.equal(before, after) for after in (model(text.flip(0), audio), model(text, audio.flip(0)))
    ]


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


def through_file(model: nn.Module) -> nn.Module:
    file = io.BytesIO()
    torch.save(model, file)
    file.seek(0)
    # A whole network with its hooks, not a state_dict, and written just above.
    return torch.load(file, weights_only=False)


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


class Towers(nn.Module):
    """Tokens, maps and a table; encoders that return tuples, mappings and dataclasses; two layers of one modality."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(20, 6)
        self.encoder = nn.TransformerEncoder(
            nn.TransformerEncoderLayer(6, 2, 8, 0.0, batch_first=True), 2, enable_nested_tensor=True
        )
        self.fine, self.coarse = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 5, 3, stride=2)
        self.sound = nn.GRU(3, 7, batch_first=True)
        self.table = Boxed(nn.Linear(2, 3))
        self.pairs = Several()
        self.head = nn.Linear(6 + 4 + 5 + 7 + 3 + 6, 4)

    def forward(
        self, ids: Tensor, padding: Tensor, image: Tensor, batch: dict[str, Any]
    ) -> dict[str, Tensor]:
        tokens = self.encoder(self.words(ids), src_key_padding_mask=padding)
        fine = self.fine(image)
        _, sound = self.sound(batch["sound"])
        parts = [
            tokens[:, 0],
            fine.mean((2, 3)),
            self.coarse(fine.relu()).mean((2, 3)),
            sound[-1],
            self.table(batch["table"]).features,
            *(level.mean((2, 3)) for level in self.pairs(image)),
        ]
        return {"scores": self.head(torch.cat(parts, 1)), "tokens": tokens}


@dataclass
class Box:
    features: Tensor


class Boxed(nn.Module):
    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Box:
        return Box(self.layer(x))


class Several(nn.Module):
    """A list of maps, as a feature pyramid returns it."""

    def __init__(self) -> None:
        super().__init__()
        self.levels = nn.ModuleList([nn.Conv2d(3, 2, 1), nn.Conv2d(3, 4, 1, stride=2)])

    def forward(self, image: Tensor) -> list[Tensor]:
        return [level(image) for level in self.levels]


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
    entry = {"table": "features", "pairs": [0, 1], "sound": 1}
    with pytest.raises(ValueError, match=r"which of the inputs .* are those of \['picture', 'coarse'\]"):
        mf.attach(model, at, example, entry=entry)
    plain = copy.deepcopy(model).eval()
    at = {"words": "encoder.layers.1", "picture": ["fine", "coarse", "pairs"], "batch": ["table", "sound"]}
    mask = mf.attach(model.eval(), at, example, entry=entry)
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
