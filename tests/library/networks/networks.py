"""Networks as people have them, small and with random weights, and what it takes to put a mask into each.

The functions `mask_*` hold the lines that a user writes; the table of docs/your-model.md counts them.
"""

from typing import Any

import lightning.pytorch as lightning
import torch
import transformers as hf
from torch import Tensor, nn

import maskfusion as mf
from tests.library.networks.form import BATCH, CLASSES, Form
from tests.support.fusions import WIDTH, Concatenation, Gated, Transformer

TOWER = {
    "hidden_size": WIDTH,
    "intermediate_size": 8,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0,
}
WORDS = {"vocab_size": 20, "max_position_embeddings": 8}
PIXELS = {"image_size": 8, "patch_size": 4}
TEXT = 5


class TwoTowers(nn.Module):
    """CLIP's two embeddings, fused for a classifier."""

    def __init__(self) -> None:
        super().__init__()
        text = {**TOWER, **WORDS, "eos_token_id": 2}
        self.clip = hf.CLIPModel(
            hf.CLIPConfig(text_config=text, vision_config={**TOWER, **PIXELS}, projection_dim=WIDTH)
        )
        self.fusion = Concatenation()
        self.head = nn.Linear(2 * WIDTH, CLASSES)

    def forward(self, **inputs: Tensor) -> Tensor:
        embeds = self.clip(**inputs)
        return self.head(self.fusion(embeds.image_embeds, embeds.text_embeds))


def mask_two_towers(model: nn.Module, batch: Any) -> mf.ComplementaryMask:
    return mf.attach(model, "fusion", batch, modalities={"image": "pixel_values", "text": "input_ids"})


def lxmert() -> nn.Module:
    """Two streams that attend to each other, as it stands in transformers."""
    layers = {"l_layers": 1, "x_layers": 2, "r_layers": 1, "visual_feat_dim": 4, "num_qa_labels": CLASSES}
    return hf.LxmertForQuestionAnswering(hf.LxmertConfig(**TOWER, **WORDS, **layers))


def mask_lxmert(model: nn.Module, batch: Any) -> mf.ComplementaryMask:
    at = {"language": "lxmert.encoder.layer.0", "vision": "lxmert.encoder.r_layers.0"}
    return mf.attach(model, at, batch, entry=0)


def vilt() -> nn.Module:
    """One stream of the tokens of both, as it stands in transformers."""
    return hf.ViltForQuestionAnswering(hf.ViltConfig(**TOWER, **WORDS, **PIXELS, num_labels=CLASSES))


def mask_vilt(model: nn.Module, batch: Any) -> mf.ComplementaryMask:
    at = {"text": "vilt.embeddings.text_embeddings", "image": "vilt.embeddings.patch_embeddings"}
    return mf.attach(model, at, batch)


class Film(nn.Module):
    """VideoMAE for the frames, AST for the sound, a transformer layer over the tokens of both."""

    def __init__(self) -> None:
        super().__init__()
        frames = hf.VideoMAEConfig(**TOWER, **PIXELS, num_frames=4)
        sound = hf.ASTConfig(
            **TOWER, max_length=16, num_mel_bins=8, patch_size=4, time_stride=4, frequency_stride=4
        )
        self.frames, self.sound = hf.VideoMAEModel(frames), hf.ASTModel(sound)
        self.fusion = Transformer()
        self.head = nn.Linear(WIDTH, CLASSES)

    def forward(self, batch: dict[str, Tensor]) -> Tensor:
        frames = self.frames(batch["frames"]).last_hidden_state
        sound = self.sound(batch["sound"]).last_hidden_state
        return self.head(self.fusion(frames, sound).mean(1))


def mask_film(model: nn.Module, batch: Any) -> mf.ComplementaryMask:
    return mf.attach(model, "fusion", batch, side="input")


