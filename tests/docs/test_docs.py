"""The Python that a page shows runs as it stands, block after block, without what the page hides.

Blocks that `make docs` executes too have another mark, ``{code-cell}``, and show their output.
"""

import re
from pathlib import Path

import pytest

from examples.data import DATA_SETS
from examples.methods import METHODS
from tests.docs.test_readme import taken_for_granted
from tests.support.paths import DOCS

BLOCK = re.compile(
    r"^```(?:python|\{code-cell\} ipython3)\n(?!:tags: \[remove-(?:input|cell)\])(?::tags:[^\n]*\n)?(.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
HIDDEN = re.compile(
    r"^```\{code-cell\}[^\n]*\n:tags: \[remove-(?:input|cell)\]\n(.*?)^```$", re.MULTILINE | re.DOTALL
)
ELSEWHERE = {"quickstart": "tests/docs/test_quickstart.py runs the notebook, which has the code of the page"}
"""Pages that another test runs."""
EXCEPT = {
    ("quantizers", 'device="cuda"'): "a GPU",
    ("quantizers", "import VectorQuantize"): "vector-quantize-pytorch, whose layer the cell below replaces",
    ("your-model", "fully_shard(mask)"): "several processes; tests/library/test_distributed.py has them",
}
"""Blocks, by page and words that they hold, and what they need that the tests lack."""


def blocks(page: str) -> list[tuple[int, str]]:
    """Where each visible block of a page begins, and its code."""
    text = (DOCS / f"{page}.md").read_text(encoding="utf-8")
    return [(text.count("\n", 0, found.start(1)), found[1]) for found in BLOCK.finditer(text)]


def pages() -> list[str]:
    """Every page that shows Python."""
    paths = [path.relative_to(DOCS).with_suffix("").as_posix() for path in sorted(DOCS.rglob("*.md"))]
    return [path for path in paths if "_build" not in path and blocks(path)]


def test_what_is_left_out_is_there() -> None:
    assert set(ELSEWHERE) <= set(pages())
    for page, words in EXCEPT:
        assert sum(words in code for _, code in blocks(page)) == 1


@pytest.mark.parametrize("page", pages())
def test_code_is_complete(page: str) -> None:
    lines = [line for _, code in blocks(page) for line in code.splitlines()]
    assert not [line for line in lines if re.search(r"(?<![\w\"])\.\.\.", line)]


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


@pytest.mark.unchecked  # some compile and export
@pytest.mark.filterwarnings("ignore:The .train_dataloader. does not have many workers")
@pytest.mark.filterwarnings("ignore:GPU available but not used")
@pytest.mark.filterwarnings("ignore:.isinstance.treespec, LeafSpec.:FutureWarning")
@pytest.mark.filterwarnings("ignore:.*pin_memory.*:UserWarning")
@pytest.mark.parametrize("page", [page for page in pages() if page not in ELSEWHERE])
def test_blocks_run(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("examples.methods.METHODS", dict(METHODS))  # two pages add to them
    monkeypatch.setattr("examples.data.DATA_SETS", dict(DATA_SETS))
    left_out = [words for where, words in EXCEPT if where == page]
    space = taken_for_granted() if page == "index" else {"__name__": page}
    for line, code in blocks(page):
        if not any(words in code for words in left_out):
            exec(compile("\n" * line + code, f"{page}.md", "exec"), space)  # noqa: S102
