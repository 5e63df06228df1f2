"""What every docstring example may use without importing it, and Triton's interpreter in place of its compiler."""

import os
from typing import Any

import pytest
import torch

if not torch.cuda.is_available():  # on a GPU the kernels are compiled and run
    os.environ.setdefault("TRITON_INTERPRET", "1")  # Triton reads it when it is first imported


@pytest.fixture(autouse=True)
def _names_of_examples(doctest_namespace: dict[str, Any]) -> None:
    torch.manual_seed(0)
    doctest_namespace.update(torch=torch, nn=torch.nn)
