"""What modalities are worth: games worked out by hand, the axioms, the ways of being absent, and a model left alone."""

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import combinations, permutations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

import maskfusion as mf
from maskfusion.contribution import accuracy, shapley_values
from tests.support.helpers import set_weight

NAMES = "abcdefghij"
Game = Callable[[frozenset[str]], float]


class Seen(nn.Module):
    """Predicts which of its inputs are there: a column an input."""

    def forward(self, inputs: dict[str, Tensor]) -> Tensor:
        return torch.stack([values.flatten(1).ne(0).any(1) for values in inputs.values()], dim=1)


def play(game: Game, players: Sequence[str], **options) -> mf.Contributions:
    """Measure a network whose score with each set of modalities is that of a game."""

    def game_score(prediction: Tensor, target: Tensor) -> float:
        assert prediction.shape == (5, len(players))
        assert target.tolist() == [0, 1, 2, 3, 4]
        assert bool((prediction == prediction[0]).all())
        return game(frozenset(name for name, there in zip(players, prediction[0], strict=True) if there))

    batches = [
        ({name: torch.ones(size, 2) for name in players}, torch.arange(start, start + size))
        for start, size in ((0, 2), (2, 2), (4, 1))
    ]
    return mf.measure_contributions(Seen(), batches, metric=game_score, **options)


def table(players: Sequence[str], numbers: Sequence[float]) -> Game:
    """The game with these values of all sets, from none to all."""
    sets = [frozenset(chosen) for size in range(len(players) + 1) for chosen in combinations(players, size)]
    return dict(zip(sets, numbers, strict=True)).__getitem__


def by_orders(game: Game, players: Sequence[str]) -> dict[str, float]:
    """Shapley values by their definition: the mean of what a player adds over all orders."""
    orders = list(permutations(players))
    return {
        player: sum(
            game(frozenset(order[: order.index(player) + 1])) - game(frozenset(order[: order.index(player)]))
            for order in orders
        )
        / len(orders)
        for player in players
    }


GAMES = {
    #            v: none a b ab, or none a b c ab ac bc abc
    "additive": ("ab", [0.25, 0.5, 0.375, 0.625], [0.25, 0.125], [0.4, 0.2]),
    "a copy": ("ab", [0.5, 1.0, 1.0, 1.0], [0.25, 0.25], [0.0, 0.0]),
    "xor": ("ab", [0.5, 0.5, 0.5, 1.0], [0.25, 0.25], [0.5, 0.5]),
    "in the way": ("ab", [0.25, 0.75, 0.25, 0.5], [0.375, -0.125], [0.5, -0.5]),
    "copy and a third": ("abc", [0, 0.5, 0.5, 0.25, 0.5, 0.75, 0.75, 0.75], [0.25] * 3, [0, 0, 1 / 3]),
    "xor and a third": ("abc", [0, 0, 0, 0.4, 0.6, 0.4, 0.4, 1], [0.3, 0.3, 0.4], [0.6, 0.6, 0.4]),
    "all or nothing": ("abc", [0, 0, 0, 0, 0, 0, 0, 0.9], [0.3] * 3, [1] * 3),
    "alone": ("a", [0.5, 0.75], [0.25], [1 / 3]),
}


@pytest.mark.parametrize(("players", "numbers", "shapley", "utilisation"), GAMES.values(), ids=GAMES)
def test_games_by_hand(players, numbers, shapley, utilisation) -> None:
    result = play(table(players, numbers), players)
    assert list(result.shapley.values()) == pytest.approx(shapley)
    assert list(result.utilisation.values()) == pytest.approx(utilisation)
    assert list(result.values.values()) == numbers
    assert result.with_none == numbers[0]
    assert result.with_all == numbers[-1]
    assert result.alone == dict(zip(players, numbers[1 : 1 + len(players)], strict=True))
    assert list(result.without.values()) == numbers[-1 - len(players) : -1][::-1]
    assert result.orders is None
    assert set(result.error.values()) == {0.0}


