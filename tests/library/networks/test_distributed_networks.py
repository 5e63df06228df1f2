"""Two processes with gloo around whole networks. They start once and run every check in `processes.py`; each is one test here."""

import pytest

from tests.library.networks.processes import CHECKS, work
from tests.support.helpers import outcomes_of_two

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, str]]:
    """What each rank found: nothing, or how a check failed."""
    return outcomes_of_two(work, tmp_path_factory.mktemp("gloo"))


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("rank", [0, 1])
def test_two_processes(check: str, rank: int, outcomes: list[dict[str, str]]) -> None:
    assert outcomes[rank][check] == ""
