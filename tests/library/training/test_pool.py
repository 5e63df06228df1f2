"""LogarithmicPool: the weights are those of the convex problem, for every set of heads; the prediction is the pool's."""

import copy
import io
from itertools import combinations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

import maskfusion as mf
from tests.support import oracle
from tests.support.helpers import array, same_state

close = torch.testing.assert_close
CLASSES = 4


def draw(seed: int, samples: int = 40, *spatial: int, strength: tuple[float, ...] = (3.0, 1.5, 0.0)):
    """Scores of heads "a", "b", ... that know so much of the target, and the target."""
    generator = torch.Generator().manual_seed(seed)
    target = torch.randint(CLASSES, (samples, *spatial), generator=generator)
    right = nn.functional.one_hot(target, CLASSES).movedim(-1, 1)
    scores = {
        name: known * right + torch.randn(samples, CLASSES, *spatial, generator=generator)
        for name, known in zip("abcdefgh", strength, strict=False)
    }
    return scores, target


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


def test_where_no_head_may_be_missing_the_pool_of_all_is_the_same_and_smaller() -> None:
    scores, target = draw(17, strength=(3.0, 1.5, 0.0, 1.0))
    every = mf.LogarithmicPool(scores).fit(scores, target)
    pool = mf.LogarithmicPool(scores, allow_missing=False).fit(scores, target)
    assert (pool.weights, pool.shares) == (every.weights, every.shares)
    assert torch.equal(pool(scores), every(scores))
    assert (len(pool.weight), len(every.weight)) == (1, 15)
    one = {"a": scores["a"]}
    assert torch.equal(
        mf.LogarithmicPool(one, allow_missing=False).fit(one, target)(one),
        mf.LogarithmicPool(one).fit(one, target)(one),
    )


def test_where_no_head_may_be_missing_there_is_any_number() -> None:
    generator = torch.Generator().manual_seed(0)
    target = torch.randint(CLASSES, (300,), generator=generator)
    right = nn.functional.one_hot(target, CLASSES)
    scores = {f"{place}": 0.5 * right + torch.randn(300, CLASSES, generator=generator) for place in range(20)}
    pool = mf.LogarithmicPool(scores, allow_missing=False).fit(scores, target)
    best = min(cross_entropy(each, target) for each in scores.values())
    assert cross_entropy(pool(scores), target) < best - 0.2
    assert sum(pool.shares.values()) == pytest.approx(1)


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


def test_shares_rank_the_heads_and_ignore_how_sure_they_are() -> None:
    scores, target = draw(0, 400)
    pool = mf.LogarithmicPool(scores).fit(scores, target)
    assert pool.shares["a"] > pool.shares["b"] > pool.shares["c"] >= 0
    assert pool.shares["c"] < 0.05
    assert sum(pool.shares.values()) == pytest.approx(1)
    surer = {name: each * factor for (name, each), factor in zip(scores.items(), (9, 0.2, 3), strict=True)}
    again = mf.LogarithmicPool(scores).fit(surer, target)
    assert again.shares == pytest.approx(pool.shares, abs=0.02)
    close(again(surer), pool(scores), atol=0.2, rtol=0.1)


def test_weights_are_the_formula() -> None:
    scores, target = draw(0, 400)
    pool = mf.LogarithmicPool(scores).fit(scores, target)
    mixed = sum(weight * scores[name].log_softmax(1) for name, weight in pool.weights.items())
    close(pool(scores), mixed.log_softmax(1))


def test_a_pool_of_one_head_is_its_temperature() -> None:
    scores, target = draw(1, 500, strength=(2.0,))
    plain = mf.LogarithmicPool(["a"]).fit(scores, target, ridge=1e-6)
    sure = {"a": 10 * scores["a"]}
    pool = mf.LogarithmicPool(["a"]).fit(sure, target, ridge=1e-6)
    assert pool.weights["a"] == pytest.approx(plain.weights["a"] / 10, rel=1e-3)
    assert pool.shares == {"a": 1.0}
    close(pool(sure), plain(scores), atol=1e-3, rtol=1e-3)
    assert cross_entropy(pool(sure), target) < cross_entropy(sure["a"], target) / 2


def test_a_head_that_is_missing_is_left_out_and_the_rest_has_weights_of_its_own() -> None:
    scores, target = draw(2, 600, strength=(2.0, 2.0))
    scores["b"] = scores["a"] + 0.001  # the same, so that alone it weighs twice as much
    pool = mf.LogarithmicPool(scores).fit(scores, target)
    one = {"b": scores["b"]}
    close(pool(one), pool({"a": None, **one}), rtol=0, atol=0)
    close(pool(one), mf.LogarithmicPool(["b"]).fit(one, target)(one))
    dropped = (pool.weights["b"] * scores["b"]).log_softmax(1)
    assert cross_entropy(pool(one), target) < cross_entropy(dropped, target) - 0.02


