"""What holds for any numbers (Hypothesis)."""

import math

import torch
from hypothesis import assume, given
from hypothesis import strategies as st

import maskfusion as mf
from maskfusion import functional
from tests.support.helpers import quantizer, set_weight

NUMBERS = st.floats(-1e3, 1e3, width=32)
WIDTHS = st.lists(st.integers(1, 6), min_size=1, max_size=6)
SEEDS = st.integers(0, 10_000)


def draw(seed: int, *shape: int) -> torch.Tensor:
    """Normal numbers of a generator of their own."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def masks(data: st.DataObject, widths: list[int]) -> mf.ComplementaryMask:
    """A mask with any Omega."""
    count = sum(widths)
    omega = data.draw(st.lists(st.one_of(NUMBERS, st.just(0.05)), min_size=count, max_size=count))
    return set_weight(mf.ComplementaryMask(widths), omega)


@given(data=st.data(), widths=WIDTHS, seed=SEEDS, shape=st.lists(st.integers(1, 3), max_size=3))
def test_halves_add_up_to_the_whole(data, widths, seed, shape) -> None:
    mask = masks(data, widths)
    x = draw(seed, 2, sum(widths), *shape) * 10.0 ** data.draw(st.integers(-20, 20))
    complementary, contradictory = mask.complementary(x), mask.contradictory(x)
    assert torch.equal(complementary + contradictory, x)
    assert not (complementary * contradictory).any()
    assert torch.equal(mask(x), complementary)


@given(data=st.data(), widths=st.lists(st.integers(1, 6), min_size=2, max_size=6))
def test_zeta_is_a_symmetric_ratio(data, widths) -> None:
    mask = masks(data, widths)
    tracker = mf.ComplementarityTracker(mask)
    zeta = tracker.zeta()
    assert math.isnan(zeta) == (not mask.kept.any())
    assert math.isnan(zeta) or 0 <= zeta <= 1
    order = data.draw(st.permutations(list(mask.channels)))
    assert tracker.zeta(*order) == zeta or math.isnan(zeta)
    assert tracker.zeta(*order[:2]) >= zeta or math.isnan(tracker.zeta(*order[:2]))


@given(shares=st.lists(st.floats(0, 100), min_size=2, max_size=6), scale=st.floats(1e-3, 1e3))
def test_complementarity_ignores_order_and_unit(shares, scale) -> None:
    assume(max(shares) > 1e-100)
    value = functional.complementarity(shares).item()
    assert 0 <= value <= 1
    assert functional.complementarity(shares[::-1]).item() == value
    scaled = functional.complementarity([share * scale for share in shares]).item()
    assert math.isclose(scaled, value, rel_tol=1e-9, abs_tol=1e-12)


@given(data=st.data(), widths=WIDTHS)
def test_complementary_and_contradictory_make_a_hundred(data, widths) -> None:
    tracker = mf.ComplementarityTracker(masks(data, widths))
    complementary, contradictory = tracker.complementary(), tracker.contradictory()
    assert math.isclose(sum(complementary.values()) + sum(contradictory.values()), 100, rel_tol=1e-9)
    for (name, width), kept in zip(enumerate(widths), tracker.kept().values(), strict=True):
        share = complementary[str(name)] + contradictory[str(name)]
        assert math.isclose(share, 100 * width / sum(widths), rel_tol=1e-9)
        assert math.isclose(kept, 100 * complementary[str(name)] / share, rel_tol=1e-9)


@given(data=st.data(), omega=st.lists(NUMBERS, min_size=1, max_size=12), threshold=NUMBERS)
def test_permuting_channels_permutes_the_gate(data, omega, threshold) -> None:
    weight = torch.tensor(omega)
    order = torch.tensor(data.draw(st.permutations(range(len(omega)))))
    for gate in (functional.hard_gate, functional.soft_gate, functional.ternary_gate):
        assert torch.equal(gate(weight, threshold)[order], gate(weight[order], threshold))
    x = draw(0, 2, len(omega), 3)
    gate = functional.hard_gate(weight, threshold)
    assert torch.equal(
        functional.apply_gate(x, gate)[:, order], functional.apply_gate(x[:, order], gate[order])
    )


@given(omega=st.lists(NUMBERS, min_size=1, max_size=12), low=NUMBERS, high=NUMBERS)
def test_a_higher_threshold_opens_nothing(omega, low, high) -> None:
    low, high = min(low, high), max(low, high)
    weight = torch.tensor(omega)
    assert bool((functional.hard_gate(weight, high) <= functional.hard_gate(weight, low)).all())


@given(seed=SEEDS, codes=st.integers(1, 20), dim=st.integers(1, 6))
def test_quantising_a_code_gives_the_code(seed, codes, dim) -> None:
    codebook = draw(seed, codes, dim)
    vq = quantizer(codebook).eval()
    result = vq(codebook)
    assert result.indices.tolist() == list(range(codes))
    assert torch.equal(result.quantized, codebook)
    assert result.loss.item() == 0
    again = vq(vq(draw(seed + 1, 9, dim)).quantized)
    assert torch.equal(again.quantized, vq(again.quantized).quantized)


@given(
    seed=SEEDS,
    scale=st.sampled_from([2.0**-10, 0.5, 4.0, 2.0**10]),
    shift=st.integers(-64, 64),
    decay=st.sampled_from([0.5, 0.99]),
)
def test_scaling_and_shifting_data_shifts_the_codes(seed, scale, shift, decay) -> None:
    plain, moved = (mf.VectorQuantizer(3, 6, decay=decay) for _ in range(2))
    for step in range(3):
        z = draw(seed + step, 40, 3)
        first, second = plain(z), moved((z + shift) * scale)
        assert (first.indices == second.indices).float().mean() > 0.95, "but for a tie on a border"
        torch.testing.assert_close(
            second.quantized / scale - shift, first.quantized, rtol=0, atol=2.0 if step else 1e-3
        )
    torch.testing.assert_close(second.perplexity, first.perplexity, rtol=0.1, atol=0.1)


@given(seed=SEEDS, batch=st.integers(1, 30))
def test_the_order_of_vectors_does_not_matter(seed, batch) -> None:
    codebook, z = draw(seed, 5, 3), draw(seed + 1, batch, 3)
    order = torch.randperm(batch, generator=torch.Generator().manual_seed(seed))
    first, second = quantizer(codebook), quantizer(codebook)
    assert torch.equal(first(z).indices[order], second(z[order]).indices)
    torch.testing.assert_close(first.codebook, second.codebook, rtol=1e-4, atol=1e-5)


@given(
    counts=st.lists(st.integers(0, 1000), min_size=1, max_size=20), scale=st.sampled_from([1e-3, 1.0, 7.0])
)
def test_perplexity_is_between_one_and_the_codes_in_use(counts, scale) -> None:
    assume(sum(counts) > 0)
    value = functional.perplexity(torch.tensor(counts) * scale).item()
    used = sum(count > 0 for count in counts)
    assert 1 - 1e-4 <= value <= used + 1e-3
    assert math.isclose(functional.perplexity(torch.tensor(counts[::-1]) * scale).item(), value, rel_tol=1e-4)


@given(data=st.data(), widths=WIDTHS, least=st.integers(0, 6))
def test_min_channels_are_open(data, widths, least) -> None:
    assume(least <= min(widths))
    mask = mf.ComplementaryMask(widths, min_channels=least)
    mask.load_state_dict(masks(data, widths).state_dict())
    assert all(int(part.sum()) >= least for part in mask.kept.split(widths))
    assert bool((mask.kept >= (mask.weight > mask.threshold)).all())
