"""Six files that hold a number each, which a test may change and break."""

from pathlib import Path

import pytest

from examples.data.reading.cache import Item
from tests.examples.data.number_files import write


@pytest.fixture
def items(tmp_path: Path) -> list[Item]:
    return write(tmp_path / "root")
