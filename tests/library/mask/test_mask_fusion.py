"""ComplementaryMask around a fusion: inputs and sides."""

import functools

import pytest
import torch
from torch import Tensor, nn
from torch.distributed.algorithms._checkpoint.checkpoint_wrapper import checkpoint_wrapper

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


def test_a_function_as_fusion() -> None:
    mask = set_weight(mf.ComplementaryMask([2, 2], fusion=torch.mul), [0.2, 0.0, 0.2, 0.2])
    assert mask(torch.full((1, 4), 2.0), torch.full((1, 4), 3.0)).tolist() == [[6.0, 0.0, 6.0, 6.0]]


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


def test_attribute_assignment_is_enough() -> None:
    model = nn.Module()
    model.fusion = nn.Identity()
    model.fusion = mf.ComplementaryMask({"image": 2, "audio": 2}, fusion=model.fusion)
    x = torch.randn(3, 4)
    assert torch.equal(model.fusion(x), x)
    model.fusion = model.fusion.fusion
    assert type(model.fusion) is nn.Identity


@pytest.mark.parametrize("missing", [{"audio": None}, {}])
def test_a_missing_modality_is_for_the_fusion_to_take(missing: dict[str, None]) -> None:
    def either(image: Tensor | None = None, audio: Tensor | None = None) -> Tensor:
        return torch.stack([part for part in (image, audio) if part is not None]).sum(0)

    mask = set_weight(
        mf.ComplementaryMask({"image": 2, "audio": 2}, fusion=either, side="input"), [0.2, 0, 1, 1]
    )
    x = torch.ones(1, 2)
    for call in (lambda: mask(image=x, **missing), lambda: mask(x, *missing.values())):
        assert call().tolist() == [[1.0, 0.0]]
    of_mapping = mf.ComplementaryMask({"image": 2, "audio": 2}, fusion=lambda parts: parts, side="input")
    assert set(of_mapping({"image": x, **missing})) == {"image", *missing}


def test_no_modality_at_all() -> None:
    for fusion in (lambda **features: features, lambda parts: parts):
        mask = mf.ComplementaryMask({"image": 2, "audio": 2}, fusion=fusion, side="input")
        with pytest.raises(ValueError, match=r"Features of \['image', 'audio'\] are missing"):
            mask({"other": 1})


def test_names_are_read_behind_wrappers() -> None:
    class Difference(nn.Module):
        def forward(self, image: Tensor, audio: Tensor) -> Tensor:
            return image - audio

    class Decorated(nn.Module):
        @torch.no_grad()
        def forward(self, image: Tensor, audio: Tensor) -> Tensor:
            return image - audio

    x = torch.ones(2, 2)
    for fusion in (
        nn.DataParallel(Difference()),
        checkpoint_wrapper(Difference()),
        torch.compile(Difference(), backend="eager"),
        Decorated(),
        functools.partial(Difference()),
    ):
        mask = mf.ComplementaryMask({"audio": 2, "image": 2}, fusion=fusion, side="input")
        set_weight(mask, [0.0, 0.0, 0.2, 0.2])
        with torch.no_grad():
            output = mask(x, x)
        assert output.tolist() == [[1.0, 1.0]] * 2, "audio is closed, whatever its place"
