"""Weakest modality first: whose encoder learns, and that the others stand still."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from examples.errors import UserError
from examples.methods import create
from examples.nets.model import FusionModel
from examples.recipes import LossWeights, Row
from examples.run.task import FusionTask
from tests.examples.methods.test_methods_simple import batch, cross_entropy, network, trained


def waiting(model: FusionModel) -> set[str]:
    return {
        name
        for name, encoder in model.encoders.items()
        if all(weight.grad is None for weight in encoder.parameters())
    }


def test_weakest_first_by_hand():
    method, model, data = create("weakest_first", {"epochs": 2, "decay": 0.75}), network(), batch()
    method.configure(model)
    criterion = method.loss(LossWeights())
    average = np.zeros(2)
    seen = []
    for favourite in ("v", "i", "i", "i", "i"):  # whose head is told the answer
        model.zero_grad()
        output = model(data.inputs)
        hint = 4 * torch.nn.functional.one_hot(data.target, 3)
        output.unimodal[favourite] = output.unimodal[favourite] + hint
        criterion(model, output, data).total.backward()
        plain = {name: weight.grad.clone() for name, weight in model.named_parameters()}
        method.after_backward(model, output, data)
        batch_losses = [cross_entropy(scores, data.target) for scores in output.unimodal.values()]
        average = 0.75 * average + 0.25 * np.array(batch_losses)
        np.testing.assert_allclose(model.recent_losses.numpy(), average, rtol=1e-4)
        weakest = ["v", "i"][average.argmax()]
        assert waiting(model) == {"v", "i"} - {weakest}
        for name, weight in model.named_parameters():
            assert weight.grad is None or torch.equal(weight.grad, plain[name])
        seen.append(weakest)
    assert seen[0] == "i"
    assert seen[-1] == "v"
    for epochs, expected in ((1, {"i"}), (2, set())):
        method.epoch_end(model, None)
        model.zero_grad()
        output = model(data.inputs)
        output.unimodal["i"] = output.unimodal["i"] + hint
        criterion(model, output, data).total.backward()
        method.after_backward(model, output, data)
        assert (waiting(model), model.epochs_waited) == (expected, epochs)


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_an_encoder_that_waits_does_not_move(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, optimizer: str):
    """Not by momentum or weight decay either, though it has learnt before."""
    before: dict[str, Tensor] = {}
    learnt: list[str] = []

    def look(task: FusionTask, *_: object) -> None:
        weakest = list(task.model.encoders)[int(task.model.recent_losses.argmax())]
        for name, encoder in task.model.encoders.items():
            now = torch.cat([weights.detach().flatten() for weights in encoder.parameters()])
            assert name not in before or torch.equal(now, before[name]) == (name != weakest)
            before[name] = now
        learnt.append(weakest)

    monkeypatch.setattr(FusionTask, "on_train_batch_end", look)
    settings = {"optimizer": optimizer, "weight_decay": 0.1, "epochs": 6, "learning_rate": 0.02}
    trained(tmp_path, Row("weakest_first", arguments={"decay": 0.0}), 2, **settings)
    assert {"vi", "iv"} <= {first + then for first, then in pairwise(learnt)}, (
        "each must wait once it has learnt"
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"weight": 0.0}, r"`weight` \(=0.0\) must be above 0"),
        ({"epochs": -1}, r"`epochs` \(=-1\) must be at least 0"),
        ({"decay": 1.0}, r"`decay` \(=1.0\) must be below 1"),
    ],
)
def test_weakest_first_refuses(arguments: dict[str, float], message: str):
    with pytest.raises(UserError, match=message):
        create("weakest_first", arguments)
