"""The weights of a LogarithmicPool are those of the convex problem, for every set of heads."""

from itertools import combinations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize
from torch import Tensor
from torch.nn.functional import cross_entropy

import maskfusion as mf
from tests.support import oracle
from tests.support.heads import draw
from tests.support.helpers import array

close = torch.testing.assert_close


def calibrated(pool: mf.LogarithmicPool, scores: dict[str, Tensor]) -> list[np.ndarray]:
    """Scores by the temperature that the pool gives to each head by itself, read off its prediction."""
    return [array(pool({name: each})) for name, each in scores.items()]


def lowest(
    scores: list[np.ndarray], target: Tensor, ridge: float, counts: list[float] | None = None
) -> np.ndarray:
    """The weights that another solver finds, from several starts."""
    heads = len(scores)
    found = [
        minimize(
            oracle.pool_objective,
            start,
            (scores, target.tolist(), ridge, counts),
            method="L-BFGS-B",
            bounds=[(0, None)] * heads,
            options={"ftol": 1e-15, "gtol": 1e-9},
        )
        for start in (np.full(heads, 1 / heads), np.zeros(heads))
    ]
    return min(found, key=lambda each: each.fun).x


@given(
    seed=st.integers(0, 10_000),
    strength=st.lists(st.floats(-1, 4), min_size=1, max_size=3),
    scale=st.lists(st.sampled_from([0.05, 1.0, 20.0]), min_size=3, max_size=3),
    ridge=st.sampled_from([1e-3, 1e-2, 1.0]),
)
def test_every_set_of_heads_has_the_weights_of_the_convex_problem(seed, strength, scale, ridge) -> None:
    scores, target = draw(seed, 20, strength=tuple(strength))
    scores = {name: factor * each for (name, each), factor in zip(scores.items(), scale, strict=False)}
    pool = mf.LogarithmicPool(scores).fit(scores, target, ridge=ridge)
    for name, each in scores.items():
        (wanted,) = lowest([array(each)], target, ridge)
        close(
            pool({name: each}),
            torch.from_numpy(oracle.pooled([wanted], [array(each)])).float(),
            atol=1e-3,
            rtol=1e-3,
        )
    alone = dict(zip(scores, calibrated(pool, scores), strict=True))
    for size in range(2, len(scores) + 1):
        for heads in combinations(scores, size):
            chosen = [alone[name] for name in heads]
            wanted = oracle.pooled(lowest(chosen, target, ridge), chosen)
            got = pool({name: scores[name] for name in heads})
            close(got, torch.from_numpy(wanted).float(), atol=2e-3, rtol=2e-3)


@given(
    seed=st.integers(0, 10_000),
    strength=st.lists(st.floats(-1, 4), min_size=2, max_size=3),
    ridge=st.sampled_from([1e-3, 1e-2, 1.0]),
)
def test_balanced_weights_are_those_of_the_problem_where_classes_count_the_same(
    seed, strength, ridge
) -> None:
    scores, target = draw(seed, 20, strength=tuple(strength))
    target[target == 1] = 0  # one class is twice as frequent, one absent
    pool = mf.LogarithmicPool(scores).fit(scores, target, ridge=ridge, balanced=True)
    plain = mf.LogarithmicPool(scores).fit(scores, target, ridge=ridge)
    for name, each in scores.items():
        close(pool({name: each}), plain({name: each}))
    chosen = calibrated(plain, scores)
    weights = lowest(chosen, target, ridge, oracle.balanced(target.tolist()))
    mixed = oracle.pooled(weights, chosen)
    (temperature,) = lowest([mixed], target, ridge)
    wanted = torch.from_numpy(oracle.pooled([temperature], [mixed])).float()
    close(pool(scores), wanted, atol=2e-3, rtol=2e-3)


