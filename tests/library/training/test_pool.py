"""LogarithmicPool: the prediction is that of its weights, with all heads or without some; its state, dtypes and print."""

import copy
import io

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

import maskfusion as mf
from tests.support.heads import CLASSES, draw
from tests.support.helpers import same_state

close = torch.testing.assert_close


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


def test_the_same_outputs_give_the_same_bits_in_any_order_of_keys() -> None:
    scores, target = draw(8)
    turned = dict(reversed(scores.items()))
    first, second = (mf.LogarithmicPool(list("abc")).fit(given, target) for given in (scores, turned))
    assert same_state(first, second)
    assert torch.equal(first(scores), first(turned))


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
