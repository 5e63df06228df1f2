"""The command line, run by each of two processes: after training, mask, codebooks and score are compared with the other's."""

import sys
from typing import Any

import torch
import torch.distributed as dist

from examples.__main__ import main
from examples.nets.model import FusionModel, build_model
from examples.results import Run
from examples.run import training
from examples.run.training import train


def gathered(value: torch.Tensor) -> list[torch.Tensor]:
    """Return the tensor of each process."""
    held = [torch.empty_like(value) for _ in range(2)]
    dist.all_gather(held, value)
    return held


def watched(*arguments: Any, **more: Any) -> Run:
    """Train, and fail where the processes disagree."""
    models: list[FusionModel] = []

    def kept(*arguments: Any, **more: Any) -> FusionModel:
        models.append(build_model(*arguments, **more))
        return models[-1]

    training.build_model = kept
    run = train(*arguments, **more)
    (model,) = models
    assert torch.equal(*gathered(model.fusion.weight.detach()))
    for quantizer in model.quantizers.values():
        for name, value in quantizer.state_dict().items():
            assert torch.equal(*gathered(value)), name
    scores = [None, None]
    dist.all_gather_object(scores, run.score)
    assert scores[0] == scores[1]
    print("the same")
    return run


if __name__ == "__main__":
    training.train = watched
    sys.exit(main())