def test_until_it_is_fitted_every_head_counts_the_same() -> None:
    scores, _ = draw(3)
    pool = mf.LogarithmicPool(scores)
    assert pool.weights == pytest.approx(dict.fromkeys("abc", 1 / 3))
    assert pool.shares == pool.weights
    mean = sum(each.log_softmax(1) for each in scores.values()) / 3
    close(pool(scores), mean.log_softmax(1))
    close(pool({"a": scores["a"]}), scores["a"].log_softmax(1))


def test_heads_that_know_nothing_leave_a_flat_prediction() -> None:
    scores, target = draw(4, 200, strength=(-3.0, -3.0))
    pool = mf.LogarithmicPool(scores).fit(scores, target, ridge=1e-9)
    assert pool.weights == pool.shares == {"a": 0.0, "b": 0.0}
    close(pool(scores), torch.full_like(scores["a"], 1 / CLASSES).log())


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


def test_the_same_outputs_give_the_same_bits_in_any_order_of_keys() -> None:
    scores, target = draw(8)
    turned = dict(reversed(scores.items()))
    first, second = (mf.LogarithmicPool(list("abc")).fit(given, target) for given in (scores, turned))
    assert same_state(first, second)
    assert torch.equal(first(scores), first(turned))


def test_scores_of_any_scale_and_common_offset() -> None:
    scores, target = draw(9)
    pool = mf.LogarithmicPool(scores).fit(scores, target)
    far = {name: each + 1e3 for name, each in scores.items()}
    close(mf.LogarithmicPool(scores).fit(far, target).weight, pool.weight, atol=1e-3, rtol=1e-3)
    huge = {name: each * 1e30 for name, each in scores.items()}
    result = mf.LogarithmicPool(scores).fit(huge, target)(huge)
    assert bool(result.isfinite().all())


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_the_output_has_the_dtype_of_the_scores(dtype: torch.dtype) -> None:
    scores, target = draw(10)
    pool = mf.LogarithmicPool(scores).fit(scores, target)
    cast = {name: each.to(dtype) for name, each in scores.items()}
    assert pool(cast).dtype == dtype
    close(pool(cast).float(), pool(scores), atol=0.1, rtol=0.05)
    half = copy.deepcopy(pool).to(dtype)
    assert half.weight.dtype == torch.float32, "a cast of the model rounds no weight"
    assert mf.LogarithmicPool(scores).fit(cast, target).weights == pytest.approx(pool.weights, abs=0.02)
    assert pool({**scores, "a": cast["a"]}).dtype == torch.promote_types(dtype, torch.float32)


def test_gradients_go_to_the_scores_and_not_to_the_weights() -> None:
    scores, target = draw(11)
    pool = mf.LogarithmicPool(scores).fit(scores, target)
    given = {name: each.double().requires_grad_() for name, each in scores.items()}
    assert list(pool.parameters()) == []
    assert torch.autograd.gradcheck(
        lambda *each: pool(dict(zip("abc", each, strict=True))), [each[:3] for each in given.values()]
    )
    assert not mf.LogarithmicPool(scores).fit(given, target)(scores).requires_grad


def test_a_state_arrives_and_a_reset_forgets() -> None:
    scores, target = draw(12)
    pool = mf.LogarithmicPool(scores).fit(scores, target)
    file = io.BytesIO()
    torch.save(pool.state_dict(), file)
    file.seek(0)
    other = mf.LogarithmicPool(scores)
    other.load_state_dict(torch.load(file, weights_only=True))
    assert torch.equal(other(scores), pool(scores))
    assert repr(other) == repr(pool)
    other.reset_parameters()
    assert same_state(other, mf.LogarithmicPool(scores))


def test_print_shows_a_table() -> None:
    scores, target = draw(13, 300)
    heads = dict(zip(("joint", "video", "sound"), scores.values(), strict=True))
    pool = mf.LogarithmicPool(heads)
    assert repr(pool) == (
        "LogarithmicPool(\n  joint weight 0.333, share 0.33\n  video weight 0.333, share 0.33\n"
        "  sound weight 0.333, share 0.33\n  not fitted\n)"
    )
    pool.fit(heads, target)
    lines = [f"  {name} weight {pool.weights[name]:.3g}, share {pool.shares[name]:.2f}\n" for name in heads]
    assert repr(pool) == f"LogarithmicPool(\n{''.join(lines)}  fitted on 300\n)"
    assert repr(pool.to("meta")) == "LogarithmicPool(joint, video, sound)"


@pytest.mark.unchecked
@pytest.mark.parametrize("heads", ["abc", "ac"])
def test_compiled_and_exported_with_all_heads_or_without_one(heads: str) -> None:
    scores, target = draw(14)
    pool = mf.LogarithmicPool(scores).fit(scores, target).eval()
    given = {name: scores[name] for name in heads}
    torch._dynamo.reset()
    close(torch.compile(pool, fullgraph=True, backend="aot_eager")(given), pool(given))
    batch = torch.export.Dim("batch", min=2, max=64)
    program = torch.export.export(pool, (given,), dynamic_shapes=({name: {0: batch} for name in heads},))
    fewer = {name: each[:7] for name, each in given.items()}
    close(program.module()(fewer), pool(fewer))
