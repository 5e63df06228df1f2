"""The Triton kernel in Triton's interpreter, on the CPU, against the blocked search."""

import importlib
from types import ModuleType

import pytest
import torch

from maskfusion import VectorQuantizer, _search

pytestmark = pytest.mark.unchecked  # the kernel is read from its source, which must be as it was written


@pytest.fixture
def fused() -> ModuleType:
    pytest.importorskip("triton", reason="triton is not installed; it has wheels for Linux only")
    return importlib.import_module("maskfusion._fused_search")


@pytest.mark.parametrize(
    ("vectors", "codes", "dim"),
    [(1, 1, 1), (100, 3, 5), (257, 513, 64), (130, 70, 256), (0, 4, 4)],
)
def test_kernel_finds_what_the_blocked_search_finds(
    fused: ModuleType, vectors: int, codes: int, dim: int
) -> None:
    distances = _search.Distances(torch.randn(codes, dim))
    centred = torch.randn(vectors, dim)
    found = fused.nearest(centred, distances.codes, distances.norms[:codes])
    assert torch.equal(found, distances.nearest(centred))


def test_lowest_of_equals_and_zero_for_nan(fused: ModuleType) -> None:
    codes = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.0, 1.0]]).repeat(50, 1)
    vectors = torch.tensor([[0.0, 1.0], [torch.nan, 0.0], [1.0, 0.0]])
    assert fused.nearest(vectors, codes, torch.ones(150)).tolist() == [1, 0, 0]


def test_quantiser_takes_it_on_request(fused: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def counted(*arguments: torch.Tensor) -> torch.Tensor:
        calls.append(arguments)
        return nearest(*arguments)

    nearest = fused.nearest
    quantizer = VectorQuantizer(8, 32).eval()
    z = torch.randn(4, 8, 5)
    expected = quantizer(z)
    monkeypatch.setattr(fused, "nearest", counted)
    monkeypatch.setattr(_search, "prefers_fused", lambda _: True)
    assert torch.equal(quantizer(z).indices, expected.indices)
    assert calls


class _OnDevice:
    """As much of a CUDA tensor as the decision looks at."""

    is_cuda = True

    def __init__(self, dim: int) -> None:
        self.shape = torch.Size([10, dim])


def test_nobody_gets_it_unasked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MASKFUSION_TRITON", raising=False)
    assert not _search.prefers_fused(_OnDevice(64))
    monkeypatch.setenv("MASKFUSION_TRITON", "1")
    assert _search.prefers_fused(_OnDevice(64))
    assert not _search.prefers_fused(_OnDevice(_search.FUSED_DIM + 1))
    assert not _search.prefers_fused(torch.zeros(10, 64))
