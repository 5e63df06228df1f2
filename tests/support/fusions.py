"""Small fusion layers of every kind that people have, each with a call that hands two modalities over."""

from collections import UserDict
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

WIDTH = 6
"""Channels of each of the two modalities, "image" and "audio"."""
Call = tuple[tuple[Any, ...], dict[str, Any]]


class Fusion(NamedTuple):
    """A fusion layer, how a network calls it, and what its mask has to be told."""

    make: Callable[[], Any]
    call: Callable[[Tensor, Tensor], Call] = lambda image, audio: ((image, audio), {})
    settings: Mapping[str, Any] = MappingProxyType({"side": "input"})
    """Settings of the mask."""
    tokens: bool = False
    """Features are ``(batch, tokens, channels)``: 5 of image and 4 of audio."""

    def draw(self) -> tuple[Tensor, Tensor]:
        """Features of image and audio."""
        shapes = ((3, 5, WIDTH), (3, 4, WIDTH)) if self.tokens else ((3, WIDTH), (3, WIDTH))
        return torch.randn(shapes[0]), torch.randn(shapes[1])


def padding(features: Tensor) -> Tensor:
    """Which tokens are padding: the last one of the second sample, the last two of the third."""
    lengths = torch.tensor([0, 1, 2])
    return torch.arange(features.shape[1]) >= (features.shape[1] - lengths)[:, None]


class Concatenation(nn.Module):
    """Side by side, each behind a layer of its own."""

    def __init__(self, wrap: Callable[[Tensor, Tensor], Any] = lambda fused, _: fused) -> None:
        super().__init__()
        self.image, self.audio = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, WIDTH)
        self.wrap = wrap

    def forward(self, image: Tensor, audio: Tensor, padding: Tensor | None = None) -> Any:
        fused = torch.cat([self.image(image), self.audio(audio)], -1)
        if padding is not None:
            fused = fused.masked_fill(padding[..., None], 0.0)
        return self.wrap(fused, image[..., :1])


class Sum(nn.Module):
    """Project and add."""

    def __init__(self) -> None:
        super().__init__()
        self.image, self.audio = nn.Linear(WIDTH, 8), nn.Linear(WIDTH, 8)

    def forward(self, image: Tensor, audio: Tensor) -> Tensor:
        return self.image(image) + self.audio(audio)


class Product(Sum):
    """Project and multiply, with a term of each alone so that one zero does not end all."""

    def forward(self, image: Tensor, audio: Tensor) -> Tensor:
        first, second = self.image(image), self.audio(audio)
        return first * second + first + second


class Gated(Sum):
    """The gated multimodal unit: which of the two, for each hidden unit."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = nn.Linear(2 * WIDTH, 8)

    def forward(self, image: Tensor, audio: Tensor) -> Tensor:
        gate = self.gate(torch.cat([image, audio], -1)).sigmoid()
        return gate * self.image(image).tanh() + (1 - gate) * self.audio(audio).tanh()


class Bilinear(nn.Bilinear):
    """With ones appended, so that each modality counts alone too."""

    def __init__(self) -> None:
        super().__init__(WIDTH + 1, WIDTH + 1, 8)

    def forward(self, image: Tensor, audio: Tensor) -> Tensor:
        return super().forward(*(nn.functional.pad(value, (0, 1), value=1.0) for value in (image, audio)))


class CrossAttention(nn.Module):
    """Image asks, audio answers; the arguments stand as LXMERT has them, a mask behind each modality."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(WIDTH, 2, batch_first=True)

    def forward(
        self, image: Tensor, image_padding: Tensor | None, audio: Tensor, audio_padding: Tensor | None
    ) -> Tensor:
        answer, _ = self.attention(image, audio, audio, audio_padding)
        fused = image + answer
        return fused if image_padding is None else fused.masked_fill(image_padding[..., None], 0.0)


