"""The command that probes runs: its table, its file, what it refuses, and the results that ship."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from examples.__main__ import main
from examples.cli.probe import shared_recipe
from examples.errors import UserError
from examples.probes.records import Probe, ProbeResults
from examples.probes.table import findings, lead, lines, show
from examples.results.origin import origin

TWO_RUNS = """
data: utd-mhad
epochs: 1
batch_size: 9
data_options: {modalities: [skeleton, inertial]}
network: {width: 4, residual_width: 2, residual_blocks: 0, latent: 3, head_width: 4, head_hidden: 8}
comparison:
  concatenation: {method: concatenation, quantise: false}
  mask: {method: complementary_mask, quantise: false, arguments: {init: 0.0015, threshold: 0.001}}
"""


def probe_of(channels: str, seed: int, matched: float | None, row: str = "mask") -> Probe:
    return Probe(
        row, seed, "speaker", "all", channels, 4, matched, None, None, 50.0, matched, matched, 4, 10, 10, 2
    )


def test_sentences_count_runs_with_both_parts():
    probes = [
        *(probe_of("complementary", seed, 60.0) for seed in (0, 1, 2)),
        *(probe_of("contradictory", seed, value) for seed, value in ((0, 70.0), (1, 72.0), (2, None))),
        probe_of("complementary", 0, 60.0, "open"),
        probe_of("contradictory", 0, None, "open"),
    ]
    assert lead(probes[:6], "matched").mean == pytest.approx(11)
    results = ProbeResults("toy", "test", False, {}, {}, probes, **origin("typed", 1.0, "a machine"))
    told = findings(results)
    assert "+11.0 ± 12.7 points, 2 runs" in told[0]
    assert "empty in every run" in told[1]
    cells = lines(results, "speaker")
    assert cells[1] == (
        "all",
        "mask",
        "contr",
        "4.0",
        "71.0 ± 12.7 (2 of 3)",
        "71.0 ± 12.7 (2 of 3)",
        "71.0 (2 of 3)",
    )
    assert cells[3][4] == "no channels"
    text = io.StringIO()
    show(results, Console(file=text, width=120))
    assert "speaker: 2 values, chance 50.0 %" in text.getvalue()


def test_the_command(tmp_path: Path, utd_arrays: dict[str, np.ndarray], capsys: pytest.CaptureFixture[str]):
    arrays = {name: np.concatenate([values, values]) for name, values in utd_arrays.items()}
    arrays["subject"] = np.repeat(np.array([1, 2, 4, 6], dtype="uint8"), 27)
    np.savez(tmp_path / "utd_mhad.npz", **arrays)
    recipe = tmp_path / "two.yaml"
    recipe.write_text(TWO_RUNS)
    place = ["--root", str(tmp_path)]
    for row in ("concatenation", "mask"):
        assert main(["train", str(recipe), "--row", row, *place, "--output", str(tmp_path / row)]) == 0
    runs = [str(tmp_path / row) for row in ("concatenation", "mask")]
    wanted = ["--folds", "3", "--draws", "1", "--labels", "subject"]
    output = tmp_path / "probes.json"
    assert main(["probe", *runs, *place, *wanted, "--output", str(output)]) == 0
    assert "subject: 3 values" in capsys.readouterr().out
    results = ProbeResults.read(output)
    assert (results.part, results.learned, results.settings["folds"]) == ("test", False, 3)
    assert results.versions["scikit-learn"]
    assert {probe.row for probe in results.probes} == {"concatenation", "mask"}
    own = json.loads((tmp_path / "mask" / "probes.json").read_text())
    assert {"label", "channels", "accuracy", "low", "high", "chance", "control"} <= set(own[0])
    assert [Probe(**entry) for entry in own] == [probe for probe in results.probes if probe.row == "mask"]
    assert main(["probe", *runs, *place, *wanted, "--part", "train"]) == 2
    assert "one value of 'subject' only" in " ".join(capsys.readouterr().err.split())


def test_runs_of_one_recipe_only():
    plan = {"data": "toy", "epochs": 3, "row": "mask", "seed": 0, "versions": {}, "tune": {}}
    plan |= {"method": "m", "quantise": True, "arguments": {"init": 0.1}, "settings": {}}
    open_row = {**plan, "row": "open", "method": "n"}
    recipe = shared_recipe([plan, {**plan, "seed": 1}, open_row])
    rows = {
        row: {"method": method, "quantise": True, "arguments": {"init": 0.1}, "settings": {}}
        for row, method in (("mask", "m"), ("open", "n"))
    }
    assert recipe == {"data": "toy", "epochs": 3, "comparison": rows}
    with pytest.raises(UserError, match=r"differ in row and seed only, and do in \['data', 'epochs'\]"):
        shared_recipe([plan, {**open_row, "data": "other", "epochs": 4}])
    with pytest.raises(UserError, match=r"do in \['mask.arguments'\]"):
        shared_recipe([plan, open_row, {**plan, "arguments": {}}])


SHIPPED = Path(__file__).parents[3] / "examples" / "results"


@pytest.mark.parametrize("path", sorted(SHIPPED.glob("probes-*.json")), ids=lambda path: path.stem)
def test_results_that_ship(path: Path):
    results = ProbeResults.read(path)
    assert "--root PATH" in results.command
    for row in results.recipe["comparison"]:
        assert len({probe.seed for probe in results.probes if probe.row == row}) >= 3
    for probe in results.probes:
        assert (probe.accuracy is None) == (probe.count == 0)
        assert probe.low is None or probe.low <= probe.accuracy <= probe.high


def test_the_command_wants_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["probe", str(tmp_path / "none")]) == 2
    assert "No run at" in capsys.readouterr().err
