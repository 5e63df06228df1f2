"""Public networks whose modalities meet as vectors, small, written anew after their form.

Nothing in them knows of masks. The functions `mask_*` hold the lines that a user writes, as in `networks.py`.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

import maskfusion as mf
from tests.library.networks.form import BATCH, CLASSES, Form
from tests.support.fusions import WIDTH

MODALITIES = ("text", "audio", "video")
SIZES = {"text": 5, "audio": 4, "video": 3}
TOKENS = 6


class LateFusion(nn.Module):
    """MMSA's LF_DNN: the text last, and a mapping of all features beside the score."""

    def __init__(self) -> None:
        super().__init__()
        self.text_subnet = LastState()
        self.audio_subnet, self.video_subnet = (
            nn.Sequential(nn.BatchNorm1d(size), nn.Linear(size, WIDTH), nn.ReLU()) for size in (4, 3)
        )
        self.post_fusion = nn.Sequential(nn.Linear(3 * WIDTH, WIDTH), nn.ReLU(), nn.Linear(WIDTH, CLASSES))

    def forward(self, text_x: Tensor, audio_x: Tensor, video_x: Tensor) -> dict[str, Tensor]:
        audio, video = self.audio_subnet(audio_x.squeeze(1)), self.video_subnet(video_x.squeeze(1))
        text = self.text_subnet(text_x)
        fused = torch.cat([audio, video, text], -1)
        return {"feature_t": text, "feature_a": audio, "feature_f": fused, "M": self.post_fusion(fused)}


