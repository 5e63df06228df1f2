"""What every docstring example may use without importing it."""

from typing import Any

import pytest
import torch


@pytest.fixture(autouse=True)
def _names_of_examples(doctest_namespace: dict[str, Any]) -> None:
    torch.manual_seed(0)
    doctest_namespace.update(torch=torch, nn=torch.nn)
