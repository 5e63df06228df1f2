"""Layers whose signature, or whose call, PyTorch or a user hides."""

import functools
import re
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, fx, nn
from torch.distributed.algorithms._checkpoint.checkpoint_wrapper import checkpoint_wrapper

import maskfusion as mf
from tests.support.helpers import set_weight


class Difference(nn.Module):
    """Not symmetric, so that a mask on the wrong modality shows."""

    def forward(self, image: Tensor, audio: Tensor) -> Tensor:
        return image - 2 * audio


class ByName(nn.Module):
    """Hands its features on by keyword, in another order than the fusion's parameters."""

    def __init__(self, fusion: nn.Module) -> None:
        super().__init__()
        self.image, self.audio, self.head = nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 2)
        self.fusion = fusion

    def forward(self, image: Tensor, audio: Tensor) -> Tensor:
        out: Tensor = self.head(self.fusion(audio=self.audio(audio), image=self.image(image)))
        return out


class ByPosition(ByName):
    """Takes its inputs in another order than it hands them on."""

    def forward(self, audio: Tensor, image: Tensor) -> Tensor:
        out: Tensor = self.head(self.fusion(self.image(image), self.audio(audio)))
        return out


def with_forward(change: Callable[[Callable[..., Tensor]], Callable[..., Tensor]]) -> nn.Module:
    fusion = Difference()
    fusion.forward = change(fusion.forward)
    return fusion


def decorated(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    @functools.wraps(function)
    def call(*args: Tensor, **kwargs: Tensor) -> Tensor:
        return function(*args, **kwargs)

    return call


def nameless(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def call(*features: Tensor, **named: Tensor) -> Tensor:
        return function(*features, **named)

    return call


HIDDEN = {
    "decorated": lambda: with_forward(decorated),
    "nameless": lambda: with_forward(nameless),
    "partial": lambda: with_forward(functools.partial),
    "checkpointed": lambda: checkpoint_wrapper(Difference()),
    "data parallel": lambda: nn.DataParallel(Difference()),
    "compiled": lambda: torch.compile(Difference(), backend="eager"),
}


@pytest.mark.parametrize("network", [ByName, ByPosition])
@pytest.mark.parametrize("form", HIDDEN)
def test_the_right_modality_where_the_signature_is_hidden(form: str, network: type[ByName]) -> None:
    model = network(HIDDEN[form]())
    example = {"image": torch.randn(6, 4), "audio": torch.randn(6, 4)}
    mask = mf.attach(model, "fusion", example, side="input")
    start = 0
    for closed, width in mask.channels.items():
        set_weight(mask, 1.0)
        mask.weight.data[start : start + width] = 0.0
        start += width
        for changed in mask.channels:
            other = {**example, changed: torch.randn(6, 4)}
            with torch.no_grad():
                assert torch.equal(model(**example), model(**other)) == (changed == closed)


class Encoder(nn.Module):
    """A transformer layer for the image, which PyTorch runs in one piece in evaluation, past its children."""

    def __init__(self) -> None:
        super().__init__()
        self.image = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True)
        self.text, self.head = nn.Linear(4, 8), nn.Linear(24, 2)

    def forward(self, image: Tensor, text: Tensor) -> Tensor:
        out: Tensor = self.head(torch.cat([self.image(image).mean(1), self.text(text)], -1))
        return out


@pytest.mark.parametrize("path", ["image", "image.norm1", "image.norm2", "image.linear1", "image.linear2"])
def test_inside_of_a_transformer_layer(path: str) -> None:
    """The mask works in evaluation too; past a layer inside, the residual carries the image on, which is told."""
    model, example = Encoder().eval(), {"image": torch.randn(6, 5, 16), "text": torch.randn(6, 4)}
    with torch.no_grad():
        before = model(**example)
    past = path.startswith("image.linear")
    if past:
        with pytest.warns(mf.WiringWarning, match="Closed, 'image' is still heard: .* by a residual"):
            mask = mf.attach(model, {"image": path, "text": "text"}, example)
    else:
        mask = mf.attach(model, {"image": path, "text": "text"}, example)
    other = {**example, "image": torch.randn(6, 5, 16)}
    with torch.no_grad():
        torch.testing.assert_close(model(**example), before)
        mask.weight[: mask.channels["image"]] = 0.0
        assert not torch.equal(model(**example), before)
        assert torch.equal(model(**example), model(**other)) == (not past)


class Whole(fx.Tracer):
    """Keeps maskfusion's layers whole."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return m.__module__.startswith("maskfusion") or super().is_leaf_module(m, module_qualified_name)


class Given(nn.Module):
    """Hands its features on by name."""

    def __init__(self, mask: nn.Module) -> None:
        super().__init__()
        self.mask = mask

    def forward(self, image: Tensor) -> Tensor:
        out: Tensor = self.mask(image=image)
        return out


@pytest.mark.unchecked
@pytest.mark.parametrize("name", ["fused features", "image", "z"])
def test_a_symbolic_trace_is_told_what_to_do(name: str) -> None:
    model = {
        "fused features": nn.Sequential(mf.ComplementaryMask(4)),
        "image": Given(mf.ComplementaryMask({"image": 4})),
        "z": nn.Sequential(mf.VectorQuantizer(4, 8)),
    }[name]
    words = f"`{name}` is a proxy of fx.symbolic_trace, which follows no checks. Trace with an fx.Tracer whose `is_leaf_module` "
    with pytest.raises(TypeError, match=f"^{re.escape(words)}"):
        fx.symbolic_trace(model)
    fx.GraphModule(model, Whole().trace(model)).graph.lint()
