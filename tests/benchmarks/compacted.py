"""What a smaller network saves: multiply-adds, and the time of one call in the same process.

Run ``python -m tests.benchmarks.compacted``. A limit is that of the time; what the multiply-adds promise, the clock is to give within 1.2.
"""

import argparse
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

import maskfusion as mf
from examples.data.contract import Modality
from examples.nets.model import FusionModel
from examples.recipes import Network
from maskfusion.compact.small import SmallNetwork
from tests.benchmarks.timing import Timing, interleaved

WITHIN = 1.2
"""Of the share of time over that of multiply-adds."""
STUDY = Network(
    width=32, residual_width=16, residual_blocks=1, latent=32, codes=128, head_width=32, head_hidden=128
)
UTD_MHAD = {"depth": Modality("image", (16, 32, 32)), "skeleton": Modality("image", (3, 48, 20))}
PUBLISHED = {"image": Modality("image", (3, 96, 96)), "audio": Modality("image", (1, 80, 64))}


class Case(NamedTuple):
    """A network before and after, one call, and the share of time that it may take."""

    model: nn.Module
    small: SmallNetwork
    inputs: Mapping[str, Tensor]
    limit: float | None


class Towers(nn.Module):
    """Two towers of CLIP's kind, as large as each other, and a head."""

    def __init__(self) -> None:
        super().__init__()
        layer = partial(nn.TransformerEncoderLayer, 128, 4, 512, batch_first=True)
        self.words, self.text = nn.Embedding(1000, 128), nn.TransformerEncoder(layer(), 4)
        self.patches, self.image = nn.Linear(768, 128), nn.TransformerEncoder(layer(), 4)
        self.head = nn.Linear(256, 10)

    def forward(self, text: Tensor, image: Tensor) -> Tensor:
        """Return the scores of ten classes."""
        words, patches = self.text(self.words(text)).mean(1), self.image(self.patches(image)).mean(1)
        scores: Tensor = self.head(torch.cat([words, patches], 1))
        return scores


class Prefixed(nn.Module):
    """An image of many patches before a few words, as in LLaVA."""

    def __init__(self) -> None:
        super().__init__()
        layer = partial(nn.TransformerEncoderLayer, 128, 4, 512, batch_first=True)
        self.vision = nn.Sequential(nn.Linear(768, 128), nn.TransformerEncoder(layer(), 4))
        self.words, self.language = nn.Embedding(1000, 128), nn.TransformerEncoder(layer(), 2)
        self.head = nn.Linear(128, 1000)

    def forward(self, text: Tensor, image: Tensor) -> Tensor:
        """Return the scores of the next word."""
        tokens = self.language(torch.cat([self.vision(image), self.words(text)], 1))
        scores: Tensor = self.head(tokens[:, -1])
        return scores


def close(mask: mf.ComplementaryMask, modality: str | None, share: float = 0.0) -> None:
    """Close one modality, and some channels of all."""
    with torch.no_grad():
        mask.weight[torch.rand(mask.weight.shape) < share] = 0.0
        if modality is not None:
            mask.split(mask.weight.data[None])[modality].zero_()


def fusion(
    modalities: Mapping[str, Modality],
    network: Network,
    closed: str | None,
    share: float,
    limit: float | None,
    batch: int = 8,
) -> Case:
    """The network of the paper, with closed channels."""
    model = FusionModel(modalities, 27, network, quantise=False)
    model.fusion = mask = mf.ComplementaryMask(model.channels, fusion=model.fusion)
    close(mask, closed, share)
    inputs = {name: torch.randn(batch, *modality.shape) for name, modality in modalities.items()}
    return Case(model.eval(), mf.compact(model, inputs, entry="prediction"), inputs, limit)


def attached(
    make: Callable[[], nn.Module], at: Mapping[str, str], closed: str, words: int, limit: float
) -> Case:
    """A network of tokens, with one modality closed."""
    model = make().eval()
    inputs = {"text": torch.randint(1000, (8, words)), "image": torch.randn(8, 64, 768)}
    close(mf.attach(model, at, inputs), closed)
    return Case(model, mf.compact(model, inputs), inputs, limit)


CASES: Mapping[str, Callable[[], Case]] = {
    "study, depth closed": partial(fusion, UTD_MHAD, STUDY, "depth", 0.0, 0.25),
    "study, a quarter of the channels kept": partial(fusion, UTD_MHAD, STUDY, None, 0.75, None),
    "published, a quarter of the channels kept": partial(fusion, PUBLISHED, Network(), None, 0.75, None),
    "two towers, text closed": partial(attached, Towers, {"text": "text", "image": "image"}, "text", 64, 0.6),
    "vision before language, vision closed": partial(
        attached, Prefixed, {"text": "words", "image": "vision"}, "image", 32, 0.75
    ),
}


def call(module: nn.Module, inputs: Mapping[str, Any], by_name: bool) -> Callable[[], None]:
    """One call without gradients."""

    def step() -> None:
        with torch.inference_mode():
            module(**inputs) if by_name else module(inputs)

    return step


def main() -> None:
    """Measure every case and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    table = Table(
        "network",
        "ms before",
        "ms after",
        "time",
        "multiply-adds",
        "parameters",
        "limit",
        "time over multiply-adds",
    )
    for name, make in CASES.items():
        torch.manual_seed(0)
        case = make()
        steps = {
            "before": call(case.model, case.inputs, not isinstance(case.model, FusionModel)),
            "after": call(case.small, case.inputs, True),
        }
        took: dict[str, Timing] = interleaved(steps, rounds=options.rounds, threads=options.threads)
        total = case.small.report.total
        ratio = took["after"].median / took["before"].median
        promised = total.multiply_adds[1] / total.multiply_adds[0]
        within = f"{ratio / promised:.2f}" + (" (!)" if ratio > WITHIN * promised else "")
        limit = "" if case.limit is None else f"{case.limit}" + (" (!)" if ratio > case.limit else "")
        numbers = (took["before"].median, took["after"].median, ratio, promised)
        shares = total.parameters[1] / total.parameters[0]
        table.add_row(name, *(f"{number:.3f}" for number in (*numbers, shares)), limit, within)
    Console(width=140).print(table)


if __name__ == "__main__":
    main()
