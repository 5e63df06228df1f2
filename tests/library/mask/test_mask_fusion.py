"""ComplementaryMask around a fusion: inputs, sides, wrapping and unwrapping."""

import pytest
import torch
from torch import Tensor, nn

import maskfusion as mf
from tests.support.helpers import Sum, set_weight

IMAGE, AUDIO = torch.full((2, 2, 3), 2.0), torch.full((2, 3, 3), 3.0)
OMEGA = [0.2, 0.0, 0.0, 0.2, 0.2]
EXPECTED = [2.0, 0.0, 0.0, 3.0, 3.0]


def calls(first: Tensor, second: Tensor) -> dict[str, tuple[tuple, dict]]:
    """Every way to hand two modalities over."""
    return {
        "tensors": ((first, second), {}),
        "list": (([first, second],), {}),
        "tuple": (((first, second),), {}),
        "mapping": (({"image": first, "audio": second},), {}),
        "mapping in another order": (({"audio": second, "image": first},), {}),
        "keywords": ((), {"audio": second, "image": first}),
    }


@pytest.mark.parametrize("how", list(calls(IMAGE, AUDIO)))
def test_inputs_without_fusion(how: str) -> None:
    mask = set_weight(mf.ComplementaryMask({"image": 2, "audio": 3}), OMEGA)
    args, kwargs = calls(IMAGE, AUDIO)[how]
    output = mask(*args, **kwargs)
    assert output.shape == (2, 5, 3)
    assert output[1, :, 2].tolist() == EXPECTED
    assert torch.equal(output, mask(torch.cat([IMAGE, AUDIO], 1)))


def test_tokens_are_concatenated_along_their_channels() -> None:
    mask = set_weight(mf.ComplementaryMask([2, 3], channel_dim=-1), OMEGA)
    output = mask(IMAGE.mT, AUDIO.mT)
    assert output.shape == (2, 3, 5)
    assert output[0, 0].tolist() == EXPECTED


def test_one_modality() -> None:
    mask = set_weight(mf.ComplementaryMask({"image": 2}), [0.2, 0.0])
    for features in (IMAGE, [IMAGE], {"image": IMAGE}):
        assert mask(features)[0, :, 0].tolist() == [2.0, 0.0]


