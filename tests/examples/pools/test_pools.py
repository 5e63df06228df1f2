"""Trained runs pooled again: each way is what its name says, and the command writes all of them."""

from pathlib import Path

import numpy as np
import pytest
import torch

from examples.__main__ import main
from examples.data.place import Place
from examples.nets.model import JOINT, TOGETHER
from examples.pools import ways
from examples.pools.experiment import pool_again
from examples.pools.records import Pooled, PoolResults
from examples.results import Results
from examples.run.folder import RunFolder
from examples.run.trained import Trained, load_trained
from maskfusion import LogarithmicPool

RECIPE = """
data: arrays
epochs: 8
seeds: 2
batch_size: 20
learning_rate: 0.02
select: validation
network: {width: 16, residual_blocks: 0, latent: 8, head_width: 8, head_residual_width: 4, head_hidden: 32, dropout: 0.0}
comparison:
  ours: {method: alone_joined_pooled, quantise: false, arguments: {together: true}}
  apart: {method: alone_joined_pooled, quantise: false}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny comparison of arrays, whose checkpoints were kept."""
    folder = tmp_path_factory.mktemp("pools")
    random = np.random.default_rng(0)
    label = np.arange(300) % 3
    modalities = {
        name: (strength * np.eye(3)[label] + random.normal(size=(300, 3))).astype(np.float32)
        for name, strength in (("a", 2.0), ("b", 1.0), ("c", 0.5))
    }
    np.savez(folder / "three.npz", label=label, **modalities)
    (folder / "recipe.yaml").write_text(RECIPE, encoding="utf-8")
    command = ["compare", str(folder / "recipe.yaml"), "--root", str(folder / "three.npz"), "--keep"]
    assert main([*command, "--workers", "1", "--report", "false", "--output", str(folder / "runs")]) == 0
    return folder


@pytest.fixture(scope="module")
def ours(folder: Path) -> tuple[Trained, Pooled]:
    trained = load_trained(RunFolder(folder / "runs" / "ours" / "seed-0"), Place(folder / "three.npz"))
    return trained, pool_again(trained)


def accuracy(scores: torch.Tensor, target: torch.Tensor) -> float:
    return 100 * float((scores.argmax(1) == target).double().mean())


def test_every_way_is_what_its_name_says(ours: tuple[Trained, Pooled]) -> None:
    trained, found = ours
    model, data = trained.model, trained.data
    parts = []
    for part in (data.validation, data.test):
        inputs, target = part.everything()
        output = model(inputs)
        parts.append(({JOINT: output.joint, **output.unimodal}, target))
    (validation, seen), (test, target) = parts
    every, alone = list(validation), ["a", "b", "c"]

    def pooled(heads: list[str], **settings: object) -> float:
        pool = LogarithmicPool(heads).fit({name: validation[name] for name in heads}, seen, **settings)
        return accuracy(pool({name: test[name] for name in heads}), target)

    single = {name: accuracy(scores, target) for name, scores in test.items()}
    best = max(every, key=lambda name: accuracy(validation[name], seen))
    inputs, _ = data.test.everything()
    without_a = model({**inputs, "a": torch.zeros_like(inputs["a"])}).unimodal[TOGETHER]
    oracle = LogarithmicPool(every).fit(test, target)
    wanted = {
        ways.AS_TRAINED: trained.result.score,
        ways.NOT_JOINED: pooled([*alone, TOGETHER]),
        ways.NOT_TOGETHER: pooled([JOINT, *alone]),
        ways.ALONE_ONLY: pooled(alone),
        ways.TOGETHER_ONLY: single[TOGETHER],
        ways.BEST: single[best],
        ways.EQUAL: accuracy(sum(scores.log_softmax(1) for scores in test.values()), target),
        ways.RIDGE_LOW: pooled(every, ridge=0.001),
        ways.RIDGE_HIGH: pooled(every, ridge=0.1),
        ways.OTHER_BALANCE: pooled(every, balanced=True),
        ways.ORACLE: accuracy(oracle(test), target),
        ways.missing("a"): pooled(["b", "c"]),
        ways.missing_together("a"): accuracy(without_a, target),
    }
    assert {name: found.scores[name] for name in wanted} == pytest.approx(wanted, abs=1e-3)
    others = {way(name) for way in (ways.missing, ways.missing_together) for name in ("b", "c")}
    assert set(found.scores) == set(wanted) | others
    assert len({round(value, 2) for value in found.scores.values()}) > 3, "the ways differ"


def test_the_command_writes_all_runs(folder: Path, ours: tuple[Trained, Pooled]) -> None:
    runs = [str(folder / "runs" / "ours" / f"seed-{seed}") for seed in (0, 1)]
    output = folder / "pools.json"
    assert main(["pools", *runs, "--root", str(folder / "three.npz"), "--output", str(output)]) == 0
    results = PoolResults.read(output)
    assert results.runs[0] == ours[1]
    assert [(run.row, run.seed) for run in results.runs] == [("ours", 0), ("ours", 1)]
    assert (results.data, results.metric, results.modalities) == ("arrays", "accuracy", ["a", "b", "c"])
    scores = {run.seed: run.score for run in Results.read(folder / "runs" / "results.json").rows()["ours"]}
    for run in results.runs:
        assert run.scores[ways.AS_TRAINED] == pytest.approx(scores[run.seed], abs=1e-3)


def test_a_run_without_that_network_is_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = folder / "runs" / "apart" / "seed-0"
    assert main(["pools", str(run), "--root", str(folder / "three.npz")]) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert (
        "(row 'apart') pools no network trained together: give runs of 'alone_joined_pooled' with `together: true`."
        in said
    )
