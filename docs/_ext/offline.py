"""Refuse built pages that load anything from the network, or that cannot be searched without it."""

import re
from collections.abc import Iterator
from pathlib import Path

from sphinx.application import Sphinx
from sphinx.errors import SphinxError
from sphinx.util.typing import ExtensionMetadata

# What a browser fetches by itself. A link that a reader may follow is none of it.
LOADED = re.compile(
    r"""<(?:script|img|iframe|source|audio|video|embed|input|track)\b[^>]*?\s(?:src|srcset|data|poster)\s*=\s*["']?\s*
        (?P<source>(?:https?:)?//[^\s"'>]+)
    |   <link\b(?![^>]*\brel\s*=\s*["']?(?:canonical|author|license|next|prev|search|index)\b)[^>]*?\shref\s*=\s*["']?\s*
        (?P<link>(?:https?:)?//[^\s"'>]+)
    |   (?:@import\s+(?:url\()?|url\()\s*["']?\s*(?P<style>(?:https?:)?//[^\s"')]+)
    """,
    re.VERBOSE | re.IGNORECASE,
)


def loaded(text: str) -> list[str]:
    """Return the addresses that a page or a style sheet loads from the network."""
    return [next(filter(None, found.groups())) for found in LOADED.finditer(text)]


def faults(folder: Path) -> Iterator[str]:
    """Say what is wrong with the pages in a folder."""
    for path in sorted(folder.rglob("*")):
        if path.suffix in {".html", ".css"}:
            for address in loaded(path.read_text(encoding="utf-8")):
                yield f"{path.relative_to(folder)} loads {address}"
    for name in ("search.html", "searchindex.js"):
        if not (folder / name).is_file():
            yield f"{name} is missing, so that nothing can be searched"


def check(app: Sphinx, exception: Exception | None) -> None:
    """Stop the build where pages need the network."""
    if exception is None and app.builder.name == "html" and (found := list(faults(Path(app.outdir)))):
        raise SphinxError("\n".join(found))


def setup(app: Sphinx) -> ExtensionMetadata:
    """Look at the pages once all are written."""
    app.connect("build-finished", check)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