@given(data=st.data(), count=st.integers(1, 5))
def test_axioms(data, count) -> None:
    players = NAMES[:count]
    numbers = data.draw(st.lists(st.floats(-1, 1), min_size=2**count, max_size=2**count))
    game = table(players, numbers)
    shapley = play(game, players).shapley
    assert math.isclose(sum(shapley.values()), numbers[-1] - numbers[0], abs_tol=1e-12), "efficiency"
    assert shapley == pytest.approx(by_orders(game, players), abs=1e-12), "the definition"

    def twin(present: frozenset[str]) -> float:
        return game(present - {"y"} | {"a"} if "y" in present else present)

    both = play(twin, [*players, "y"]).shapley
    assert math.isclose(both["a"], both["y"], abs_tol=1e-12), "symmetry"
    with_dummy = play(lambda present: game(present - {"z"}) + 0.5 * ("z" in present), ["z", *players]).shapley
    assert with_dummy == pytest.approx({"z": 0.5, **shapley}, abs=1e-12), "a player who always adds the same"


@given(seed=st.integers(0, 999), weight=st.floats(-2, 2))
def test_linearity(seed, weight) -> None:
    first, second = torch.rand(2, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    parts = [play(table("abc", numbers.tolist()), "abc").shapley for numbers in (first, second)]
    whole = play(table("abc", (first + weight * second).tolist()), "abc").shapley
    assert whole == pytest.approx(
        {name: parts[0][name] + weight * parts[1][name] for name in "abc"}, abs=1e-12
    )


def glove(present: frozenset[str]) -> float:
    """One of the first three with one of the others makes a pair; the first is worth more."""
    left, right = len(present & set("abc")), len(present - set("abc"))
    return min(left, right) / 3 + 0.2 * ("a" in present)


def test_sampling_comes_close_within_its_error() -> None:
    exact = play(glove, NAMES[:6]).shapley
    errors = []
    for orders in (20, 320):
        result = play(glove, NAMES[:6], orders=orders, generator=torch.Generator().manual_seed(3))
        assert result.orders == orders
        assert math.isclose(sum(result.shapley.values()), glove(frozenset(NAMES[:6])), rel_tol=1e-9)
        for name, value in exact.items():
            assert abs(result.shapley[name] - value) < 3 * result.error[name]
        errors.append(sum(result.error.values()))
    assert errors[0] / errors[1] == pytest.approx(4, rel=0.3), "with the root of the number of orders"


def test_standard_errors_are_right_on_average() -> None:
    exact = play(glove, NAMES[:4]).shapley["a"]
    generator = torch.Generator().manual_seed(0)
    runs = [play(glove, NAMES[:4], orders=12, generator=generator) for _ in range(150)]
    spread = sum((run.shapley["a"] - exact) ** 2 for run in runs) / len(runs)
    claimed = sum(run.error["a"] ** 2 for run in runs) / len(runs)
    assert claimed == pytest.approx(spread, rel=0.3)


def test_seven_modalities_are_sampled() -> None:
    def run(seed: int) -> mf.Contributions:
        return play(glove, NAMES[:8], generator=torch.Generator().manual_seed(seed))

    assert run(1).as_dict() == run(1).as_dict()
    assert run(1).shapley != run(2).shapley
    result = run(1)
    assert result.orders == 50
    assert len(result.values) < 2**8
    assert result.alone.keys() == result.without.keys() == set(NAMES[:8]), "whatever the orders"
    assert "+/-" in str(result)
    torch.manual_seed(5)
    first = play(glove, NAMES[:8]).shapley
    torch.manual_seed(5)
    assert play(glove, NAMES[:8]).shapley == first, "without a generator, PyTorch's own"


def test_six_modalities_are_exact() -> None:
    assert len(play(glove, NAMES[:6]).values) == 64


def test_shapley_values_of_a_game_of_ones_own() -> None:
    numbers = {(): 0.0, ("a",): 1.0, ("b",): 0.0, ("a", "b"): 2.0}
    assert shapley_values(["a", "b"], numbers) == {"a": 1.5, "b": 0.5}


def test_table() -> None:
    model = nn.Sequential(Seen(), set_weight(mf.ComplementaryMask({"a": 4, "c": 1}), [1.0, 0, 0, 0, 1]))
    batch = {name: torch.ones(4, 1) for name in ("a", "longer")}, torch.tensor([1, 1, 0, 0])
    result = mf.measure_contributions(model, [batch], call=lambda model, x: model[0](x)[:, 0].long())
    assert str(result) == (
        "accuracy 0.5000 with all modalities, 0.5000 with none (zeroed)\n"
        "modality  Shapley   alone  without  utilisation  open % of 1\n"
        "a          0.0000  0.5000   0.5000       0.0000         25.0\n"
        "longer     0.0000  0.5000   0.5000       0.0000            -\n"
        "zeta of 1 0.2500"
    )
    assert result.kept == {"1": {"a": 25.0, "c": 100.0}}
    assert result.zeta == {"1": 0.25}


def test_masks_have_a_table_of_their_own_where_one_would_be_too_wide() -> None:
    kept = {"encoder.early_fusion": {"a": 10.0, "b": 60.0}, "decoder.late_fusion": {"a": 100.0}}
    result = replace(
        play(table("ab", [0.25, 0.5, 0.375, 0.625]), "ab"),
        kept=kept,
        zeta={"encoder.early_fusion": 1 / 6, "decoder.late_fusion": math.nan},
    )
    lines = str(result).splitlines()
    assert lines[1].split() == ["modality", "Shapley", "alone", "without", "utilisation"]
    assert lines[4:7] == [
        "open %                    a     b    zeta",
        "encoder.early_fusion   10.0  60.0  0.1667",
        "decoder.late_fusion   100.0     -     nan",
    ]
    assert max(map(len, lines)) <= 100


def test_dict_is_plain_and_complete() -> None:
    result = play(table("ab", [0.25, 0.5, 0.375, 0.625]), "ab")
    plain = result.as_dict()
    assert json.loads(json.dumps(plain)) == plain
    assert plain["values"][1] == {"present": ["a"], "value": 0.5}
    assert plain["metric"] == "game_score"
    assert plain["absent"] == "zeroed"
    assert plain["utilisation"] == result.utilisation
    assert plain["zeta"] == plain["kept"] == {}
    plain["shapley"]["a"] = 0.0
    assert result.shapley["a"] == 0.25


def test_utilisation_of_nothing_is_undefined() -> None:
    assert math.isnan(play(table("ab", [1, 1, 1, 0]), "ab").utilisation["a"])


def test_a_mask_that_is_the_model_has_no_path() -> None:
    mask = mf.ComplementaryMask({"a": 1, "b": 1})
    batch = {"a": torch.ones(2, 1), "b": -torch.ones(2, 1)}, torch.tensor([0, 0])
    result = mf.measure_contributions(mask, [batch])
    assert result.zeta == {"": 1.0}
    assert str(result).endswith("\nzeta 1.0000")
    assert result.alone == {"a": 1.0, "b": 1.0}


def test_compiled_masks_keep_their_path() -> None:
    mask = torch.compile(mf.ComplementaryMask({"a": 1, "b": 1}), backend="eager")
    batch = {"a": torch.ones(2, 1), "b": -torch.ones(2, 1)}, torch.tensor([0, 0])
    model = nn.ModuleDict({"fusion": mask})
    result = mf.measure_contributions(model, [batch], call=lambda _, x: x["a"][:, 0] > 0)
    assert list(result.zeta) == ["fusion"]


def test_accuracy() -> None:
    scores = torch.tensor(
        [[[1.0, 0.0], [0.0, 1.0]], [[0.0, 0.0], [3.0, 2.0]]]
    )  # two samples, two classes, two places
    assert accuracy(scores, torch.tensor([[0, 1], [1, 0]])).item() == 0.75
    assert accuracy(torch.tensor([2, 1]), torch.tensor([2, 2])).item() == 0.5
