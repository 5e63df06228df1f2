"""Multimodal networks as they stand in transformers, small and with random weights."""

from typing import Any

import torch
import transformers as hf
from torch import Tensor, nn

import maskfusion as mf
from tests.library.networks.form import BATCH, Form
from tests.library.networks.networks import PIXELS, TOWER, WORDS, pictures

IMAGE = 19
"""The token in whose place an image goes."""
DECODER = {
    **TOWER,
    "num_attention_heads": 1,
    "num_key_value_heads": 1,
    "vocab_size": 20,
    "max_position_embeddings": 32,
}


def llava() -> nn.Module:
    """The image's patches go into the places that the prompt leaves for them."""
    config = hf.LlavaConfig(
        vision_config=hf.CLIPVisionConfig(**TOWER, **PIXELS),
        text_config=hf.LlamaConfig(**DECODER),
        image_token_id=IMAGE,
        vision_feature_layer=-1,
    )
    return hf.LlavaForConditionalGeneration(config)


def mask_llava(model: nn.Module, batch: Any) -> mf.ComplementaryMask:
    at = {"text": "model.language_model.embed_tokens", "image": "model.multi_modal_projector"}
    return mf.attach(model, at, batch)


def flava() -> nn.Module:
    """Tokens of both in one stream, behind a projection of each."""
    tower = {**TOWER, "num_hidden_layers": 1}
    config = hf.FlavaConfig(
        image_config={**tower, **PIXELS},
        text_config={**tower, **WORDS},
        multimodal_config=tower,
        projection_dim=6,
    )
    return hf.FlavaModel(config)


def mask_flava(model: nn.Module, batch: Any) -> mf.ComplementaryMask:
    return mf.attach(model, {"image": "image_to_mm_projection", "text": "text_to_mm_projection"}, batch)


def blip2() -> nn.Module:
    """Queries ask the image and stand before the prompt."""
    opt = {**TOWER, "vocab_size": 20, "ffn_dim": 8, "max_position_embeddings": 32, "word_embed_proj_dim": 6}
    config = hf.Blip2Config(
        vision_config={**TOWER, **PIXELS},
        qformer_config={**TOWER, "encoder_hidden_size": 6, "vocab_size": 20},
        text_config=hf.OPTConfig(**opt, dropout=0.0).to_dict(),
        num_query_tokens=2,
        image_token_index=IMAGE,
    )
    return hf.Blip2ForConditionalGeneration(config)


def mask_blip2(model: nn.Module, batch: Any) -> mf.ComplementaryMask:
    at = {"text": "language_model.model.decoder.embed_tokens", "image": "language_projection"}
    return mf.attach(model, at, batch)


def bridgetower() -> nn.Module:
    """Every layer of two towers is handed on to two more that attend to each other, by layers that run several times."""
    text = {**TOWER, "vocab_size": 20, "max_position_embeddings": 16, "num_hidden_layers": 3}
    vision = {"hidden_size": 64, "num_hidden_layers": 3, **PIXELS}
    config = hf.BridgeTowerConfig(**TOWER, text_config=text, vision_config=vision)
    return hf.BridgeTowerModel(config)


def mask_bridgetower(model: nn.Module, batch: Any) -> mf.ComplementaryMask:
    at = {"text": "cross_modal_text_transform", "image": "cross_modal_image_transform"}
    return mf.attach(model, at, batch)


def clipseg() -> nn.Module:
    """Maps of three layers of a tower that does not learn, scaled and shifted by the prompt."""
    layers = {**TOWER, "num_hidden_layers": 3}
    config = hf.CLIPSegConfig(
        text_config={**layers, **WORDS, "eos_token_id": 2},
        vision_config={**layers, **PIXELS},
        projection_dim=6,
        reduce_dim=4,
        extract_layers=[0, 1, 2],
        decoder_num_attention_heads=2,
        decoder_intermediate_size=8,
    )
    return hf.CLIPSegForImageSegmentation(config)


def mask_clipseg(model: nn.Module, batch: Any) -> mf.ComplementaryMask:
    return mf.attach(model, "decoder", batch, side="input")


def prompts(images: int) -> dict[str, Tensor]:
    """Sentences with so many places for the image before them."""
    batch = pictures()
    return {
        **batch,
        "input_ids": torch.cat([torch.full((BATCH, images), IMAGE), batch["input_ids"] % IMAGE], 1),
    }


PRETRAINED: dict[str, Form] = {
    "LLaVA": Form(llava, lambda: prompts(4), mask_llava, lambda out: out.logits),
    "FLAVA": Form(flava, pictures, mask_flava, lambda out: out.multimodal_embeddings),
    "BLIP-2": Form(blip2, lambda: prompts(2), mask_blip2, lambda out: out.logits),
    "BridgeTower": Form(bridgetower, pictures, mask_bridgetower, lambda out: out.pooler_output),
    "CLIPSeg": Form(clipseg, pictures, mask_clipseg, lambda out: out.logits),
}
