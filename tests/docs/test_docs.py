"""The plain Python blocks of the documentation run as they stand, one after the other, page by page.

Blocks that `make docs` executes have another mark, ``{code-cell}``, and show their output.
"""

import re
from pathlib import Path

import pytest

from examples.data import DATA_SETS
from examples.methods import METHODS
from tests.docs.test_readme import taken_for_granted
from tests.support.paths import DOCS

BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
HIDDEN = re.compile(
    r"^```\{code-cell\}[^\n]*\n:tags: \[remove-(?:input|cell)\]\n(.*?)^```$", re.MULTILINE | re.DOTALL
)
PAGES = [
    "distributed",
    "index",
    "own-data",
    "own-method",
    "paper-and-code",
    "smaller-network",
    "troubleshooting",
]
FRAGMENTS = {
    "api/contribution": "the example of `measure_contributions` below it runs",
    "api/integrations": "tests/library/integrations runs both callbacks",
    "choosing": "the loop of tests/library/training/test_schedules.py",
    "quantizers": "code of another library, which the cell below it replaces",
    "your-model": "tests/library/networks runs them with several processes, adapters and pretrained networks",
    "zeta": "the example of `measure_contributions` runs",
}
"""Pages whose plain blocks are cut out of something larger, and what runs them."""


def blocks(page: str) -> list[tuple[int, str]]:
    """Where each block of a page begins, and its code."""
    text = (DOCS / f"{page}.md").read_text(encoding="utf-8")
    return [(text.count("\n", 0, found.start(1)), found[1]) for found in BLOCK.finditer(text)]


def test_every_page_with_blocks_is_known() -> None:
    paths = [path.relative_to(DOCS).with_suffix("").as_posix() for path in DOCS.rglob("*.md")]
    assert sorted(path for path in paths if blocks(path)) == sorted([*PAGES, *FRAGMENTS])


@pytest.mark.parametrize("page", [path.stem for path in sorted(DOCS.glob("*.md"))])
def test_code_that_readers_do_not_see_is_a_call(page: str) -> None:
    text = (DOCS / f"{page}.md").read_text(encoding="utf-8")
    for cell in HIDDEN.findall(text):
        lines = [line for line in cell.splitlines() if line.strip()]
        assert len(lines) <= 4, (
            f"{page}: {lines[0]!r} and what follows belong in docs/shown, which is checked"
        )


@pytest.mark.parametrize("term", ["DataParallel", "from_pretrained", "None", "SGD"])
def test_what_users_search_for_stands_in_a_heading(term: str) -> None:
    headings = [
        line for path in DOCS.glob("*.md") for line in path.read_text().splitlines() if line[:2] == "##"
    ]
    assert any(re.search(rf"\b{term}\b", line) for line in headings)


def test_there_are_at_most_twenty_pages() -> None:
    assert len(list(DOCS.glob("*.md"))) <= 20


@pytest.mark.unchecked  # two of them compile and export
@pytest.mark.parametrize("page", PAGES)
def test_blocks_run(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("examples.methods.METHODS", dict(METHODS))  # two pages add to them
    monkeypatch.setattr("examples.data.DATA_SETS", dict(DATA_SETS))
    space = taken_for_granted() if page == "index" else {"__name__": page}
    for line, code in blocks(page):
        exec(compile("\n" * line + code, f"{page}.md", "exec"), space)  # noqa: S102
