"""The check that `make docs` makes of its pages: nothing is loaded from the network."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from tests.support.paths import DOCS

SOURCE = DOCS / "_ext" / "offline.py"


@pytest.fixture(scope="module")
def offline() -> ModuleType:
    """The extension of Sphinx, which is no package."""
    pytest.importorskip("sphinx", reason="sphinx is not installed")
    spec = importlib.util.spec_from_file_location("offline", SOURCE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    "text",
    [
        '<script async="async" src="https://cdn.example.org/math.js"></script>',
        "<script src='//cdn.example.org/math.js'></script>",
        '<link rel="stylesheet" type="text/css" href="http://fonts.example.org/a.css" />',
        '<link href="https://example.org/favicon.ico" rel="icon">',
        '<link rel="preconnect" href="https://fonts.example.org">',
        '<img alt="badge" src="https://img.example.org/badge.svg">',
        '<iframe width="1" src="https://example.org">',
        '@import "https://fonts.example.org/a.css";',
        "body { background: url( https://example.org/a.png ) }",
    ],
)
def test_what_is_loaded(offline: ModuleType, text: str) -> None:
    (address,) = offline.loaded(f"<p>before</p>{text}\n<p>after</p>")
    assert "example.org" in address


@pytest.mark.parametrize(
    "text",
    [
        '<a href="https://example.org">a link</a>',
        '<link rel="canonical" href="https://example.org/page.html">',
        '<script src="_static/doctools.js?v=1"></script> see https://example.org',
        '<img src="_images/a.png"><a href="https://example.org"></a>',
        "body { background: url(data:image/png;base64,AAAA) }",
        '<svg xmlns="http://www.w3.org/2000/svg">',
    ],
)
def test_what_is_not(offline: ModuleType, text: str) -> None:
    assert offline.loaded(text) == []


def test_pages(offline: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "search.html").write_text('<img src="a.png">')
    (tmp_path / "searchindex.js").write_text("Search.setIndex({})")
    assert list(offline.faults(tmp_path)) == []
    (tmp_path / "index.html").write_text('<img src="https://example.org/a.png">')
    (tmp_path / "searchindex.js").unlink()
    wrong, missing = offline.faults(tmp_path)
    assert wrong == "index.html loads https://example.org/a.png"
    assert missing.startswith("searchindex.js is missing")
