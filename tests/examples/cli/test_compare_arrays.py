"""``compare arrays``: from a file of arrays to the answer and the report."""

from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_wine

from examples.__main__ import main
from examples.results import Results

TINY = [
    *("--seeds", "2", "--epochs", "2", "--workers", "1", "--network.width", "8", "--network.latent", "6"),
    *("--network.head_width", "4", "--network.head_hidden", "8"),
]


@pytest.fixture
def wine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    data = load_wine()
    np.savez(
        "wine.npz", acids=data.data[:, :6], colours=data.data[:, 6:], label=data.target_names[data.target]
    )
    return tmp_path


def compare(*more: str) -> int:
    return main(["compare", "arrays", "--root", "wine.npz", *TINY, *more])


def test_from_a_file_to_the_answer(wine: Path, capsys: pytest.CaptureFixture[str]):
    assert compare() == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    lines = captured.out.splitlines()
    assert [line.rstrip() for line in lines[:5]] == [
        "wine.npz  178 samples",
        "split     98 to learn from, 27 to choose the epoch, 53 to test, drawn by seed",
        "classes   3, one per sample; the most frequent has 39.8 %",
        "acids     vector of 6",
        "colours   vector of 7",
    ]
    assert lines[5].startswith("This will take about ")
    assert lines[5].endswith(", one run at a time.")
    words = " ".join(captured.out.split())
    assert "10/10 runs: cure, seed 1, " in words
    assert "Did adding " in words
    assert "With the mask, in row mask, " in words
    assert "alone first, then joined and pooled, in row cure, " in words
    folder = wine / "runs" / "arrays-wine"
    results = Results.read(folder / "results.json")
    assert list(results.rows()) == ["acids", "colours", "concatenation", "mask", "cure"]
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert "<h1>Did adding " in page
    assert "mask, seed 0" in page
    assert "cure, seed 0" in page


def test_runs_on_other_data_are_not_taken_for_these(wine: Path, capsys: pytest.CaptureFixture[str]):
    few = ("--rows", "acids", "--seeds", "1", "--report", "false")
    assert compare(*few) == 0
    assert not (wine / "runs" / "arrays-wine" / "report.html").exists()
    capsys.readouterr()
    assert compare(*few) == 0
    out = capsys.readouterr().out
    assert "1 of 1 runs are finished already" in out
    assert "This will take" not in out
    with np.load("wine.npz") as file:
        arrays = dict(file)
    arrays["acids"][0, 0] += 1
    np.savez("wine.npz", **arrays)
    assert compare(*few) == 2
    assert "holds a run with other settings (data_options). --fresh starts it anew" in " ".join(
        capsys.readouterr().err.split()
    )
    assert compare(*few, "--fresh") == 0


def test_options_and_one_run(wine: Path, capsys: pytest.CaptureFixture[str]):
    with np.load("wine.npz") as file:
        arrays = dict(file)
    np.savez("wine.npz", acids=arrays["acids"], colours=arrays["colours"], y=arrays["label"])
    options = ["--data_options.label", "y", "--data_options.kinds", "{colours: sequence}"]
    assert compare(*options, "--rows", "colours", "--seeds", "1", "--report", "false") == 0
    assert "colours   sequence of 7, 1 channel " in capsys.readouterr().out
    arguments = [
        "train",
        "arrays",
        "--root",
        "wine.npz",
        "--row",
        "colours",
        "--epochs",
        "1",
        *options,
        "--fresh",
    ]
    assert main(arguments) == 0
    assert (wine / "runs" / "arrays-wine" / "colours" / "seed-0" / "best.ckpt").is_file()
    assert main(["data", "check", "arrays", "--root", "wine.npz"]) == 2
    assert "has no array 'label'" in capsys.readouterr().err


def test_check(wine: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["data", "check", "arrays", "--root", str(wine / "wine.npz")]) == 0
    words = " ".join(capsys.readouterr().out.split())
    assert "colours vector of 7" in words
    assert "expected" not in words
    assert "All there." in words


def test_check_reads_with_the_options_of_the_command_and_of_a_recipe(
    wine: Path, capsys: pytest.CaptureFixture[str]
):
    with np.load("wine.npz") as file:
        arrays = dict(file)
    np.savez("wine.npz", acids=arrays["acids"], colours=arrays["colours"], y=arrays["label"])
    recipe = wine / "mine.yaml"
    row = "{method: unimodal, arguments: {modality: colours}}"
    recipe.write_text(
        f"data: arrays\ndata_options: {{label: y, kinds: {{colours: sequence}}}}\ncomparison: {{colours: {row}}}\n",
        encoding="utf-8",
    )
    for given in (["arrays", "--data_options.label", "y"], [str(recipe), "--data_options.kinds", "{}"]):
        assert main(["data", "check", *given, "--root", "wine.npz"]) == 0
        assert "colours vector of 7 " in " ".join(capsys.readouterr().out.split())
    assert main(["data", "check", str(recipe), "--root", "wine.npz"]) == 0
    assert "colours sequence of 7, 1 channel " in " ".join(capsys.readouterr().out.split())
    assert main(["data", "check", "arrays", "--data_options.lebal", "y", "--root", "wine.npz"]) == 2
    assert "`data_options` has unknown keys ['lebal']; 'arrays' knows [" in capsys.readouterr().err


def test_a_modality_called_as_a_row_and_no_file(wine: Path, capsys: pytest.CaptureFixture[str]):
    np.savez("wine.npz", mask=np.zeros((9, 2)), other=np.zeros((9, 2)), label=np.arange(9) % 3)
    assert compare() == 2
    words = " ".join(capsys.readouterr().err.split())
    assert (
        "The data has the modalities ['mask'], and recipe 'arrays' has rows of these names; rename either."
        in words
    )
    np.savez("wine.npz", stages=np.zeros((9, 2)), other=np.zeros((9, 2)), label=np.arange(9) % 3)
    assert compare() == 2
    words = " ".join(capsys.readouterr().err.split())
    assert (
        "No row can be called 'stages', the name of the folder of what rows begin with; rename it," in words
    )
    assert main(["compare", "arrays"]) == 2
    assert "Name your file with --root: an .npz archive" in " ".join(capsys.readouterr().err.split())
    assert not (wine / "runs").exists()
