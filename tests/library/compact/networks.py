"""Six networks with masks, for the tests of compact: what joins their modalities is different in each."""

from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor, nn

import maskfusion as mf
from tests.support.compacting import norm


class Case(NamedTuple):
    """A network, one call, and what else ``compact`` is told."""

    model: nn.Module
    example: dict[str, Any]
    settings: dict[str, Any]


def close(model: nn.Module, wholly: str = "", share: float = 0.5) -> None:
    """Close some channels of every mask, and one modality wholly."""
    generator = torch.Generator().manual_seed(0)
    for mask in model.modules():
        if isinstance(mask, mf.ComplementaryMask):
            with torch.no_grad():
                mask.weight[torch.rand(mask.weight.shape, generator=generator) < share] = 0.0
                if wholly:
                    mask.split(mask.weight.data[None])[wholly].zero_()


def encoder(channels: int, width: int = 12) -> nn.Sequential:
    """Two convolutions with batch norm."""
    return nn.Sequential(
        nn.Conv2d(channels, 8, 3, padding=1),
        norm(nn.BatchNorm2d(8)),
        nn.ReLU(),
        nn.Conv2d(8, width, 3, padding=1),
        norm(nn.BatchNorm2d(width)),
        nn.ReLU(inplace=True),
    )


class Late(nn.Module):
    """Concatenates in ``forward``, in another order than its arguments have."""

    def __init__(self) -> None:
        super().__init__()
        self.image, self.audio = encoder(3), encoder(1)
        self.head = nn.Sequential(
            norm(nn.BatchNorm2d(24)),
            nn.Sigmoid(),
            nn.Conv2d(24, 6, 3, padding=1),
            nn.Flatten(),
            nn.Linear(180, 3),
        )

    def forward(self, image: Tensor, audio: Tensor) -> Tensor:
        return self.head(torch.cat([self.audio(audio), self.image(image)], 1))


class Joined(nn.Module):
    """A fusion layer."""

    def forward(self, image: Tensor, audio: Tensor) -> Tensor:
        return torch.cat([image, audio], 1)


class Wrapped(nn.Module):
    """With a mask around its fusion layer."""

    def __init__(self) -> None:
        super().__init__()
        self.image, self.audio = encoder(3), encoder(1)
        self.fusion = mf.ComplementaryMask({"image": 12, "audio": 12}, fusion=Joined())
        self.head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(24, 3))

    def forward(self, image: Tensor, audio: Tensor) -> Tensor:
        return self.head(self.fusion(self.image(image), self.audio(audio)))


class Tokens(nn.Module):
    """Three modalities as tokens for one transformer."""

    def __init__(self) -> None:
        super().__init__()
        self.text, self.image, self.audio = nn.Embedding(50, 8), nn.Linear(12, 8), nn.Linear(7, 8)
        self.encoder = nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), 2)
        self.head = nn.Linear(8, 3)

    def forward(self, text: Tensor, image: Tensor, audio: Tensor) -> Tensor:
        tokens = torch.cat([self.text(text), self.image(image), self.audio(audio)], 1)
        return self.head(self.encoder(tokens).mean(1))


class Tied(nn.Module):
    """A residual ties the fused channels to those of a block."""

    def __init__(self) -> None:
        super().__init__()
        self.image, self.audio = encoder(3), encoder(1)
        self.block = nn.Sequential(nn.Conv2d(24, 24, 3, padding=1), norm(nn.BatchNorm2d(24)), nn.ReLU())
        self.head = nn.Conv2d(24, 3, 1)

    def forward(self, image: Tensor, audio: Tensor) -> Tensor:
        fused = torch.cat([self.image(image), self.audio(audio)], 1)
        return self.head(fused + self.block(fused)).mean((2, 3))


class Towers(nn.Module):
    """CLIP's two towers and a head."""

    def __init__(self) -> None:
        super().__init__()
        transformers = pytest.importorskip("transformers")
        text = {"vocab_size": 60, "max_position_embeddings": 16, "eos_token_id": 2, "bos_token_id": 1}
        sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
        config = transformers.CLIPConfig(
            text_config={**text, **sizes, "pad_token_id": 0},
            vision_config={**sizes, "image_size": 16, "patch_size": 8},
            projection_dim=12,
        )
        self.clip = transformers.CLIPModel(config)
        self.head = nn.Linear(24, 3)

    def forward(self, input_ids: Tensor, attention_mask: Tensor, pixel_values: Tensor) -> Tensor:
        text = self.clip.text_model(input_ids=input_ids, attention_mask=attention_mask).pooler_output
        image = self.clip.vision_model(pixel_values=pixel_values).pooler_output
        return self.head(torch.cat([self.clip.text_projection(text), self.clip.visual_projection(image)], -1))


def maps() -> dict[str, Tensor]:
    """Inputs of networks of images and sound."""
    return {"image": torch.randn(4, 3, 6, 5), "audio": torch.randn(4, 1, 6, 5)}


def late() -> Case:
    model, example = Late().eval(), maps()
    mf.attach(model, {"image": "image", "audio": "audio"}, example)
    return Case(model, example, {})


def wrapped() -> Case:
    return Case(Wrapped().eval(), maps(), {})


def tokens() -> Case:
    example = {
        "text": torch.randint(50, (4, 5)),
        "image": torch.randn(4, 6, 12),
        "audio": torch.randn(4, 3, 7),
    }
    model = Tokens().eval()
    mf.attach(model, {name: name for name in example}, example)
    return Case(model, example, {})


def tied() -> Case:
    model, example = Tied().eval(), maps()
    mf.attach(model, {"image": "image", "audio": "audio"}, example)
    return Case(model, example, {})


def study() -> Case:
    """The network of the paper, of the size of a thumb; where the examples are not, as beside an installed wheel, its tests are skipped."""
    contract, nets = (pytest.importorskip(f"examples.{name}") for name in ("data.contract", "nets.model"))
    recipes = pytest.importorskip("examples.recipes")
    sizes = recipes.Network(
        width=8,
        residual_width=4,
        residual_blocks=1,
        latent=8,
        codes=16,
        head_width=8,
        head_residual_width=4,
        head_hidden=16,
    )
    modalities = {
        "image": contract.Modality("image", (3, 12, 8)),
        "audio": contract.Modality("image", (1, 8, 8)),
    }
    model = nets.FusionModel(modalities, 3, sizes, quantise=True)
    model.fusion = mf.ComplementaryMask(model.channels, fusion=model.fusion)
    example = {name: torch.randn(4, *each.shape) for name, each in modalities.items()}
    with torch.no_grad():
        model.train()(example)
    return Case(model.eval(), example, {"entry": "prediction"})


def towers() -> Case:
    example = {
        "input_ids": torch.randint(3, 60, (4, 8)),
        "attention_mask": torch.ones(4, 8, dtype=torch.long),
        "pixel_values": torch.randn(4, 3, 16, 16),
    }
    inputs = {"audio": ["input_ids", "attention_mask"], "image": ["pixel_values"]}  # as the others are called
    model = Towers().eval()
    mf.attach(
        model,
        {"audio": "clip.text_projection", "image": "clip.visual_projection"},
        example,
        modalities=inputs,
    )
    return Case(model, example, {"modalities": inputs})


SIX: dict[str, Callable[[], Case]] = {
    each.__name__: each for each in (late, wrapped, tokens, tied, study, towers)
}
