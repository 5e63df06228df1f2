"""Sizes of the networks of a comparison: what is open, what is left of it, what is timed, and the command."""

import io
from contextlib import redirect_stdout
from pathlib import Path

import pytest
import torch

from examples.__main__ import main
from examples.data.place import Place
from examples.results import Results, interval
from examples.run.folder import RunFolder
from examples.run.trained import Trained, load_trained
from examples.trade.figure import Case, draw
from examples.trade.measure import measure, open_channels
from examples.trade.records import TradeResults

RECIPE = """
data: mfeat
epochs: 2
seeds: 2
batch_size: 200
alone: [pix]
network: {width: 4, residual_width: 2, residual_blocks: 0, latent: 4, head_width: 4, head_residual_width: 2, head_hidden: 8}
comparison:
  narrow: {method: concatenation, quantise: false, settings: {network.latent: 1}}
  concatenation: {method: concatenation, quantise: false}
  random: {method: pruned, quantise: false, arguments: {by: random, share: 0.25}}
"""

pytestmark = pytest.mark.unchecked  # the exporter cannot trace checks of shapes


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny comparison whose checkpoints were kept."""
    folder = tmp_path_factory.mktemp("trade")
    recipe = folder / "recipe.yaml"
    recipe.write_text(RECIPE, encoding="utf-8")
    command = ["compare", str(recipe), "--keep", "--workers", "1", "--output", str(folder / "runs")]
    assert main(command) == 0
    return folder / "runs"


@pytest.fixture(scope="module")
def sizes(folder: Path) -> tuple[TradeResults, str]:
    """What the command writes and prints about it."""
    output = folder / "small"
    said = io.StringIO()
    with redirect_stdout(said):
        assert main(["trade", str(folder), "--batch", "4", "--calls", "2", "--output", str(output)]) == 0
    return TradeResults.read(output / "trade.json"), said.getvalue()


def trained(folder: Path, row: str) -> Trained:
    return load_trained(RunFolder(folder / row / "seed-0"), Place())


def test_the_command_writes_a_line_for_each_run(folder: Path, sizes: tuple[TradeResults, str]) -> None:
    found, said = sizes
    assert "random, seed 1" in said
    runs = {(run.row, run.seed): run for run in Results.read(folder / "results.json").runs}
    assert [(size.row, size.seed) for size in found.sizes] == list(runs)
    assert all(size.channels == {"pix": 4} for size in found.row("pix"))
    assert (found.batch, found.calls, found.data) == (4, 2, "mfeat")
    full, narrow, pruned = (found.row(name) for name in ("concatenation", "narrow", "random"))
    assert [size.seed for size in pruned] == [0, 1]
    assert all(size.kept == 24 and size.unread == [] for size in full)
    assert all(size.kept == 6 and set(size.channels.values()) == {1} for size in narrow)
    assert all(size.kept == 6 for size in pruned)
    assert {size.parameters for size in full} == {full[0].parameters}
    assert full[0].parameters <= runs["concatenation", 0].parameters, "batch norm is part of its layer now"
    for size in (*narrow, *pruned):
        assert size.parameters < full[0].parameters
        assert 0 < size.multiply_adds < full[0].multiply_adds
    assert all(size.milliseconds > 0 for size in found.sizes)
    assert len({size.milliseconds for size in full}) == 1, "networks of one shape are timed once"
    for size in pruned:
        shares = {name: 100 * count / 4 for name, count in size.channels.items()}
        assert shares == runs["random", size.seed].kept


def test_a_modality_that_is_closed_is_not_needed(folder: Path) -> None:
    threads = torch.get_num_threads()
    one = trained(folder, "random")
    with torch.no_grad():
        one.model.mask.weight.fill_(0.0)
        one.model.mask.weight[:5] = 1.0
    names = list(one.data.modalities)
    assert open_channels(one) == {**dict.fromkeys(names, 0), names[0]: 4, names[1]: 1}
    (size,) = measure([one], batch=2, calls=1)
    assert size.unread == names[2:]
    assert torch.get_num_threads() == threads


def test_multiply_adds_are_of_one_sample(folder: Path) -> None:
    found = [measure([trained(folder, "concatenation")], batch=batch, calls=1)[0] for batch in (2, 8)]
    assert found[0].multiply_adds == found[1].multiply_adds


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--batch", "1"], "`batch` (=1) must be at least 2."),
        (["--calls", "0"], "`calls` (=0) must be at least 1."),
        (["--batch", "9999"], "`batch` (=9999) must be at most 1700, the samples of the test part."),
    ],
)
def test_wrong_arguments(
    folder: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert main(["trade", str(folder), *arguments]) == 2
    assert message in " ".join(capsys.readouterr().err.split())


def test_no_comparison(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["trade", str(tmp_path)]) == 2
    assert "No results at" in capsys.readouterr().err


def test_the_figure_has_every_row_where_it_belongs(folder: Path, sizes: tuple[TradeResults, str]) -> None:
    case = Case(Results.read(folder / "results.json"), sizes[0])
    assert case.full() == "concatenation"
    assert [case.kept(row) for row in ("concatenation", "narrow", "random", "pix")] == [100, 25, 25, 400 / 24]
    pix, narrow, full = (case.sizes.row(row)[0].multiply_adds for row in ("pix", "narrow", case.full()))
    assert pix < narrow < full
    assert case.unread("narrow") == [0, 0]
    drawn = draw({"mfeat": case}, {"pruned": ["nowhere", "random"], "from scratch": ["narrow"]})
    channels, time = drawn.axes
    assert (channels.get_title(), time.get_xlabel()) == ("mfeat", "time of the whole network, %")
    lines = {line.get_label(): line for line in channels.get_lines()}
    points = channels.containers[0].lines[0]
    assert list(points.get_xdata()) == pytest.approx([100, 25], rel=0.05)
    means = [
        interval([run.score for run in case.results.rows()[row]]).mean for row in ("concatenation", "random")
    ]
    assert list(points.get_ydata()) == means
    assert "the full network" in lines
    words = [text.get_text() for text in drawn.legends[0].get_texts()]
    assert set(words) == {"pruned", "from scratch", "the full network", "one modality alone"}
