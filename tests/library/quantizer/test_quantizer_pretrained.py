"""Quantisers in a network of transformers: checkpoints with their state, without it, and in half precision (Q5)."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import maskfusion as mf

transformers = pytest.importorskip("transformers")


class Tokenizer(transformers.PreTrainedModel):
    """An encoder, quantisers of both kinds, one of them frozen, and a decoder; no `_init_weights` of its own."""

    config_class = transformers.BertConfig

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.encoder, self.decoder = nn.Linear(6, 4), nn.Linear(4, 6)
        self.follows, self.learns = mf.VectorQuantizer(4, 8), mf.VectorQuantizer(4, 8, decay=None)
        shared = mf.VectorQuantizer(4, 8)
        self.stack = mf.ResidualQuantizer([shared, shared])
        self.post_init()

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        z = self.encoder(x)
        found = [self.follows(z), self.learns(z), self.stack(z)]
        return self.decoder(sum(one.quantized for one in found)), sum(one.loss for one in found)


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    before = transformers.utils.logging.get_verbosity()
    transformers.utils.logging.set_verbosity_error()
    yield
    transformers.utils.logging.set_verbosity(before)


@pytest.fixture
def trained() -> Tokenizer:
    model = Tokenizer(transformers.BertConfig())
    for _ in range(3):
        model(torch.randn(40, 6))
    model.learns.freeze()
    return model


def load(folder: Path, **settings: Any) -> Tokenizer:
    garbage = [torch.full((8, 4), torch.nan) for _ in range(1000)]
    del garbage  # what uninitialised memory would hold
    return Tokenizer.from_pretrained(folder, **settings)


def test_a_complete_checkpoint(trained: Tokenizer, tmp_path: Path) -> None:
    trained.save_pretrained(tmp_path)
    again = load(tmp_path)
    for key, value in trained.state_dict().items():
        assert torch.equal(again.state_dict()[key], value), key
    assert again.learns.frozen
    assert not again.follows.frozen
    x = torch.randn(40, 6)
    torch.testing.assert_close(again.train()(x), trained.train()(x))


def test_a_checkpoint_without_the_quantisers(trained: Tokenizer, tmp_path: Path) -> None:
    left = {key: value for key, value in trained.state_dict().items() if key.startswith(("enc", "dec"))}
    trained.save_pretrained(tmp_path, state_dict=left)
    again = load(tmp_path).train()
    assert not any(part.initialized for part in again.modules() if isinstance(part, mf.VectorQuantizer))
    assert not again.learns.frozen
    _, loss = again(torch.randn(40, 6))
    assert loss < 10
    assert all(bool(value.isfinite().all()) for value in again.state_dict().values())
    assert again.follows.initialized == 1


def test_half_precision(trained: Tokenizer, tmp_path: Path) -> None:
    trained.save_pretrained(tmp_path)
    again = load(tmp_path, dtype=torch.bfloat16)
    assert again.encoder.weight.dtype == torch.bfloat16
    assert again.follows.codebook.dtype == again.learns.codebook.dtype == torch.float32
    x = torch.randn(40, 6).bfloat16()
    indices = again.follows.encode(again.encoder(x))
    assert again.decoder(again.follows.decode(indices)).dtype == torch.bfloat16
    again.train()
    for _ in range(2):
        output, loss = again(x)
    assert output.dtype == torch.bfloat16
    assert bool(loss.isfinite())
