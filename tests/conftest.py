"""Settings of every test. The library is not imported here, so that the shape checker can still hook it."""

import sys
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from hypothesis import settings

settings.register_profile("repeatable", derandomize=True, deadline=None, max_examples=25, database=None)
settings.load_profile("repeatable")


@pytest.fixture(autouse=True)
def _seed() -> None:
    """Start every test from the same random numbers."""
    torch.manual_seed(0)


@pytest.fixture(scope="session", autouse=True)
def _decomposed_untraced() -> Iterator[None]:
    """Coverage looks away in the slowest part of PyTorch's exporter, which runs no line of ours and would take half as long again."""
    if sys.gettrace() is None:
        yield
        return
    from torch.export import ExportedProgram

    decompose = ExportedProgram.run_decompositions

    def untraced(*args: Any, **kwargs: Any) -> ExportedProgram:
        trace = sys.gettrace()
        sys.settrace(None)
        try:
            return decompose(*args, **kwargs)
        finally:
            sys.settrace(trace)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ExportedProgram, "run_decompositions", untraced)
        yield
