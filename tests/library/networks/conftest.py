"""Networks of transformers speak up about small configurations; here they are meant to be small."""

from collections.abc import Iterator

import pytest

transformers = pytest.importorskip("transformers")
pytest.importorskip("lightning")


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    before = transformers.utils.logging.get_verbosity()
    transformers.utils.logging.set_verbosity_error()
    yield
    transformers.utils.logging.set_verbosity(before)