class Transformer(nn.Module):
    """One stream of the tokens of both."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.TransformerEncoderLayer(WIDTH, 2, 8, dropout=0.0, batch_first=True)

    def forward(self, image: Tensor, audio: Tensor, padding: Tensor | None = None) -> Tensor:
        return self.layer(torch.cat([image, audio], 1), src_key_padding_mask=padding)


class OfList(Sum):
    """Takes a list."""

    def forward(self, features: list[Tensor], scale: float = 1.0) -> Tensor:
        image, audio = features
        return scale * super().forward(image, audio)


class OfPair(Sum):
    """Takes a named tuple."""

    def forward(self, features: "Pair") -> Tensor:
        return super().forward(features.image, features.audio)


class OfMapping(Sum):
    """Takes a mapping with more in it than features, and reads them as attributes if they can be."""

    def forward(self, features: Any) -> Tensor:
        return super().forward(features["image"], features["audio"]) * features["scale"]


class OfAttributes(Sum):
    """Takes a mapping of a class of its own."""

    def forward(self, features: "Bag") -> Tensor:
        return super().forward(features.image, features.audio)


class OfKeywords(Sum):
    """Takes keywords only, and any number of others."""

    def forward(self, *, image: Tensor, audio: Tensor, **others: float) -> Tensor:
        return super().forward(image, audio) * others.get("scale", 1.0)


class OfAny(Sum):
    """Says nothing about its arguments."""

    def forward(self, *features: Tensor, **others: float) -> Tensor:
        return super().forward(*features) * others.get("scale", 1.0)


class Pooled(Sum):
    """Means over as many tokens as are real, whose numbers stand before the features."""

    def forward(self, lengths: Tensor, image: Tensor, audio: Tensor) -> Tensor:
        real = [torch.arange(value.shape[1]) < lengths[:, None] for value in (image, audio)]
        means = [
            (value * where[..., None]).sum(1) / lengths[:, None]
            for value, where in zip((image, audio), real, strict=True)
        ]
        return super().forward(*means)


class Pair(NamedTuple):
    """Two modalities."""

    image: Tensor
    audio: Tensor


class Bag(UserDict):
    """A mapping whose entries are attributes too, as in transformers."""

    def __getattr__(self, name: str) -> Any:
        try:
            return self.__dict__["data"][name]
        except KeyError:
            raise AttributeError(name) from None


TOKENS = {"side": "input", "channel_dim": -1}
LENGTHS = torch.tensor([2, 3, 4])
FUSIONS = {
    "sum": Fusion(Sum),
    "product": Fusion(Product),
    "gated": Fusion(Gated),
    "bilinear": Fusion(Bilinear),
    "a function written in C": Fusion(lambda: torch.add),
    "list": Fusion(OfList, lambda i, a: (([i, a],), {"scale": 2.0})),
    "list by keyword": Fusion(OfList, lambda i, a: ((), {"features": [i, a], "scale": 2.0})),
    "named tuple": Fusion(OfPair, lambda i, a: ((Pair(i, a),), {})),
    "mapping": Fusion(OfMapping, lambda i, a: (({"scale": 2.0, "audio": a, "image": i},), {})),
    "mapping by keyword": Fusion(
        OfMapping, lambda i, a: ((), {"features": {"audio": a, "image": i, "scale": 2.0}})
    ),
    "mapping of its own class": Fusion(OfAttributes, lambda i, a: ((Bag(image=i, audio=a),), {})),
    "keywords": Fusion(OfKeywords, lambda i, a: ((), {"scale": 2.0, "audio": a, "image": i})),
    "one by position": Fusion(Sum, lambda i, a: ((i,), {"audio": a})),
    "anything": Fusion(OfAny, lambda i, a: ((i, a), {"scale": 2.0})),
    "cross-attention": Fusion(CrossAttention, lambda i, a: ((i, None, a, None), {}), TOKENS, True),
    "cross-attention, masks between": Fusion(
        CrossAttention, lambda i, a: ((i, padding(i), a, padding(a)), {}), TOKENS, True
    ),
    "transformer": Fusion(Transformer, settings=TOKENS, tokens=True),
    "transformer, padding behind": Fusion(
        Transformer, lambda i, a: ((i, a, torch.cat([padding(i), padding(a)], 1)), {}), TOKENS, True
    ),
    "lengths before": Fusion(Pooled, lambda i, a: ((LENGTHS, i, a), {}), TOKENS, True),
    "concatenation": Fusion(Concatenation, settings={}),
    "concatenation, masked before": Fusion(Concatenation),
    "concatenation of tokens with padding": Fusion(
        Concatenation, lambda i, a: ((i[:, :4], a), {"padding": padding(a)}), {"channel_dim": -1}, True
    ),
    "tuple": Fusion(lambda: Concatenation(lambda f, x: (x, f)), settings={"entry": 1}),
    "named tuple returned": Fusion(lambda: Concatenation(Pair), settings={"entry": "image"}),
    "mapping returned": Fusion(
        lambda: Concatenation(lambda f, x: {"first": x, "fused": f}), settings={"entry": "fused"}
    ),
}
