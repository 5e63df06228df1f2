"""Who gets the Triton kernels; what a GPU is like is made up here."""

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

from maskfusion.kernels import door

GPU = torch.device("cuda:0")


def test_who_gets_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MASKFUSION_TRITON", raising=False)
    monkeypatch.setattr(door, "_runs_triton", lambda _: True)
    monkeypatch.setattr(door, "_is_measured", lambda _: True)
    assert door.runs_kernels(GPU, 64)
    assert not door.runs_kernels(torch.device("cpu"), 64)
    assert not door.runs_kernels(GPU, door.KERNEL_DIM + 1)
    monkeypatch.setenv("MASKFUSION_TRITON", "0")
    assert not door.runs_kernels(GPU, 64)


def test_other_gpus_get_them_on_request(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MASKFUSION_TRITON", raising=False)
    monkeypatch.setattr(door, "_runs_triton", lambda _: True)
    monkeypatch.setattr(door, "_is_measured", lambda _: False)
    assert not door.runs_kernels(GPU, 64)
    monkeypatch.setenv("MASKFUSION_TRITON", "1")
    assert door.runs_kernels(GPU, 64)
    monkeypatch.setattr(door, "_runs_triton", lambda _: False)
    assert not door.runs_kernels(GPU, 64)


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
    for remembered in (door._runs_triton, door._is_measured):
        remembered.cache_clear()
    try:
        monkeypatch.delenv("MASKFUSION_TRITON", raising=False)
        assert door.runs_kernels(GPU, 64) == measured
        monkeypatch.setenv("MASKFUSION_TRITON", "1")
        assert door.runs_kernels(GPU, 64) == runs
    finally:
        for remembered in (door._runs_triton, door._is_measured):
            remembered.cache_clear()


def test_whoever_wants_the_same_bits_each_time_gets_the_plain_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(door, "_runs_triton", lambda _: True)
    monkeypatch.setattr(door, "_is_measured", lambda _: True)
    torch.use_deterministic_algorithms(True)
    try:
        assert not door.runs_kernels(GPU, 64)
    finally:
        torch.use_deterministic_algorithms(False)


def test_only_plain_tensors_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(door, "runs_kernels", lambda *_: True)
    taken = []

    def ask(tensor: Tensor) -> Tensor:
        taken.append(door.prefers_kernels(tensor))
        return tensor

    ask(torch.zeros(2))
    ask(torch.nn.Parameter(torch.zeros(2)))
    assert taken == [True, True]
    taken.clear()
    with FakeTensorMode():
        ask(torch.zeros(2))
    torch.func.vmap(ask)(torch.zeros(2))
    assert taken == [False, False]
