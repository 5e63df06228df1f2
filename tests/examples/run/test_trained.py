"""A run that was trained before: the same network, the same data, the same score."""

import json
import shutil
from pathlib import Path

import pytest
import torch

from examples.data.place import Place
from examples.errors import UserError
from examples.run.folder import RunFolder
from examples.run.task import metric_of
from examples.run.trained import load_trained


def test_the_network_scores_what_the_run_says(spoken_runs: Path, spoken_root: Path):
    trained = load_trained(RunFolder(spoken_runs / "mask"), Place(spoken_root))
    assert (trained.row, trained.seed, trained.data.name) == ("mask", 0, "av-digits")
    assert not trained.model.training
    assert trained.result is not None
    assert trained.epochs == trained.result.epochs
    batch = trained.data.test.everything()
    with torch.no_grad():
        score = metric_of(trained.data)(trained.model(batch.inputs).prediction, batch.target)
    assert 100 * float(score) == pytest.approx(trained.result.score)
    assert trained.model.mask is not None
    kept = {
        name: 100 * float(part.float().mean())
        for name, part in zip(("image", "sound"), trained.model.mask.kept.split(6), strict=True)
    }
    assert kept == pytest.approx(trained.result.kept)


def test_cut_short(spoken_runs: Path, spoken_root: Path, tmp_path: Path):
    folder = shutil.copytree(spoken_runs / "mask", tmp_path / "run")
    (folder / "run.json").unlink()
    trained = load_trained(RunFolder(folder), Place(spoken_root))
    assert trained.result is None
    assert len(trained.epochs) == 2
    assert set(trained.epochs[0].complementary) == {"image", "sound"}
    last = torch.load(folder / "last.ckpt", weights_only=True)["state_dict"]
    assert torch.equal(trained.model.mask.weight, last["model.fusion.weight"])


def test_no_checkpoint(spoken_runs: Path, spoken_root: Path, tmp_path: Path):
    folder = shutil.copytree(spoken_runs / "mask", tmp_path / "run")
    (folder / "best.ckpt").unlink()
    with pytest.raises(UserError, match=r"No checkpoint at '.*best.ckpt'. `train` keeps it"):
        load_trained(RunFolder(folder), Place(spoken_root))


def test_no_run(tmp_path: Path):
    with pytest.raises(UserError, match="No run at"):
        load_trained(RunFolder(tmp_path), Place())


def test_another_version(spoken_runs: Path, spoken_root: Path, tmp_path: Path):
    folder = shutil.copytree(spoken_runs / "mask", tmp_path / "run")
    plan = json.loads((folder / "plan.json").read_text())
    del plan["patience"]
    (folder / "plan.json").write_text(json.dumps(plan))
    with pytest.raises(UserError, match=r"trained by another version; its plan lacks \['patience'\]"):
        load_trained(RunFolder(folder), Place(spoken_root))


def test_weights_of_another_version(spoken_runs: Path, spoken_root: Path, tmp_path: Path):
    folder = shutil.copytree(spoken_runs / "mask", tmp_path / "run")
    checkpoint = torch.load(folder / "best.ckpt", weights_only=True)
    name = "model.fusion.weight"
    checkpoint["state_dict"][name] = checkpoint["state_dict"][name][1:]
    torch.save(checkpoint, folder / "best.ckpt")
    with pytest.raises(UserError, match=r"best.ckpt' was trained by another version; .* fusion.weight"):
        load_trained(RunFolder(folder), Place(spoken_root))