class Speech(lightning.LightningModule):
    """Wav2Vec2 for the sound, BERT for the words, a gated fusion; trained by Lightning."""

    def __init__(self) -> None:
        super().__init__()
        convs = {"conv_dim": (8, 8), "conv_kernel": (8, 4), "conv_stride": (8, 4)}
        settings = {"num_conv_pos_embeddings": 4, "num_conv_pos_embedding_groups": 2, "layerdrop": 0.0}
        sound = hf.Wav2Vec2Config(
            **TOWER, **convs, **settings, feat_extract_norm="layer", apply_spec_augment=False
        )
        sound.update({"hidden_dropout": 0.0, "attention_dropout": 0.0, "activation_dropout": 0.0})
        sound.update({"feat_proj_dropout": 0.0})
        self.sound, self.words = hf.Wav2Vec2Model(sound), hf.BertModel(hf.BertConfig(**TOWER, **WORDS))
        self.fusion = Gated()
        self.head = nn.Linear(8, CLASSES)

    def forward(self, waves: Tensor, words: Tensor) -> Tensor:
        sound = self.sound(waves).last_hidden_state.mean(1)
        return self.head(self.fusion(sound, self.words(words).pooler_output))

    def penalty(self) -> Tensor | float:
        """What the mask costs, once there is one."""
        return 0.02 * mf.total_penalty(self) if hasattr(self, "complementary_mask") else 0.0

    def training_step(self, batch: tuple[Tensor, Tensor, Tensor], _: int) -> Tensor:
        waves, words, y = batch
        return nn.functional.cross_entropy(self(waves, words), y) + self.penalty()

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.AdamW(mf.parameter_groups(self, lr=0.02, weight_decay=0.01))


def mask_speech(model: nn.Module, batch: Any) -> mf.ComplementaryMask:
    return mf.attach(model, "fusion", batch, side="input")


class Plain(nn.Module):
    """Two encoders of a user's own, a fusion, a head."""

    def __init__(self) -> None:
        super().__init__()
        self.image, self.audio = nn.Sequential(nn.Linear(4, WIDTH), nn.ReLU()), nn.Linear(3, WIDTH)
        self.fusion = Concatenation()
        self.head = nn.Linear(2 * WIDTH, CLASSES)

    def forward(self, image: Tensor, audio: Tensor) -> Tensor:
        return self.head(self.fusion(self.image(image), audio=self.audio(audio)))


class PlainOfMapping(Plain):
    """The same, from one mapping to a mapping."""

    def forward(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        return {"scores": super().forward(batch["image"], batch["audio"])}


def mask_plain(model: nn.Module, _: Any = None) -> mf.ComplementaryMask:
    model.fusion = mf.ComplementaryMask({"image": WIDTH, "audio": WIDTH}, fusion=model.fusion)
    return model.fusion


def words() -> Tensor:
    """Sentences of equal length that end with the token CLIP looks for."""
    return torch.cat([torch.randint(3, 20, (BATCH, TEXT - 1)), torch.full((BATCH, 1), 2)], 1)


def pair() -> dict[str, Tensor]:
    """What the plain networks take."""
    return {"image": torch.randn(BATCH, 4), "audio": torch.randn(BATCH, 3)}


def pictures() -> dict[str, Tensor]:
    """Sentences and pictures."""
    return {"input_ids": words(), "pixel_values": torch.randn(BATCH, 3, 8, 8)}


def regions() -> dict[str, Tensor]:
    """Sentences of several lengths, and what is where in a picture."""
    return {
        "input_ids": words(),
        "visual_feats": torch.randn(BATCH, 4, 4),
        "visual_pos": torch.rand(BATCH, 4, 4),
        "attention_mask": torch.arange(TEXT) < torch.tensor([[5], [4], [3], [5]]),
    }


def film() -> tuple[dict[str, Tensor]]:
    """Frames and sound, in one mapping."""
    return ({"frames": torch.randn(BATCH, 4, 3, 8, 8), "sound": torch.randn(BATCH, 16, 8)},)


NETWORKS = {
    "clip": Form(TwoTowers, pictures, mask_two_towers),
    "lxmert": Form(lxmert, regions, mask_lxmert, lambda out: out.question_answering_score),
    "vilt": Form(vilt, pictures, mask_vilt, lambda out: out.logits),
    "videomae and ast": Form(Film, film, mask_film),
    "wav2vec2 and bert, lightning": Form(Speech, lambda: (torch.randn(BATCH, 128), words()), mask_speech),
    "plain, positional": Form(Plain, lambda: tuple(pair().values()), mask_plain),
    "plain, keywords": Form(Plain, pair, mask_plain),
    "plain, mapping": Form(PlainOfMapping, lambda: (pair(),), mask_plain, lambda out: out["scores"]),
}
