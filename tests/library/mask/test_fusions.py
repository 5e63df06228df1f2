"""A mask around any fusion: open it changes no bit, closed a modality has no influence left."""

import copy
import dataclasses
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

import maskfusion as mf
from tests.support.fusions import FUSIONS, WIDTH, Concatenation, CrossAttention, Fusion, Sum
from tests.support.helpers import set_weight

CHANNELS = {"image": WIDTH, "audio": WIDTH}
every_fusion = pytest.mark.parametrize("name", FUSIONS)
both_modalities = pytest.mark.parametrize("position", [0, 1], ids=list(CHANNELS))


def wrapped(fusion: Fusion) -> mf.ComplementaryMask:
    """The fusion in its mask, all open."""
    return mf.ComplementaryMask(CHANNELS, fusion=fusion.make(), **fusion.settings)


def closed(mask: mf.ComplementaryMask, *channels: int) -> mf.ComplementaryMask:
    """The mask with these channels closed and all others open."""
    return set_weight(mask, [0.0 if channel in channels else 0.2 for channel in range(2 * WIDTH)])


def outputs(module: Any, fusion: Fusion, features: tuple[Tensor, Tensor]) -> list[Tensor]:
    """What it makes of the features, without what stands beside the fused ones in a tuple or mapping."""
    args, kwargs = fusion.call(*features)
    leaves = [leaf for leaf in tree_leaves(module(*args, **kwargs)) if isinstance(leaf, Tensor)]
    return [leaf for leaf in leaves if leaf.shape[-1] != 1]


def other(
    features: tuple[Tensor, Tensor], position: int, channels: slice = slice(None)
) -> tuple[Tensor, ...]:
    """The same features with some of one modality replaced."""
    changed = [value.clone() for value in features]
    changed[position][..., channels] = 100 * torch.randn_like(changed[position][..., channels])
    return tuple(changed)


def trained(module: Any, fusion: Fusion, features: tuple[Tensor, Tensor]) -> list[Tensor]:
    """Outputs, and the gradients of features and parameters of the fusion."""
    features = tuple(value.clone().requires_grad_() for value in features)
    result = outputs(module, fusion, features)
    sum((value - 1).square().sum() for value in result).backward()
    inner = module.fusion if isinstance(module, mf.ComplementaryMask) else module
    parameters = list(inner.parameters()) if isinstance(inner, nn.Module) else []
    return [*result, *(value.grad for value in (*features, *parameters))]


@every_fusion
def test_open_it_changes_no_bit(name: str) -> None:
    fusion = FUSIONS[name]
    mask, features = wrapped(fusion), fusion.draw()
    plain = copy.deepcopy(mask.fusion)
    for wanted, actual in zip(trained(plain, fusion, features), trained(mask, fusion, features), strict=True):
        assert torch.equal(wanted, actual)
    args, kwargs = fusion.call(*features)
    assert type(mask(*args, **kwargs)) is type(plain(*args, **kwargs))


@every_fusion
@both_modalities
def test_a_closed_modality_has_no_influence_left(name: str, position: int) -> None:
    fusion = FUSIONS[name]
    mask, features = wrapped(fusion), fusion.draw()
    first, changed = other(features, position), other(features, 1 - position)
    assert different(outputs(mask, fusion, features), outputs(mask, fusion, first)), "open, it had some"
    closed(mask, *range(WIDTH * position, WIDTH * (position + 1)))
    assert not different(outputs(mask, fusion, features), outputs(mask, fusion, first))
    assert different(outputs(mask, fusion, features), outputs(mask, fusion, changed)), "the other one stays"


@pytest.mark.parametrize("name", [name for name in FUSIONS if "side" in FUSIONS[name].settings])
@both_modalities
def test_one_closed_channel(name: str, position: int) -> None:
    fusion = FUSIONS[name]
    mask, features = closed(wrapped(fusion), WIDTH * position + 2), fusion.draw()
    before = outputs(mask, fusion, features)
    assert not different(before, outputs(mask, fusion, other(features, position, slice(2, 3))))
    assert different(before, outputs(mask, fusion, other(features, position, slice(3, 4))))


@every_fusion
def test_every_channel_learns(name: str) -> None:
    fusion = FUSIONS[name]
    mask = closed(wrapped(fusion), 1, WIDTH + 1)
    trained(mask, fusion, fusion.draw())
    assert bool((mask.weight.grad != 0).all())


