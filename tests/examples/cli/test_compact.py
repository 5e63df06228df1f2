"""The command that makes the network of a run smaller."""

from functools import partial
from pathlib import Path

import pytest
import torch

from examples.__main__ import main
from examples.run.clock import milliseconds
from tests.support.helpers import whole_network

RECIPE = """
data: mfeat
epochs: 1
batch_size: 200
network: {width: 4, residual_width: 2, residual_blocks: 0, latent: 4, head_width: 4, head_residual_width: 2, head_hidden: 8}
comparison:
  concatenation: {method: concatenation, quantise: false}
  mask: {method: complementary_mask, quantise: false, arguments: {init: 0.0015, threshold: 0.001}}
"""


@pytest.mark.unchecked  # the exporter cannot trace checks of shapes
def test_a_smaller_network_of_a_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(RECIPE, encoding="utf-8")
    runs = {}
    for row in ("mask", "concatenation"):
        runs[row] = tmp_path / row
        command = ["train", str(recipe), "--row", row, "--output", str(runs[row])]
        assert main(command) == 0
    capsys.readouterr()
    assert main(["compact", str(runs["mask"]), "--output", str(tmp_path / "small")]) == 0
    told = capsys.readouterr().out
    assert "multiply-adds" in told
    assert "One call of 8 samples: " in told
    assert "ms, medians of 20 on this machine." in (tmp_path / "small" / "small.txt").read_text(
        encoding="utf-8"
    )
    small = whole_network(tmp_path / "small" / "small.pt")
    assert small.report.total.parameters[1] < small.report.total.parameters[0]
    assert main(["compact", str(runs["concatenation"])]) == 2
    assert "must be a run with a mask" in capsys.readouterr().err.replace("\n", " ")
    assert main(["compact", str(runs["mask"]), "--batch", "1"]) == 2
    assert "`batch` (=1) must be at least 2." in capsys.readouterr().err
    assert main(["compact", str(runs["mask"]), "--batch", "9999"]) == 2
    words = " ".join(capsys.readouterr().err.split())
    assert "`batch` (=9999) must be at most 1700, the samples of the test part." in words


def test_the_clock_counts_every_network() -> None:
    times = milliseconds([partial(torch.nn.Linear(64, 64), torch.ones(64, 64))] * 3, calls=2)
    assert len(times) == 3
    assert min(times) > 0
