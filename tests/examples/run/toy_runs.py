"""A small data set, a recipe of seconds for it, and a run that is cut."""

from dataclasses import replace

import numpy as np
import torch

from examples.data.contract import MultimodalData, split_and_standardise
from examples.data.splits import Split
from examples.recipes import Network, Recipe, Row
from examples.results import Run

SMALL = Network(width=8, residual_width=4, residual_blocks=1, latent=6, codes=5, head_width=4, head_hidden=8)
ROWS = {
    "concatenation": Row("concatenation", quantise=False),
    "mask": Row("complementary_mask", arguments={"mask_weight": 1e-3, "init": 0.0015, "threshold": 0.0005}),
}


def recipe(**settings: object) -> Recipe:
    values = {"epochs": 3, "batch_size": 8, "select": "validation", "network": SMALL, **settings}
    return Recipe(data="toy", comparison=ROWS, **values)


def toy(task: str = "classification", samples: int = 48, size: tuple[int, int] = (8, 8)) -> MultimodalData:
    random = torch.Generator().manual_seed(0)
    target = torch.arange(samples) % 3
    image = torch.randn(samples, 1, *size, generator=random) + target[:, None, None, None]
    vector = torch.randn(samples, 5, generator=random) + target[:, None]
    order = np.arange(samples)
    if task == "segmentation":
        target = (image[:, 0] > 1).long()
    return split_and_standardise(
        "toy",
        {"v": vector, "i": image},
        target,
        kinds={"v": "vector", "i": "image"},
        classes=("a", "b", "c"),
        split=Split(order[: samples // 2], order[samples // 2 : 3 * samples // 4], order[3 * samples // 4 :]),
        task=task,
    )


def numbers(run: Run) -> Run:
    return replace(run, seconds=0.0, processor_seconds=0.0)


class Cut(Exception):  # noqa: N818 - not an error of the code under test
    """The lights go out."""
