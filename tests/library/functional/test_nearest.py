"""The nearest code is that of float64, wherever codes and vectors lie, up to the rounding of the two distances."""

from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch._subclasses import FakeTensorMode

import maskfusion as mf
from maskfusion import functional
from maskfusion.functional import nearest
from maskfusion.kernels.way import Way
from maskfusion.quantizer.assignment import assign
from tests.support.helpers import quantizer

ROUNDING = 1e-6
"""Of a squared distance: what float32 itself can tell two of them apart by."""


def excess(vectors: Tensor, codes: Tensor, indices: Tensor) -> float:
    """By how much the squared distance to the code that was found is above that to the nearest, as a share of it; by differences in float64."""
    distances = torch.cdist(
        vectors.double(), codes.detach().double(), compute_mode="donot_use_mm_for_euclid_dist"
    ).square()
    least, found = distances.amin(1), distances.gather(1, indices[:, None])[:, 0]
    return float(((found - least) / least.clamp(min=1e-300)).max()) if len(vectors) else 0.0


def few_far(scale: float) -> tuple[Tensor, Tensor]:
    codes = torch.randn(512, 64)
    codes[500:] *= scale
    return torch.randn(700, 64), codes


def most_far(scale: float) -> tuple[Tensor, Tensor]:
    codes = torch.randn(512, 64)
    codes[60:] *= scale
    return torch.randn(700, 64), codes


def two_clusters(scale: float) -> tuple[Tensor, Tensor]:
    sides = [scale * torch.randint(0, 2, (count, 1)) for count in (700, 512)]
    return torch.randn(700, 64) + sides[0], torch.randn(512, 64) + sides[1]


def offset(scale: float) -> tuple[Tensor, Tensor]:
    return torch.randn(700, 64) + scale, torch.randn(512, 64) + scale


def one_vector_far(scale: float) -> tuple[Tensor, Tensor]:
    vectors = torch.randn(700, 64)
    vectors[::50] *= scale
    return vectors, torch.randn(512, 64)


def many_scales(scale: float) -> tuple[Tensor, Tensor]:
    scales = torch.logspace(-3, 3, 64) * scale
    return torch.randn(700, 64) * scales, torch.randn(512, 64) * scales


def trained(scale: float) -> tuple[Tensor, Tensor]:
    """Vectors close to their codes."""
    codes = torch.randn(512, 64)
    return codes[torch.randint(512, (700,))] + torch.randn(700, 64) / scale, codes


CASES = [
    (make, scale)
    for make in (few_far, most_far, two_clusters, offset, one_vector_far, many_scales, trained)
    for scale in (1.0, 1e3, 1e4, 3e5)
]


@pytest.mark.parametrize(("make", "scale"), CASES)
@pytest.mark.parametrize("vectors", [3, 200, 700])
def test_in_every_case(make: Callable[[float], tuple[Tensor, Tensor]], scale: float, vectors: int) -> None:
    z, codes = make(scale)
    z = z[:vectors]
    assert excess(z, codes, functional.nearest_code(z, codes)) < ROUNDING


@pytest.mark.no_cover  # which would make the interpreter three times slower; `test_kernels` reaches every line
@pytest.mark.unchecked
@pytest.mark.parametrize(("make", "scale"), CASES)
def test_in_the_kernels(
    make: Callable[[float], tuple[Tensor, Tensor]], scale: float, kernels: object
) -> None:
    z, codes = make(scale)
    z = z[:40]  # the interpreter takes seconds for more
    assert excess(z, codes, kernels.nearest(z, codes)) < ROUNDING


@pytest.fixture
def kernels() -> object:
    return pytest.importorskip(
        "maskfusion.kernels.launch", reason="triton is not installed", exc_type=ImportError
    )


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**20),
    vectors=st.sampled_from([1, 7, 90, 400]),
    codes=st.sampled_from([1, 2, 33, 400, 2500]),
    dim=st.sampled_from([1, 3, 16, 64]),
    spread=st.floats(-3, 3),
    shift=st.floats(-3, 5),
    outliers=st.floats(0, 6),
    share=st.sampled_from([0.0, 0.05, 0.5, 0.95]),
    dtype=st.sampled_from([torch.float32, torch.bfloat16, torch.float16]),
)
def test_at_any_scale(
    seed: int,
    vectors: int,
    codes: int,
    dim: int,
    spread: float,
    shift: float,
    outliers: float,
    share: float,
    dtype: torch.dtype,
) -> None:
    generator = torch.Generator().manual_seed(seed)

    def drawn(count: int) -> Tensor:
        points = torch.randn(count, dim, generator=generator) * 10**spread
        far = torch.rand(count, generator=generator) < share
        return torch.where(far[:, None], points * 10**outliers, points) + 10**shift

    z, codebook = drawn(vectors).to(dtype).float(), drawn(codes)
    z = z[z.isfinite().all(1)]
    assert excess(z, codebook, functional.nearest_code(z.to(dtype), codebook)) < ROUNDING


