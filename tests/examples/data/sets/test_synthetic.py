"""Made-up modalities: every dial does what it says, and nothing beats the ceiling."""

import math

import pytest
import torch
from torch import Tensor

from examples.data.place import Place
from examples.data.sets.synthetic import BACKGROUND, Dials, ceiling, check_synthetic, generate, load_synthetic
from examples.errors import UserError

CLEAN = (0.0, 0.0)
PAIR = ("a", "b")
BLOCK = 30_000  # samples; an accuracy is known within 0.01


def looked_up(dials: Dials, present: tuple[str, ...]) -> float:
    """Accuracy of the most frequent label of every pattern: Bayes' rule without noise, given enough samples."""
    inputs, target = generate(dials, 2 * BLOCK, features=2 * dials.bits, seed=1)
    seen = torch.cat([torch.zeros(2 * BLOCK, 1), *(inputs[name] for name in present)], dim=1)
    pattern = torch.unique((seen * 100).round(), dim=0, return_inverse=True)[1]
    table = torch.zeros(int(pattern.max()) + 1, 2**dials.bits)
    table.index_put_((pattern[:BLOCK], target[:BLOCK]), torch.ones(BLOCK), accumulate=True)
    return hits(table.argmax(1)[pattern[BLOCK:]], target[BLOCK:])


def regressed(dials: Dials, present: tuple[str, ...]) -> float:
    """Accuracy of the sign of a linear regression of each bit: Bayes' rule for bits under normal noise."""
    inputs, target = generate(dials, 2 * BLOCK, seed=1)
    seen = torch.cat([inputs[name] for name in present], dim=1)
    places = torch.arange(dials.bits)
    bits = 2.0 * (target[:, None] >> places & 1) - 1
    rule = torch.linalg.lstsq(seen[:BLOCK], bits[:BLOCK]).solution
    return hits(((seen[BLOCK:] @ rule > 0).long() << places).sum(1), target[BLOCK:])


def hits(guess: Tensor, target: Tensor) -> float:
    return float((guess == target).double().mean())


def phi(value: float) -> float:
    return 0.5 * (1 + math.erf(value / math.sqrt(2)))


def test_shapes_and_kinds():
    inputs, target = generate(Dials(bits=3), 50, features=7)
    assert {name: (values.shape, values.dtype) for name, values in inputs.items()} == dict.fromkeys(
        PAIR, ((50, 7), torch.float32)
    )
    assert (target.shape, target.dtype) == ((50,), torch.int64)
    assert 0 <= int(target.min()) <= int(target.max()) < 8


def test_same_seed_same_numbers():
    (first, labels), (again, same), (other, different) = (
        generate(Dials(), 20, seed=seed) for seed in (0, 0, 1)
    )
    assert torch.equal(labels, same)
    assert not torch.equal(labels, different)
    assert all(torch.equal(first[name], again[name]) for name in PAIR)
    assert not torch.equal(first["a"], other["a"])


def test_nothing_outside_is_touched():
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    generate(Dials(), 20)
    assert torch.equal(torch.rand(2), expected)


@pytest.mark.parametrize(
    "dials", [Dials(), Dials(0.2, (0.1, 0.3), 0.2, noise=(0.0, 2.0)), Dials(conflict=(0.0, 0.5))]
)
def test_values_have_mean_0_and_mean_square_1(dials: Dials):
    for values in generate(dials, BLOCK)[0].values():
        assert float(values.mean()) == pytest.approx(0, abs=0.02)
        assert float(values.square().mean()) == pytest.approx(1, abs=0.02)


def test_a_modality_that_shows_nothing_is_zero_without_noise():
    inputs, _ = generate(Dials(0.0, (1.0, 0.0), noise=CLEAN), 10)
    assert inputs["a"].abs().min() > 0
    assert inputs["b"].count_nonzero() == 0


def test_scale_multiplies_and_changes_nothing_else():
    (plain, labels), (scaled, same) = generate(Dials(), 20), generate(Dials(scale=(1.0, 8.0)), 20)
    assert torch.equal(labels, same)
    assert torch.equal(scaled["a"], plain["a"])
    assert torch.equal(scaled["b"], 8 * plain["b"])
    assert ceiling(Dials(scale=(1.0, 8.0))) == ceiling(Dials())


@pytest.mark.parametrize(
    ("dials", "alone", "joint"),
    [
        (Dials(1.0, CLEAN, noise=CLEAN, bits=2), (1.0, 1.0), 1.0),
        (Dials(0.0, (1.0, 0.0), noise=CLEAN, bits=2), (1.0, 0.25), 1.0),
        (Dials(0.0, (0.5, 0.5), noise=CLEAN, bits=2), (0.5, 0.5), 1.0),
        (Dials(0.0, CLEAN, 1.0, noise=CLEAN, bits=2), (0.25, 0.25), 1.0),
        (Dials(0.5, CLEAN, 0.5, noise=CLEAN, bits=2), (0.5, 0.5), 1.0),
        (Dials(0.0, (0.25, 0.25), noise=CLEAN, bits=2), (0.375, 0.375), 0.5),
        (Dials(1.0, CLEAN, noise=CLEAN, conflict=(0.0, 0.6), bits=2), (1.0, 0.4 + 0.6 / 4), 1.0),
        (Dials(0.0, (0.5, 0.5), noise=CLEAN, conflict=(0.0, 1.0), bits=2), (0.5, 0.25), 0.5),
        (Dials(0.0, CLEAN, 1.0, noise=CLEAN, conflict=(0.0, 0.2), bits=2), (0.25, 0.25), 0.85),
    ],
    ids=[
        "copies",
        "one knows all",
        "halves",
        "synergy",
        "half synergy",
        "half in nobody",
        "conflict",
        "noise only",
        "both",
    ],
)
def test_every_dial_does_what_it_says(dials: Dials, alone: tuple[float, float], joint: float):
    for present, expected in (((), 0.25), (("a",), alone[0]), (("b",), alone[1]), (PAIR, joint)):
        assert ceiling(dials, present) == pytest.approx(expected)
        assert looked_up(dials, present) == pytest.approx(expected, abs=0.015)


