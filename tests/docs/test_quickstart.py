"""The notebook of the quickstart is the page, and runs for a reader who has the library, torch and matplotlib only."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from docs.shown.quickstart import claims
from tests.support.paths import DOCS, ROOT

NOTEBOOK = ROOT / "examples" / "quickstart.ipynb"
CELL = re.compile(r"^```\{code-cell\} ipython3\n(?!:tags:)(.*?)^```$", re.MULTILINE | re.DOTALL)
READER = """
import json, os, sys

class NotThere:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"docs", "examples", "IPython", "lightning", "tests", "transformers"}:
            raise ModuleNotFoundError(f"a reader has no {name}")

sys.meta_path.insert(0, NotThere())
space = {"__name__": "__main__"}
for number, code in enumerate(json.load(sys.stdin)):
    exec(compile(code, f"cell {number}", "exec"), space)
scores = {name: space["accuracy"](network) for name, network in space["networks"].items()}
found = [scores, space["accuracy"](space["model"]), space["tracker"].kept(), space["small"].unread]
print(json.dumps(found), os.listdir())
"""


def cells(kind: str) -> list[str]:
    """Sources of the notebook's cells of a kind."""
    return [
        "".join(cell["source"])
        for cell in json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
        if cell["cell_type"] == kind
    ]


def test_the_notebook_has_the_code_of_the_page() -> None:
    page = (DOCS / "quickstart.md").read_text(encoding="utf-8")
    assert cells("code") == [code.rstrip("\n") for code in CELL.findall(page)]


def test_the_notebook_is_plain_markdown_without_outputs() -> None:
    assert not any("{" in text for text in cells("markdown"))
    assert all(not cell.get("outputs") for cell in json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"])


@pytest.mark.slow
def test_the_notebook_runs_for_who_has_only_the_library(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("MPLBACKEND", "agg")
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", READER],
        input=json.dumps(cells("code")),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    last = done.stdout.splitlines()[-1]
    found, _, files = last.rpartition(" ")
    assert files == "[]"  # nothing is written
    claims(*json.loads(found))
    assert "not needed: audio" in done.stdout


def test_what_the_page_says_is_held_against_the_numbers() -> None:
    scores = {"image": 82.0, "depth": 41.0, "audio": 16.0, "image + depth + audio": 75.0}
    kept = {"image": 30.0, "depth": 15.0, "audio": 0.0}
    claims(scores, 90.0, kept, ["audio"])
    with pytest.raises(ValueError, match="worse than the image alone"):
        claims({**scores, "image + depth + audio": 83.0}, 90.0, kept, ["audio"])
    with pytest.raises(ValueError, match="`audio` is closed"):
        claims(scores, 90.0, {**kept, "audio": 3.1}, ["audio"])