@pytest.mark.parametrize("make", [most_far, two_clusters, offset])
def test_everywhere_in_the_quantisers(make: Callable[[float], tuple[Tensor, Tensor]]) -> None:
    z, codes = make(1e4)
    vq = quantizer(codes).eval()
    for indices in (vq(z).indices, vq.encode(z), mf.ResidualQuantizer([vq]).encode(z)[:, 0]):
        assert excess(z, codes, indices) < ROUNDING
    for way in (Way.BLOCKS, Way.OPERATOR):
        assert excess(z, codes, assign(way, z, codes, None, 1).indices) < ROUNDING
    started = mf.VectorQuantizer(64, 300).start(z, iterations=3).eval()
    assert excess(z, started.codebook, started(z).indices) < ROUNDING


def test_only_those_that_float32_cannot_tell_apart_are_looked_at_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looked = []
    search = nearest._Exact.nearest

    def counting(self: nearest._Exact, vectors: Tensor) -> Tensor:
        looked.append(len(vectors))
        return search(self, vectors)

    monkeypatch.setattr(nearest._Exact, "nearest", counting)
    z, codes = torch.randn(20_000, 64), torch.randn(512, 64)
    functional.nearest_code(z, codes)
    assert sum(looked) < 200
    looked.clear()
    functional.nearest_code(z + 1e3, codes + 1e3)
    assert sum(looked) < 400


def test_equal_codes_and_the_lowest_of_them() -> None:
    codes = torch.randn(300, 8).repeat(2, 1)
    for z in (codes[:5], codes.repeat(3, 1)):
        assert torch.equal(functional.nearest_code(z, codes), torch.arange(len(z)) % 300)


def test_products_that_bfloat16_rounds_find_the_same_codes() -> None:
    z, codes = torch.randn(3000, 64), torch.randn(512, 64)
    expected = functional.nearest_code(z, codes)
    torch.set_float32_matmul_precision("medium")
    try:
        assert torch.equal(functional.nearest_code(z, codes), expected)
    finally:
        torch.set_float32_matmul_precision("highest")


def test_an_accelerator_takes_distances_from_amid_the_vectors(monkeypatch: pytest.MonkeyPatch) -> None:
    """As far as a machine without one can show it."""
    monkeypatch.setattr(nearest, "search_for", lambda codes, vectors: nearest._Amid(codes, vectors).nearest)
    for make in (few_far, most_far, offset):
        z, codes = make(1e4)
        assert excess(z, codes, functional.nearest_code(z, codes)) < 1e-5
    z, codes = torch.randn(50, 4), torch.randn(5000, 4)
    assert excess(z, codes, functional.nearest_code(z, codes)) < 1e-4


def test_an_accelerator_is_never_waited_for() -> None:
    """A device without numbers: nothing of it can be looked at."""
    z, codes = torch.randn(1, 90, 4, device="meta"), torch.randn(512, 4, device="meta")
    assert nearest.search_for(codes, z)(z[0]).shape == (90,)


@pytest.mark.unchecked
@pytest.mark.skipif(torch.__version__ < "2.7", reason="PyTorch 2.6 does not tell that it is exporting")
def test_encode_goes_every_way() -> None:
    vq = quantizer(torch.randn(32, 4)).eval()
    z = torch.randn(5, 6, 4)
    expected = torch.stack([vq.encode(one) for one in z])
    assert torch.equal(torch.func.vmap(vq.encode)(z), expected)
    compiled = torch.compile(vq.encode, backend="aot_eager", fullgraph=True)
    assert torch.equal(compiled(z[0]), expected[0])

    class Encoder(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.quantizer = vq

        def forward(self, z: Tensor) -> Tensor:
            return self.quantizer.encode(z)

    program = torch.export.export(Encoder(), (z[0],))
    assert "maskfusion" not in str(program.graph), "it runs without this library"
    assert torch.equal(program.module()(z[0]), expected[0])


@pytest.mark.unchecked
def test_under_a_transform_of_torch_func() -> None:
    vectors, codes = torch.randn(3, 5, 4), torch.randn(7, 4)
    found = torch.func.vmap(lambda each: functional.nearest_code(each, codes))(vectors)
    assert torch.equal(found, torch.cdist(vectors, codes).argmin(-1))


@pytest.mark.unchecked
def test_of_tensors_without_numbers_the_shape_is_known() -> None:
    with FakeTensorMode(allow_non_fake_inputs=True) as fake:
        vectors, codes = (fake.from_tensor(torch.randn(count, 4)) for count in (5, 7))
        found = functional.nearest_code(vectors, codes)
    assert (found.shape, found.dtype) == ((5,), torch.int64)
