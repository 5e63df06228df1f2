"""Real data for the tests that want some; they are skipped, with the reason, where there is none."""

import os
from pathlib import Path

import pytest

VARIABLE = "MASKFUSION_DATA"


def real_data(name: str) -> Path:
    """Return a file or folder below the one that ``MASKFUSION_DATA`` names, or skip the test that asks."""
    root = os.environ.get(VARIABLE)
    if not root:
        pytest.skip(f"real data: `{VARIABLE}` names no folder")
    path = Path(root) / name
    if not path.exists():
        pytest.skip(f"real data: no '{name}' in '{root}', which `{VARIABLE}` names")
    return path