@every_fusion
@pytest.mark.unchecked
def test_compiled_in_one_piece(name: str) -> None:
    if name == "mapping of its own class" and torch.__version__ < "2.12":
        pytest.skip("the compiler of PyTorch before 2.12 cannot look into collections.UserDict")
    torch._dynamo.reset()
    fusion = FUSIONS[name]
    mask, features = closed(wrapped(fusion), 1, WIDTH + 1), fusion.draw()
    compiled = torch.compile(mask, fullgraph=True, backend="eager")
    for expected, actual in zip(
        outputs(mask, fusion, features), outputs(compiled, fusion, features), strict=True
    ):
        torch.testing.assert_close(actual, expected)


def different(first: list[Tensor], second: list[Tensor]) -> bool:
    """Whether any value is."""
    return not all(map(torch.equal, first, second))


def test_names_of_the_parameters_decide_and_not_the_order() -> None:
    mask = mf.ComplementaryMask({"audio": WIDTH, "image": WIDTH}, fusion=Sum(), side="input")
    set_weight(mask, [0.0] * WIDTH + [0.2] * WIDTH)
    image, audio = torch.randn(2, WIDTH), torch.randn(2, WIDTH)
    assert torch.equal(mask(image, audio), mask.fusion(image, torch.zeros_like(audio)))


def test_layers_that_are_frozen_within_stay_as_they_are() -> None:
    model = nn.ModuleDict({"fusion": nn.Sequential(nn.BatchNorm1d(4).eval(), nn.Dropout())})
    before = [module.training for module in model["fusion"].modules()]
    mask = mf.attach(model, "fusion", channels=4, channel_dim=1)
    assert [module.training for module in model["fusion"].modules() if module is not mask] == before
    assert mask.training
    assert not mf.ComplementaryMask(4, fusion=nn.Linear(4, 4).eval()).training


def test_omega_goes_where_the_fusion_is() -> None:
    assert mf.ComplementaryMask(4, fusion=nn.Linear(4, 4, device="meta")).weight.is_meta
    assert mf.ComplementaryMask(4, fusion=nn.BatchNorm1d(4, affine=False, device="meta")).weight.is_meta
    assert not mf.ComplementaryMask(4, fusion=nn.Linear(4, 4, device="meta"), device="cpu").weight.is_meta


def test_a_mask_is_a_module_that_calls_its_layer_and_not_that_layer() -> None:
    mask = mf.ComplementaryMask(4, fusion=nn.Linear(3, 4))
    assert mask.fusion.in_features == 3
    assert mask.weight.shape == (4,), "Omega, not the weight of the layer"
    with pytest.raises(AttributeError, match="'ComplementaryMask' object has no attribute 'in_features'"):
        _ = mask.in_features


def test_collections_are_left_as_they_were() -> None:
    for name in ("list", "mapping", "named tuple", "mapping of its own class"):
        fusion = FUSIONS[name]
        mask = closed(wrapped(fusion), *range(2 * WIDTH))
        ((features, *_), kwargs) = fusion.call(*fusion.draw())
        before = copy.deepcopy(features)
        mask(features, **kwargs)
        values = [each.values() if hasattr(each, "values") else each for each in (before, features)]
        assert all(map(torch.equal, *(map(torch.as_tensor, each) for each in values)))


def test_already_concatenated_upstream() -> None:
    features = torch.randn(3, 2 * WIDTH, 4)
    alone, around = (mf.ComplementaryMask(CHANNELS, fusion=fusion) for fusion in (None, nn.Identity()))
    for mask in (alone, around):
        assert torch.equal(mask(features), features)
        closed(mask, *range(WIDTH))
        changed = torch.cat([torch.randn(3, WIDTH, 4), features[:, WIDTH:]], 1)
        assert torch.equal(mask(features), mask(changed))
        assert torch.equal(mask(features)[:, WIDTH:], features[:, WIDTH:])


def test_a_mask_that_hands_each_modality_on() -> None:
    mask = closed(mf.ComplementaryMask(CHANNELS, fusion=lambda *both: both, side="input", channel_dim=-1), 0)
    image, audio = FUSIONS["transformer"].draw()
    first, second = mask(image, audio)
    assert torch.equal(first[..., 1:], image[..., 1:])
    assert not first[..., 0].any()
    assert torch.equal(second, audio)


