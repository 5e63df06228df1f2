"""Two processes with gloo around whole networks. They start once and run every check in `processes.py`; each is one test here."""

import pytest
import torch
from torch import multiprocessing

from tests.networks.processes import CHECKS, work


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, str]]:
    """What each rank found: nothing, or how a check failed."""
    folder = tmp_path_factory.mktemp("gloo")
    multiprocessing.spawn(work, (str(folder),), nprocs=2)
    return [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in range(2)]


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("rank", [0, 1])
def test_two_processes(check: str, rank: int, outcomes: list[dict[str, str]]) -> None:
    assert outcomes[rank][check] == ""
