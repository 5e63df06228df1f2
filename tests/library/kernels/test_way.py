"""Which way a forward goes, and who gets the Triton kernels; what a GPU is like is made up here."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

from maskfusion.kernels import private, way
from maskfusion.kernels.way import Way, way_for

GPU = torch.device("cuda:0")


def test_who_gets_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MASKFUSION_TRITON", raising=False)
    monkeypatch.setattr(way, "_runs_triton", lambda _: True)
    monkeypatch.setattr(way, "_is_measured", lambda _: True)
    assert way.runs_kernels(GPU, 64)
    assert not way.runs_kernels(torch.device("cpu"), 64)
    assert not way.runs_kernels(GPU, way.KERNEL_DIM + 1)
    monkeypatch.setenv("MASKFUSION_TRITON", "0")
    assert not way.runs_kernels(GPU, 64)


def test_other_gpus_get_them_on_request(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MASKFUSION_TRITON", raising=False)
    monkeypatch.setattr(way, "_runs_triton", lambda _: True)
    monkeypatch.setattr(way, "_is_measured", lambda _: False)
    assert not way.runs_kernels(GPU, 64)
    monkeypatch.setenv("MASKFUSION_TRITON", "1")
    assert way.runs_kernels(GPU, 64)
    monkeypatch.setattr(way, "_runs_triton", lambda _: False)
    assert not way.runs_kernels(GPU, 64)


@pytest.mark.parametrize(
    ("capability", "runs", "measured"), [((7, 5), False, False), ((8, 6), True, False), ((9, 0), True, True)]
)
def test_which_gpus_run_them(
    monkeypatch: pytest.MonkeyPatch,
    capability: tuple[int, int],
    runs: bool,
    measured: bool,
) -> None:
    pytest.importorskip("triton", reason="where there is no Triton, no GPU runs them")
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: capability)
    for remembered in (way._runs_triton, way._is_measured):
        remembered.cache_clear()
    try:
        monkeypatch.delenv("MASKFUSION_TRITON", raising=False)
        assert way.runs_kernels(GPU, 64) == measured
        monkeypatch.setenv("MASKFUSION_TRITON", "1")
        assert way.runs_kernels(GPU, 64) == runs
    finally:
        for remembered in (way._runs_triton, way._is_measured):
            remembered.cache_clear()


def test_whoever_wants_the_same_bits_each_time_gets_the_plain_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(way, "_runs_triton", lambda _: True)
    monkeypatch.setattr(way, "_is_measured", lambda _: True)
    torch.use_deterministic_algorithms(True)
    try:
        assert not way.runs_kernels(GPU, 64)
    finally:
        torch.use_deterministic_algorithms(False)


@pytest.mark.filterwarnings("ignore:`torch.jit.trace` is deprecated:DeprecationWarning")
@pytest.mark.skipif(torch.__version__ < "2.7", reason="PyTorch 2.6 does not tell that it is exporting")
def test_each_kind_of_tensor_goes_its_way(monkeypatch: pytest.MonkeyPatch) -> None:
    taken = []

    def ask(tensor: Tensor) -> Tensor:
        taken.append(way_for(tensor))
        return tensor

    ask(torch.zeros(2))
    monkeypatch.setattr(way, "runs_kernels", lambda *_: True)
    ask(torch.nn.Parameter(torch.zeros(2)))
    with FakeTensorMode():
        ask(torch.zeros(2))
    torch.func.vmap(ask)(torch.zeros(2))
    with torch.autograd.forward_ad.dual_level():
        ask(torch.zeros(2))
    torch.compile(ask, backend="eager", fullgraph=True)(torch.zeros(2))
    torch.jit.trace(ask, torch.zeros(2), check_trace=False)
    torch.export.export(Asks(ask), (torch.zeros(2),))
    expected = [Way.BLOCKS, Way.KERNELS, Way.OPERATOR, Way.TRACED, Way.TRACED, Way.OPERATOR, Way.TRACED]
    assert taken[:7] == expected
    assert set(taken[7:]) == {Way.TRACED}


class Asks(torch.nn.Module):
    """A module that is a function."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x) + 1


def test_gradients_in_batches_are_told_apart() -> None:
    x, seen = torch.zeros(3, requires_grad=True), []

    class Told(torch.autograd.Function):
        @staticmethod
        def forward(ctx: object, x: Tensor) -> Tensor:
            del ctx
            return x.clone()

        @staticmethod
        def backward(ctx: object, gradient: Tensor) -> Tensor:
            del ctx
            seen.append((private.is_batched(gradient), private.in_backward()))
            return gradient

    out = Told.apply(x)
    torch.autograd.grad(out, x, torch.eye(3), is_grads_batched=True, retain_graph=True)
    torch.autograd.grad(out, x, torch.ones(3))
    assert seen == [(True, True), (False, True)]
    assert not private.in_backward()


def test_transforms_are_told_apart() -> None:
    seen = []
    torch.func.grad(lambda x: seen.append(private.in_transform()) or x)(torch.zeros(()))
    with torch.autograd.forward_ad.dual_level():
        seen.append(private.in_transform())
    assert seen == [True, True]
    assert not private.in_transform()


@pytest.mark.skipif(torch.__version__ < "2.7", reason="PyTorch 2.6 does not tell that it is exporting")
def test_exporting_is_told_apart_from_compiling() -> None:
    seen = []

    def ask(x: Tensor) -> Tensor:
        seen.append(private.is_exporting())
        return x + 1

    torch.compile(ask, backend="eager", fullgraph=True)(torch.zeros(2))
    assert not any(seen)
    seen.clear()
    torch.export.export(Asks(ask), (torch.zeros(2),))
    assert all(seen)
    assert seen
    assert not private.is_exporting()


def test_products_that_are_rounded_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    before = torch.get_float32_matmul_precision()
    try:
        for word, rounds in (("medium", True), ("highest", False)):
            torch.set_float32_matmul_precision(word)
            assert private.rounds_products() == rounds
    finally:
        torch.set_float32_matmul_precision(before)

    def refuse() -> str:
        raise RuntimeError("PyTorch was told in old words and in new ones.")

    monkeypatch.setattr(torch, "get_float32_matmul_precision", refuse)
    assert private.rounds_products()
