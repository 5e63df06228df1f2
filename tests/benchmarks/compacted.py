"""What a smaller network saves: multiply-adds, and the time of one call on a batch of 32 in the same process.

Run ``python -m tests.benchmarks.compacted``. A limit is that of the time; what the multiply-adds promise, the clock is to give within 1.2.
"""

import argparse
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, NamedTuple

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

import maskfusion as mf
from examples.data.contract import Modality
from examples.nets.model import FusionModel
from examples.recipes import Network, load_recipe, recipe_path
from maskfusion.compact.small import SmallNetwork
from tests.benchmarks.targets import Target
from tests.benchmarks.timing import interleaved

WITHIN = 1.2
"""Of the share of time over that of multiply-adds."""
BATCH = 32
STUDY = load_recipe(recipe_path("hurts-utd-depth-skeleton")).network
UTD_MHAD = {"depth": Modality("image", (16, 32, 32)), "skeleton": Modality("sequence", (60, 48))}
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
) -> Case:
    """The network of the paper, with closed channels."""
    model = FusionModel(modalities, 27, network, quantise=False)
    model.fusion = mask = mf.ComplementaryMask(model.channels, fusion=model.fusion)
    close(mask, closed, share)
    inputs = {name: torch.randn(BATCH, *modality.shape) for name, modality in modalities.items()}
    return Case(model.eval(), mf.compact(model, inputs, entry="prediction"), inputs, limit)


def attached(
    make: Callable[[], nn.Module], at: Mapping[str, str], closed: str, words: int, limit: float
) -> Case:
    """A network of tokens, with one modality closed."""
    model = make().eval()
    inputs = {"text": torch.randint(1000, (BATCH, words)), "image": torch.randn(BATCH, 64, 768)}
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


class Measured(NamedTuple):
    """One network before and after."""

    name: str
    before: float
    """ms."""
    after: float
    multiply_adds: float
    """Share that is left."""
    parameters: float
    limit: float | None

    @property
    def time(self) -> float:
        """Share that is left."""
        return self.after / self.before


def measured(rounds: int, threads: int) -> Iterator[Measured]:
    """Measure every case."""
    for name, make in CASES.items():
        torch.manual_seed(0)
        case = make()
        steps = {
            "before": call(case.model, case.inputs, not isinstance(case.model, FusionModel)),
            "after": call(case.small, case.inputs, True),
        }
        took = interleaved(steps, rounds=rounds, threads=threads)
        total = case.small.report.total
        done, had = (after / before for before, after in (total.multiply_adds, total.parameters))
        yield Measured(name, took["before"].median, took["after"].median, done, had, case.limit)


def targets(rounds: int, threads: int) -> list[Target]:
    """What the time may be, of all of it and of what the multiply-adds promise."""
    found = []
    for each in measured(rounds, threads):
        over = each.time / each.multiply_adds
        claims = [("time over that of multiply-adds", WITHIN, over)]
        claims += [] if each.limit is None else [("time over the whole network's", each.limit, each.time)]
        found += [
            Target(f"smaller network: {each.name}", claim, limit, value, value <= limit)
            for claim, limit, value in claims
        ]
    return found


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    columns = (
        "ms before",
        "ms after",
        "time",
        "multiply-adds",
        "parameters",
        "limit",
        "time over multiply-adds",
    )
    table = Table("network", *columns)
    for each in measured(options.rounds, options.threads):
        over = each.time / each.multiply_adds
        limit = "" if each.limit is None else f"{each.limit}" + (" (!)" if each.time > each.limit else "")
        numbers = (each.before, each.after, each.time, each.multiply_adds, each.parameters)
        within = f"{over:.2f}" + (" (!)" if over > WITHIN else "")
        table.add_row(each.name, *(f"{number:.3f}" for number in numbers), limit, within)
    Console(width=140).print(table)


if __name__ == "__main__":
    main()
