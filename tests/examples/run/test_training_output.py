"""One run: what it logs, writes and prints."""

import csv
import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from examples.__main__ import main
from examples.run.folder import RunFolder
from examples.run.training import train
from tests.examples.run.toy_runs import recipe, toy


def test_logs(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    folder = RunFolder(tmp_path)
    run = train("mask", recipe(), toy(), seed=0, folder=folder, loggers=("csv", "tensorboard"))
    with (tmp_path / "csv" / "version_0" / "metrics.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["loss/task"]]
    assert [float(row["loss/task"]) for row in rows] == pytest.approx(
        [epoch.loss["task"] for epoch in run.epochs]
    )
    wanted = {
        "loss/total",
        "loss/reconstruction",
        "loss/code",
        "loss/mask",
        "perplexity/v",
        "compl/i",
        "zeta",
    }
    assert wanted | {"validation/loss", "validation/score"} <= set(rows[0])
    events = EventAccumulator(str(tmp_path / "tensorboard" / "version_0"))
    events.Reload()
    assert wanted | {"validation/loss"} <= set(events.Tags()["scalars"])
    assert [event.value for event in events.Scalars("loss/task")] == pytest.approx(
        [epoch.loss["task"] for epoch in run.epochs]
    )
    assert capsys.readouterr().out == ""


def test_the_split_is_written_by_name(tmp_path: Path):
    data = replace(toy(), names=tuple(f"clip{number}" for number in range(48)))
    train("concatenation", recipe(epochs=1), data, seed=0, folder=RunFolder(tmp_path))
    written = json.loads((tmp_path / "split.json").read_text())
    assert {part: len(names) for part, names in written.items()} == {
        "train": 24,
        "validation": 12,
        "test": 12,
    }
    assert written["test"][0] == "clip36"


def test_train_from_the_command_line(recipe_file: Path, mfeat_root: Path, tmp_path: Path, capsys):
    arguments = [
        "train",
        str(recipe_file),
        "--root",
        str(mfeat_root),
        "--output",
        str(tmp_path / "run"),
    ]
    assert main([*arguments, "--row", "mask"]) == 0
    text = capsys.readouterr().out
    assert re.search(
        r"epoch 1/2: loss .* \(task .*, reconstruction .*, code .*\); perplexity pix .*; compl pix", text
    )
    assert re.search(
        r"mask, seed 0: accuracy .* % on the test part with the weights of epoch 2", " ".join(text.split())
    )
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == [
        "csv",
        "last.ckpt",
        "plan.json",
        "run.json",
    ]
    assert main([*arguments, "--row", "masks"]) == 2
    assert "`rows` has unknown names ['masks']" in capsys.readouterr().err
    assert main([*arguments, "--devices", "0"]) == 2
    assert "`devices` (=0) must be above 0" in capsys.readouterr().err
    if not torch.cuda.is_available():
        assert main([*arguments, "--accelerator", "cuda", "--fresh"]) == 2
        assert "`accelerator` (='cuda')" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="2"):
        main([*arguments, "--log", "[cvs]"])