class LastState(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.rnn, self.linear_1 = nn.LSTM(5, 4, batch_first=True), nn.Linear(4, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        _, (last, _) = self.rnn(x)
        return self.linear_1(last.squeeze(0))


def mask_late_fusion(model: nn.Module, batch: Any) -> mf.ComplementaryMask:
    at = {"text": "text_subnet", "audio": "audio_subnet", "video": "video_subnet"}
    return mf.attach(model, at, batch)


class SortedKeys(nn.Module):
    """torchmultimodal: a mapping of encoders, whose features are joined in the order of their sorted names."""

    def __init__(self) -> None:
        super().__init__()
        self.encoders = nn.ModuleDict({name: nn.Linear(size, WIDTH) for name, size in SIZES.items()})
        self.fusion, self.head = SortedConcatenation(), nn.Linear(WIDTH, CLASSES)

    def forward(self, modalities: dict[str, Tensor]) -> Tensor:
        return self.head(self.fusion({key: self.encoders[key](value) for key, value in modalities.items()}))


class SortedConcatenation(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.projection = nn.Linear(3 * WIDTH, WIDTH)

    def forward(self, embeddings: dict[str, Tensor]) -> Tensor:
        return self.projection(torch.cat([embeddings[key] for key in sorted(embeddings)], -1))


def mask_sorted_keys(model: nn.Module, batch: Any) -> mf.ComplementaryMask:
    return mf.attach(model, "fusion.projection", batch, side="input")


class ResidualReader(nn.Module):
    """What reads the concatenation adds to it, so that only the encoders can be masked."""

    def __init__(self) -> None:
        super().__init__()
        self.proj_text, self.proj_audio = nn.Conv1d(5, WIDTH, 1), nn.Conv1d(4, WIDTH, 1)
        self.first, self.second = nn.Linear(2 * WIDTH, 2 * WIDTH), nn.Linear(2 * WIDTH, 2 * WIDTH)
        self.out_layer = nn.Linear(2 * WIDTH, CLASSES)

    def forward(self, text: Tensor, audio: Tensor) -> Tensor:
        last = [proj(x.mT)[..., -1] for proj, x in ((self.proj_audio, audio), (self.proj_text, text))]
        joined = torch.cat(last, 1)
        return self.out_layer(joined + self.second(self.first(joined).relu()))


def mask_residual_reader(model: nn.Module, batch: Any) -> mf.ComplementaryMask:
    return mf.attach(model, {"text": "proj_text", "audio": "proj_audio"}, batch)


class TensorFusion(nn.Module):
    """The outer product of all features with ones before them."""

    def __init__(self) -> None:
        super().__init__()
        self.subnets = nn.ModuleDict({name: nn.Linear(size, WIDTH) for name, size in SIZES.items()})
        self.post_fusion = nn.Linear((WIDTH + 1) ** 3, CLASSES)

    def parts(self, inputs: dict[str, Tensor]) -> list[Tensor]:
        return [nn.functional.pad(net(inputs[name]), (1, 0), value=1.0) for name, net in self.subnets.items()]

    def forward(self, text: Tensor, audio: Tensor, video: Tensor) -> Tensor:
        t, a, v = self.parts({"text": text, "audio": audio, "video": video})
        return self.post_fusion(torch.einsum("bi,bj,bk->bijk", t, a, v).flatten(1))


class LowRankFusion(TensorFusion):
    """The same by one factor a modality and rank."""

    def __init__(self) -> None:
        super().__init__()
        self.factors = nn.Parameter(torch.randn(3, 2, WIDTH + 1, CLASSES))
        self.fusion_weights, self.fusion_bias = (
            nn.Parameter(torch.randn(2)),
            nn.Parameter(torch.zeros(CLASSES)),
        )

    def forward(self, text: Tensor, audio: Tensor, video: Tensor) -> Tensor:
        parts = torch.stack(self.parts({"text": text, "audio": audio, "video": video}))
        zipped = torch.einsum("mbi,mrio->mrbo", parts, self.factors).prod(0)
        return torch.einsum("r,rbo->bo", self.fusion_weights, zipped) + self.fusion_bias


def mask_tensor_fusion(model: nn.Module, batch: Any) -> mf.ComplementaryMask:
    return mf.attach(model, {name: f"subnets.{name}" for name in MODALITIES}, batch)


class Balanced(nn.Module):
    """OGM-GE: two towers of maps, and a fusion that returns what it was given beside the scores."""

    def __init__(self, fusion: nn.Module) -> None:
        super().__init__()
        self.audio_net, self.visual_net = nn.Conv2d(1, WIDTH, 3, padding=1), nn.Conv3d(3, WIDTH, 3, padding=1)
        self.fusion_module = fusion

    def forward(self, audio: Tensor, visual: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        a, v = self.audio_net(audio), self.visual_net(visual)
        return self.fusion_module(a.mean((2, 3)), v.mean((2, 3, 4)))


class SumOfScores(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc_x, self.fc_y = nn.Linear(WIDTH, CLASSES), nn.Linear(WIDTH, CLASSES)

    def forward(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return x, y, self.fc_x(x) + self.fc_y(y)


class ConcatTriple(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc_out = nn.Linear(2 * WIDTH, CLASSES)

    def forward(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return x, y, self.fc_out(torch.cat((x, y), 1))


class FiLM(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc, self.fc_out = nn.Linear(WIDTH, 2 * WIDTH), nn.Linear(WIDTH, CLASSES)

    def forward(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        gamma, beta = self.fc(x).chunk(2, 1)
        return x, y, self.fc_out(gamma * y + beta)


class GatedTriple(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc_x, self.fc_y = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, WIDTH)
        self.fc_out = nn.Linear(WIDTH, CLASSES)

    def forward(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        x, y = self.fc_x(x), self.fc_y(y)
        return x, y, self.fc_out(x.sigmoid() * y)


def mask_balanced(model: nn.Module, batch: Any) -> mf.ComplementaryMask:
    return mf.attach(model, "fusion_module", batch, side="input")


class StackAndCat(nn.Module):
    """MISA: private and shared encoders, stacked for a transformer and joined; the shared one runs once a modality."""

    def __init__(self) -> None:
        super().__init__()
        for name, size in SIZES.items():
            self.add_module(f"rnn_{name}", nn.GRU(size, WIDTH, batch_first=True))
            self.add_module(
                f"project_{name}", nn.Sequential(nn.Linear(2 * WIDTH, WIDTH), nn.LayerNorm(WIDTH))
            )
            self.add_module(f"private_{name}", nn.Sequential(nn.Linear(WIDTH, WIDTH), nn.Sigmoid()))
        self.shared = nn.Sequential(nn.Linear(WIDTH, WIDTH), nn.Sigmoid())
        layer = nn.TransformerEncoderLayer(WIDTH, 2, 8, 0.0)
        self.transformer_encoder = nn.TransformerEncoder(layer, 1, enable_nested_tensor=False)
        self.fusion = nn.Linear(6 * WIDTH, CLASSES)

    def features(self, name: str, x: Tensor, lengths: Tensor) -> Tensor:
        packed = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
        states, last = self.get_submodule(f"rnn_{name}")(packed)
        mean = pad_packed_sequence(states, batch_first=True)[0].mean(1)
        return self.get_submodule(f"project_{name}")(torch.cat([last[-1], mean], 1))

    def forward(self, text: Tensor, video: Tensor, audio: Tensor, lengths: Tensor) -> Tensor:
        inputs = {"text": text, "video": video, "audio": audio}
        found = {name: self.features(name, x, lengths) for name, x in inputs.items()}
        private = [self.get_submodule(f"private_{name}")(x) for name, x in found.items()]
        stacked = torch.stack([*private, *map(self.shared, found.values())])
        return self.fusion(torch.cat(list(self.transformer_encoder(stacked)), 1))


def mask_stack_and_cat(model: nn.Module, batch: Any) -> mf.ComplementaryMask:
    return mf.attach(model, {name: f"project_{name}" for name in MODALITIES}, batch)


def three() -> dict[str, Tensor]:
    """One vector a modality."""
    return {name: torch.randn(BATCH, size) for name, size in SIZES.items()}


def sequences() -> tuple[Tensor, ...]:
    """Text, video and audio of several lengths."""
    return (*(torch.randn(BATCH, TOKENS, size) for size in (5, 3, 4)), torch.tensor([6, 4, 5, 3]))


def sound_and_clip() -> tuple[Tensor, Tensor]:
    """A spectrogram and the frames of a clip."""
    return torch.randn(BATCH, 1, 6, 6), torch.randn(BATCH, 3, 2, 5, 5)


VECTORS: dict[str, Form] = {
    "LF_DNN of MMSA": Form(
        LateFusion,
        lambda: (torch.randn(BATCH, TOKENS, 5), torch.randn(BATCH, 1, 4), torch.randn(BATCH, 1, 3)),
        mask_late_fusion,
        lambda out: out["M"],
    ),
    "sorted keys of torchmultimodal": Form(SortedKeys, lambda: (three(),), mask_sorted_keys),
    "residual around the reader": Form(
        ResidualReader,
        lambda: (torch.randn(BATCH, TOKENS, 5), torch.randn(BATCH, TOKENS, 4)),
        mask_residual_reader,
    ),
    "tensor fusion": Form(TensorFusion, three, mask_tensor_fusion),
    "low-rank fusion": Form(LowRankFusion, three, mask_tensor_fusion),
    **{
        f"OGM-GE, {name}": Form(
            lambda fusion=fusion: Balanced(fusion()), sound_and_clip, mask_balanced, lambda out: out[2]
        )
        for name, fusion in {
            "sum": SumOfScores,
            "concatenation": ConcatTriple,
            "FiLM": FiLM,
            "gated": GatedTriple,
        }.items()
    },
    "MISA": Form(StackAndCat, sequences, mask_stack_and_cat),
}
