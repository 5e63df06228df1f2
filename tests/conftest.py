"""Settings of every test. The library is not imported here, so that the shape checker can still hook it."""

import pytest
import torch
from hypothesis import settings

settings.register_profile("repeatable", derandomize=True, deadline=None, max_examples=25, database=None)
settings.load_profile("repeatable")


@pytest.fixture(autouse=True)
def _seed() -> None:
    """Start every test from the same random numbers."""
    torch.manual_seed(0)