def test_balanced_is_as_if_the_samples_of_rare_classes_were_there_more_often() -> None:
    scores, target = draw(16, 400)
    rare = torch.randperm(400, generator=torch.Generator().manual_seed(0))
    kept = torch.cat([rare[target[rare] == c][:count] for c, count in enumerate((80, 40, 20, 10))])
    some, few = {name: each[kept] for name, each in scores.items()}, target[kept]
    often = kept.repeat_interleave(80 // few.bincount()[few])
    settings = {"ridge": 1e-8}
    balanced = mf.LogarithmicPool(scores).fit(some, few, balanced=True, **settings)
    alike = mf.LogarithmicPool(scores).fit(
        {name: each[often] for name, each in scores.items()}, target[often], **settings
    )
    plain = mf.LogarithmicPool(scores).fit(some, few, **settings)
    one, other, third = (
        torch.tensor(list(pool.weights.values())) / sum(pool.weights.values())
        for pool in (balanced, alike, plain)
    )
    close(one, other, atol=1e-4, rtol=1e-4)
    assert not torch.allclose(one, third, atol=1e-2)
    assert cross_entropy(balanced(some), few) < cross_entropy(alike(some), few), (
        "probabilities stay those of all"
    )


@given(seed=st.integers(0, 10_000), strength=st.lists(st.floats(-1, 4), min_size=2, max_size=4))
def test_no_direction_leads_lower(seed, strength) -> None:
    ridge = 0.01
    scores, target = draw(seed, 20, strength=tuple(strength))
    pool = mf.LogarithmicPool(scores).fit(scores, target, ridge=ridge)
    own = [
        mf.LogarithmicPool([name]).fit({name: each}, target).weights[name] for name, each in scores.items()
    ]
    live = [place for place, weight in enumerate(own) if weight]
    chosen = [own[place] * array(list(scores.values())[place]) for place in range(len(own))]
    weight = np.array(
        [each / max(scale, 1e-9) for each, scale in zip(pool.weights.values(), own, strict=True)]
    )
    weight[[place for place in range(len(own)) if place not in live]] = 1 / len(
        own
    )  # flat: only the ridge is felt
    here = oracle.pool_objective(weight, chosen, target.tolist(), ridge)
    for place in live:
        for step in (1e-3, -min(1e-3, weight[place])):
            other = np.where(np.arange(len(own)) == place, weight + step, weight)
            assert oracle.pool_objective(other, chosen, target.tolist(), ridge) >= here - 1e-9


def test_a_ridge_makes_one_of_two_equal_heads_no_favourite() -> None:
    scores, target = draw(5)
    twice = {"a": scores["a"], "b": scores["a"].clone(), "c": scores["b"]}
    weights = mf.LogarithmicPool(twice).fit(twice, target).weights
    assert weights["a"] == pytest.approx(weights["b"], abs=1e-5)
    strong = mf.LogarithmicPool(scores).fit(scores, target, ridge=1e6)
    assert strong.weights == pytest.approx(dict.fromkeys("abc", 1 / 3), abs=1e-3)


@pytest.mark.parametrize("ignored", [-100, 3])
def test_the_loss_of_a_sample_is_that_of_its_pixels_and_some_are_ignored(ignored: int) -> None:
    scores, target = draw(6, 6, 3, 2)
    target[1:, :, 0] = ignored
    target[5] = ignored
    pool = mf.LogarithmicPool(scores).fit(scores, target, ignore_index=ignored)
    kept = target != ignored
    flat = {name: each.movedim(1, -1)[kept] for name, each in scores.items()}
    samples = int(kept.flatten(1).any(1).sum())
    same = mf.LogarithmicPool(scores).fit(flat, target[kept], ridge=0.01 * samples / int(kept.sum()))
    assert int(pool.fitted_on) == int(kept.sum())
    close(pool.weight, same.weight)
    close(pool.spread, same.spread)
    close(pool(scores).movedim(1, -1)[kept], same(flat))


def test_more_pixels_of_the_same_kind_are_more_to_go_by() -> None:
    scores, target = draw(15, 12)
    one = {name: each[:, :, None] for name, each in scores.items()}
    many = {name: each.expand(-1, -1, 1000) for name, each in one.items()}
    alike = mf.LogarithmicPool(scores).fit(scores, target)
    close(mf.LogarithmicPool(scores).fit(one, target[:, None]).weight, alike.weight)
    dense = mf.LogarithmicPool(scores).fit(many, target[:, None].expand(-1, 1000))
    close(
        dense.weight, mf.LogarithmicPool(scores).fit(scores, target, ridge=1e-5).weight, atol=1e-4, rtol=1e-4
    )
    assert not torch.allclose(dense.weight, alike.weight, atol=1e-3), "the pull is weaker"


def test_the_pieces_that_are_looked_at_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    scores, target = draw(7, 30, 2)
    target[4:6], target[:, 1] = -100, -100  # one piece has nothing
    whole = mf.LogarithmicPool(scores).fit(scores, target)
    monkeypatch.setattr("maskfusion.training.pool_fit.PIECE", 20)
    close(mf.LogarithmicPool(scores).fit(scores, target).weight, whole.weight)


def test_scores_of_any_scale_and_common_offset() -> None:
    scores, target = draw(9)
    pool = mf.LogarithmicPool(scores).fit(scores, target)
    far = {name: each + 1e3 for name, each in scores.items()}
    close(mf.LogarithmicPool(scores).fit(far, target).weight, pool.weight, atol=1e-3, rtol=1e-3)
    huge = {name: each * 1e30 for name, each in scores.items()}
    result = mf.LogarithmicPool(scores).fit(huge, target)(huge)
    assert bool(result.isfinite().all())
