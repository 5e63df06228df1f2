"""A process group of one, for wrappers and sharded weights. The library is not imported here, as above."""

from collections.abc import Iterator

import pytest
from torch import distributed as dist


@pytest.fixture
def _one_process() -> Iterator[None]:
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    yield
    dist.destroy_process_group()
