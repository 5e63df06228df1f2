"""What a user would write, checked by ``mypy --strict`` as part of `make lint`: each question has an answer of one type."""

import torch
from torch import Tensor, nn
from typing_extensions import assert_type

import maskfusion as mf


class Network(nn.Module):
    """Two masks, one after the other."""

    def __init__(self) -> None:
        super().__init__()
        self.early = mf.ComplementaryMask({"image": 4, "audio": 4})
        self.late = mf.ComplementaryMask({"image": 4, "audio": 4})

    def forward(self, x: Tensor) -> Tensor:
        """Mask twice."""
        masked: Tensor = self.late(self.early(x))
        return masked


def test_one_mask() -> None:
    mask = mf.ComplementaryMask({"image": 4, "audio": 4})
    assert_type(mask.kept, Tensor)
    assert_type(mask.penalty(), Tensor)
    tracker = mf.ComplementarityTracker(mask)
    tracker.update()
    assert_type(tracker.kept(), dict[str, float])
    assert_type(tracker.complementary(), dict[str, float])
    assert_type(tracker.contradictory(), dict[str, float])
    assert_type(tracker.mean_zeta(), float)
    assert_type(tracker.metrics(), dict[str, float])
    assert_type(tracker.settled(), bool)
    assert assert_type(tracker.zeta(), float) > 0.5


def test_several_masks() -> None:
    model = Network()
    loss = mf.ComplementaryLoss(mask_weight=mf.WarmupPenalty(1e-3, steps=10))
    terms: mf.LossTerms = loss(model(torch.ones(2, 8)), torch.tensor([0, 1]), masks=[model.early, model.late])
    assert_type(terms.total, Tensor)
    assert_type(terms.mask, Tensor)
    tracker = mf.ComplementarityTracker(model)
    tracker.update()
    optimizer = torch.optim.Adam(mf.parameter_groups(model, lr=1e-3))
    assert_type(mf.total_penalty(model), Tensor)
    assert_type(mf.penalize(optimizer, model, mf.ConstantPenalty()), mf.PenaltyHandle).remove()
    for path in tracker:
        assert_type(path, str)
        assert_type(tracker[path], mf.Tracked)
        assert_type(tracker[path].kept()["image"], float)
        assert_type(tracker[path].history[-1]["step"], int)
    assert assert_type(tracker.total.zeta(), float) == 1.0
    assert_type(tracker.total.metrics(), dict[str, float])


def test_alone_joined_pooled() -> None:
    model = Network()
    weights, omega = mf.parameter_groups(nn.Sequential(model, nn.Linear(8, 2)), lr=1e-3)
    held_out = mf.HeldOutMasks(model, torch.optim.Adam([omega]))
    assert_type(held_out.step(lambda: model(torch.ones(2, 8)).mean()), Tensor)
    assert len(weights["params"]) == 2
    assert_type(
        mf.warm_start(model, {"early": Network().early, "late": Network().late.state_dict()}), list[str]
    )
    scores, target = {"image": torch.eye(2), "audio": torch.zeros(2, 2)}, torch.tensor([0, 1])
    pool = assert_type(mf.LogarithmicPool(scores).fit(scores, target), mf.LogarithmicPool)
    assert_type(pool.weights, dict[str, float])
    assert assert_type(pool.shares, dict[str, float])["audio"] == 0.0
    prediction: Tensor = pool({"image": scores["image"], "audio": None})
    assert prediction.argmax(1).tolist() == [0, 1]