class Levels(nn.Module):
    """Fuses on two levels, in two ways."""

    def __init__(self) -> None:
        super().__init__()
        self.early = CrossAttention()
        self.late = Concatenation()
        self.head = nn.Linear(2 * WIDTH, 3)

    def forward(self, image: Tensor, audio: Tensor) -> Tensor:
        tokens = self.early(image, None, audio, None)
        return self.head(self.late(tokens.mean(1), audio.mean(1)))


def test_several_masks_in_one_model() -> None:
    model = Levels()
    plain = copy.deepcopy(model)
    early = model.early = mf.ComplementaryMask(CHANNELS, fusion=model.early, side="input", channel_dim=-1)
    late = model.late = mf.ComplementaryMask(CHANNELS, fusion=model.late)
    image, audio = FUSIONS["transformer"].draw()
    assert torch.equal(model(image, audio), plain(image, audio))
    criterion = mf.ComplementaryLoss(mask_weight=1.0)
    terms = criterion(model(image, audio), torch.tensor([0, 1, 2]), masks=[early, late])
    terms.total.backward()
    assert torch.equal(terms.mask, early.penalty() + late.penalty())
    assert bool((early.weight.grad != 0).all())
    assert bool((late.weight.grad != 0).all())
    closed(early, *range(WIDTH, 2 * WIDTH))
    tracker = mf.ComplementarityTracker(model)
    assert (tracker["early"].zeta(), tracker["late"].zeta()) == (0.0, 1.0)
    assert not torch.equal(model(image, audio), model(image, torch.zeros_like(audio))), "audio comes in late"
    closed(late, *range(WIDTH, 2 * WIDTH))
    assert torch.equal(model(image, audio), model(image, torch.zeros_like(audio)))
    model.early, model.late = early.fusion, late.fusion
    assert torch.equal(model(image, audio), plain(image, audio))


class Fused(NamedTuple):
    features: Tensor
    pooled: Tensor


@dataclasses.dataclass(frozen=True)
class FusedData:
    features: Tensor
    pooled: Tensor


@pytest.mark.parametrize("kind", [Fused, FusedData])
def test_an_entry_is_a_field(kind: type) -> None:
    mask = mf.ComplementaryMask(
        CHANNELS, fusion=lambda image, audio: kind(torch.cat([image, audio], 1), image), entry="features"
    )
    image, audio = torch.randn(2, WIDTH), torch.randn(2, WIDTH)
    output = closed(mask, 0)(image, audio)
    assert type(output) is kind
    assert not output.features[:, 0].any()
    assert torch.equal(output.features[:, 1:], torch.cat([image, audio], 1)[:, 1:])
    assert torch.equal(output.pooled, image)


def test_an_entry_of_a_mapping_by_position() -> None:
    for entry in (1, -1):
        mask = mf.ComplementaryMask(4, fusion=lambda x: {"first": x * 2, "second": x}, entry=entry)
        output = set_weight(mask, [0.0] * 4)(torch.ones(2, 4))
        assert output["first"].sum() == 16
        assert output["second"].sum() == 0


@pytest.mark.unchecked
@pytest.mark.parametrize(("returned", "entry"), [(Fused, "other"), (FusedData, "other"), (FusedData, 0)])
def test_a_field_that_is_not_there(returned: type, entry: int | str) -> None:
    mask = mf.ComplementaryMask(2, fusion=lambda x: returned(x, x), entry=entry)
    with pytest.raises(
        ValueError,
        match=rf"`entry` \(={entry!r}\) must name .*, a {returned.__name__}: \['features', 'pooled'\]\.",
    ):
        mask(torch.ones(1, 2))


def test_a_piece_of_omega_is_not_taken_for_the_whole() -> None:
    mask = mf.ComplementaryMask(CHANNELS)
    mask.weight = nn.Parameter(torch.zeros(0))  # what FSDP1 leaves on a process
    for read in (lambda: mask.kept, mask.penalty, mf.ComplementarityTracker(mask).zeta):
        with pytest.raises(RuntimeError, match=r"`weight` of shape \(0,\) must have 12 channels\."):
            read()
    assert "kept" not in repr(mask)