def test_a_bit_may_go_several_ways():
    """Each of two bits is shown by a in three of four samples; the ways are drawn for each bit on its own."""
    dials = Dials(0.0, (0.75, 0.25), noise=CLEAN, bits=1)
    assert ceiling(dials, ["a"]) == pytest.approx(0.75 + 0.25 / 2)
    assert looked_up(dials, ("a",)) == pytest.approx(ceiling(dials, ["a"]), abs=0.015)
    both = Dials(0.5, (0.25, 0.25), noise=CLEAN, bits=2)
    assert ceiling(both, ["b"]) == pytest.approx(1.0 * 0.75)
    assert looked_up(both, ("b",)) == pytest.approx(0.75, abs=0.015)


def test_three_modalities():
    dials = Dials(0.25, (0.25, 0.0, 0.0), 0.5, noise=(0.0,) * 3, conflict=(0.0,) * 3, scale=(1.0,) * 3)
    for present, expected in (("a", 4 / 16), ("b", 2 / 16), ("bc", 2 / 16), ("ab", 4 / 16), ("abc", 1.0)):
        assert ceiling(dials, present) == pytest.approx(expected)
        assert looked_up(dials, tuple(present)) == pytest.approx(expected, abs=0.015)


@pytest.mark.parametrize("present", [("a",), ("b",), PAIR])
def test_noise_hides_bits(present: tuple[str, ...]):
    dials = Dials(noise=(0.5, 1.0))
    one = {"a": phi(2.0), "b": phi(1.0)}
    shared = phi(math.sqrt(sum({"a": 4.0, "b": 1.0}[name] for name in present)))
    expected = shared**2 * math.prod(one[name] if name in present else 0.5 for name in PAIR)
    assert ceiling(dials, present) == pytest.approx(expected)
    assert regressed(dials, present) == pytest.approx(expected, abs=0.01)


def test_noise_in_synergy():
    """A bit is right if both coins are read right, or both wrong."""
    right = phi(2.0) * phi(1.0) + (1 - phi(2.0)) * (1 - phi(1.0))
    assert ceiling(Dials(0.0, CLEAN, 1.0, noise=(0.5, 1.0), bits=1)) == pytest.approx(right)


@pytest.mark.parametrize("conflict", [0.0, 0.4])
def test_nothing_beats_the_ceiling(conflict: float):
    dials = Dials(0.3, (0.2, 0.4), noise=(0.4, 0.8), conflict=(0.0, conflict))
    for present in (("a",), ("b",), PAIR):
        assert regressed(dials, present) < ceiling(dials, present) + 0.01


def test_background_is_faint():
    assert 1 / (1 - phi(1 / BACKGROUND)) == pytest.approx(2330, abs=10)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"unique": (0.5,)}, r"`unique` \(=\(0\.5,\)\) must have 2 to 26 numbers, one per modality"),
        ({"noise": (0.3,)}, r"`noise` \(=\(0\.3,\)\) must have 2 numbers, as `unique` has"),
        ({"redundancy": -0.1}, r"`redundancy` \(=-0\.1\) must be in \[0, 1\]"),
        ({"unique": (0.1, math.nan)}, r"`unique` \(=\(0\.1, nan\)\) must be in \[0, 1\]"),
        ({"conflict": (0.0, 1.1)}, r"`conflict` \(=\(0\.0, 1\.1\)\) must be in \[0, 1\]"),
        ({"noise": (0.3, -1.0)}, r"`noise` \(=\(0\.3, -1\.0\)\) must be at least 0"),
        ({"scale": (0.0, 1.0)}, r"`scale` \(=\(0\.0, 1\.0\)\) must be above 0"),
        ({"bits": 0}, r"`bits` \(=0\) must be from 1 to 10"),
        ({"synergy": 0.5}, r"`redundancy`, `unique` and `synergy` add up to 1\.5; it must be at most 1"),
    ],
)
def test_impossible_dials(arguments: dict[str, object], message: str):
    with pytest.raises(UserError, match=message):
        Dials(**arguments)


def test_impossible_samples():
    with pytest.raises(UserError, match=r"`samples` \(=0\) must be at least 1"):
        generate(Dials(), 0)
    with pytest.raises(UserError, match=r"`features` \(=7\) must be at least 8, two for each bit"):
        generate(Dials(), 10, features=7)
    with pytest.raises(UserError, match=r"`present` has \['c'\]; the modalities are \['a', 'b'\]"):
        ceiling(Dials(), ["a", "c"])


def test_as_a_data_set():
    settings = {"modalities": 3, "redundancy": 0.4, "unique": 0.2, "train": 30, "validation": 10, "test": 20}
    data = load_synthetic(Place(), seed=2, **settings)
    louder = load_synthetic(Place(), seed=2, scale=4.0, **settings)
    assert {name: modality.shape for name, modality in data.modalities.items()} == dict.fromkeys("abc", (32,))
    assert (len(data.train), len(data.validation or ()), len(data.test)) == (30, 10, 20)
    assert len(data.classes) == 16
    plain, loud = data.test.everything(), louder.test.everything()
    assert torch.equal(plain.target, loud.target)
    assert torch.equal(plain.inputs["b"], loud.inputs["b"])
    assert torch.equal(4 * plain.inputs["c"], loud.inputs["c"])
    assert all(finding.good for finding in check_synthetic(Place()))