class Fusion(nn.Module):
    """A concatenation with arguments of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(5)

    def forward(self, first: Tensor, *, second: Tensor, scale: float = 1.0) -> Tensor:
        return self.norm(torch.cat([first, second], 1)) * scale


def test_output_side_calls_the_fusion_as_it_was() -> None:
    fusion = Fusion().eval()
    mask = set_weight(mf.ComplementaryMask([2, 3], fusion=fusion), OMEGA)
    assert mask.fusion is fusion
    assert mask.side == "output"
    expected = fusion(IMAGE, second=AUDIO, scale=3.0) * mask.kept.view(-1, 1)
    assert torch.equal(mask(IMAGE, second=AUDIO, scale=3.0), expected)
    assert {"weight", "fusion.norm.weight"} <= set(mask.state_dict())


@pytest.mark.parametrize("how", list(calls(IMAGE, AUDIO)))
def test_input_side_masks_each_modality_first(how: str) -> None:
    first, second = torch.randn(2, 3, 4), torch.randn(2, 3, 4)
    mask = mf.ComplementaryMask({"image": 3, "audio": 3}, fusion=Sum(), side="input")
    set_weight(mask, [0.2, 0.0, 0.0, 0.2, 0.2, 0.0])
    args, kwargs = calls(first, second)[how]
    expected = first * torch.tensor([1.0, 0, 0]).view(-1, 1) + second * torch.tensor([1.0, 1, 0]).view(-1, 1)
    torch.testing.assert_close(mask(*args, **kwargs), expected)


def test_input_side_gradient_of_omega() -> None:
    first, second = torch.randn(2, 3), torch.randn(2, 3)
    mask = mf.ComplementaryMask([3, 3], fusion=nn.Bilinear(3, 3, 4), side="input")
    set_weight(mask, [0.2, 0.0, 0.2, 0.0, 0.2, 0.2])
    mask(first, second).sum().backward()
    assert mask.weight.grad.shape == (6,)
    assert bool((mask.weight.grad != 0).all())


@pytest.mark.parametrize("side", ["input", "output"])
def test_wrapping_changes_nothing_at_first(side: str) -> None:
    model = nn.ModuleDict({"encoder": nn.Linear(3, 4), "fusion": Sum()})
    model["block"] = nn.Sequential(nn.Identity(), Sum())
    first, second = torch.randn(2, 4), torch.randn(2, 4)
    path = "block.1"
    original = model.get_submodule(path)
    before = original(first, second)
    channels = {"a": 4, "b": 4} if side == "input" else {"a": 2, "b": 2}
    mask = mf.wrap_fusion(model, path, channels, side=side, threshold=0.01)
    assert model.get_submodule(path) is mask
    assert mask.fusion is original
    assert mask.threshold == 0.01
    assert torch.equal(model.get_submodule(path)(first, second), before)


def test_wrap_and_unwrap_give_the_model_back() -> None:
    model = nn.Sequential(nn.Sequential(nn.Linear(3, 4), nn.Identity()), nn.Identity())
    keys = list(model.state_dict())
    originals = [model[0][1], model[1]]
    mf.wrap_fusion(model, "0.1", 4)
    mf.wrap_fusion(model, "1", [4])
    assert [type(module) for module in (model[0][1], model[1])] == [mf.ComplementaryMask] * 2
    assert sorted(mf.unwrap_fusion(model)) == ["0.1", "1"]
    assert [model[0][1], model[1]] == originals
    assert list(model.state_dict()) == keys


def test_unwrapping_masks_inside_masks() -> None:
    inner, outer = nn.Identity(), nn.Sequential(nn.Identity())
    model = nn.Sequential(outer)
    outer[0] = inner
    mf.wrap_fusion(model, "0.0", 4)
    mf.wrap_fusion(model, "0", 4)
    assert len(mf.unwrap_fusion(model)) == 2
    assert model[0] is outer
    assert outer[0] is inner


def test_a_layer_under_two_names_is_wrapped_under_the_one_asked_for() -> None:
    shared = nn.Identity()
    model = nn.ModuleDict({"a": shared, "b": shared})
    mask = mf.wrap_fusion(model, "b", 4)
    assert model["a"] is shared
    assert model["b"] is mask
    assert mf.unwrap_fusion(model) == ["b"]
    assert model["b"] is shared


def test_a_function_as_fusion() -> None:
    mask = set_weight(mf.ComplementaryMask([2, 2], fusion=torch.mul), [0.2, 0.0, 0.2, 0.2])
    assert mask(torch.full((1, 4), 2.0), torch.full((1, 4), 3.0)).tolist() == [[6.0, 0.0, 6.0, 6.0]]
    with pytest.raises(ValueError, match="a mask around a fusion layer"):
        mf.unwrap_fusion(nn.Sequential(mask))


def test_extra_arguments_of_a_fusion_are_left_alone() -> None:
    def attend(first: Tensor, second: Tensor, flag: str, *, bias: Tensor) -> tuple[Tensor, str]:
        return first + second + bias, flag

    mask = mf.ComplementaryMask({"a": 2, "b": 2}, fusion=attend, side="input")
    set_weight(mask, [0.2, 0.0, 0.0, 0.2])
    one = torch.ones(1, 2)
    output, flag = mask(one, 2 * one, "yes", bias=10 * one)
    assert flag == "yes"
    assert output.tolist() == [[11.0, 12.0]]
    assert mask(one, 2 * one, flag="no", bias=one)[1] == "no"


def test_near_names() -> None:
    model = nn.ModuleDict({"fusion": nn.Identity(), "fusion_norm": nn.Identity(), "head": nn.Linear(2, 2)})
    with pytest.raises(AttributeError, match="fusion"):
        mf.wrap_fusion(model, "fusoin", 2)
    assert isinstance(model["fusion"], nn.Identity), "nothing was replaced"


def test_mask_goes_to_the_device_and_mode_of_the_fusion() -> None:
    model = nn.Sequential(nn.Linear(3, 4, device="meta")).eval()
    mask = mf.wrap_fusion(model, "0", 4)
    assert mask.weight.device.type == "meta"
    assert mask.weight.dtype == torch.float32


def test_training_mode_follows_the_model() -> None:
    model = nn.Sequential(nn.Dropout(0.5)).eval()
    mask = mf.wrap_fusion(model, "0", 4, gate=mf.random_gate(0.9))
    assert not mask.training, "a model in evaluation stays in evaluation"
    x = torch.ones(3, 4)
    assert torch.equal(model(x), x)


def test_attribute_assignment_is_enough() -> None:
    model = nn.Module()
    model.fusion = nn.Identity()
    model.fusion = mf.ComplementaryMask({"image": 2, "audio": 2}, fusion=model.fusion)
    x = torch.randn(3, 4)
    assert torch.equal(model.fusion(x), x)
    assert mf.unwrap_fusion(model) == ["fusion"]
    assert type(model.fusion) is nn.Identity
