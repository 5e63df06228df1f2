"""Run by every one of two processes: train, then compare the codebooks with the other's."""

import sys
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from examples import training
from examples.hardware import Hardware
from examples.nets.model import FusionModel, build_model
from examples.runs import RunFolder
from tests.examples.test_training import recipe, toy


def gathered(value: torch.Tensor) -> list[torch.Tensor]:
    """Return the tensor of each process."""
    held = [torch.empty_like(value) for _ in range(2)]
    dist.all_gather(held, value)
    return held


def main(folder: Path) -> None:
    """Fail where the processes disagree."""
    models: list[FusionModel] = []

    def kept(*arguments: Any, **more: Any) -> FusionModel:
        models.append(build_model(*arguments, **more))
        return models[-1]

    training.build_model = kept
    settings = recipe(epochs=2)
    run = training.train(
        "mask", settings, toy(), seed=0, folder=RunFolder(folder), hardware=Hardware(devices=2)
    )
    (model,) = models
    assert torch.equal(*gathered(model.fusion.weight.detach()))
    for quantizer in model.quantizers.values():
        for name, value in quantizer.state_dict().items():
            assert torch.equal(*gathered(value)), name
    scores = [None, None]
    dist.all_gather_object(scores, run.score)
    assert scores[0] == scores[1]
    print("the same")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
