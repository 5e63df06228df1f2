"""The script that a user copies: as a module and as a file it prints what the text says."""

import re
import runpy
from pathlib import Path

import pytest

pytest.importorskip("transformers")
SCRIPT = Path(__file__).parents[2] / "examples" / "your_model.py"


def test_it_closes_the_noise_and_keeps_the_captions(capsys: pytest.CaptureFixture[str]) -> None:
    names = runpy.run_path(str(SCRIPT), run_name="__main__")
    printed = capsys.readouterr().out
    history = names["tracker"].history
    assert [f"epoch {record['step']}: loss" in printed for record in history] == [True] * 5
    kept = names["tracker"].kept()
    assert kept["image"] < 10
    assert kept["text"] > 50
    assert f"open in percent: {kept}" in printed
    assert re.search(r"^  text +\d+/\d+ +output of ", printed, re.MULTILINE)


def test_three_lines_are_new_and_the_rest_is_short() -> None:
    lines = SCRIPT.read_text(encoding="utf-8").splitlines()
    marked = [
        line for line in lines if line.endswith(("# the first of the three", "# the second", "# the third"))
    ]
    assert len(marked) == 3
    assert len(lines) < 60


def test_importing_it_trains_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    names = runpy.run_path(str(SCRIPT), run_name="examples.your_model")
    assert capsys.readouterr().out == ""
    assert "Classifier" in names
    assert "tracker" not in names
