"""Transfer: what is carried is bit-equal, the rest is fresh; what does not fit is named; classes not shared do not count; resume."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from examples.__main__ import main
from examples.data.contract import UNSCORED, MultimodalData, split_and_standardise
from examples.data.splits import Split
from examples.errors import UserError
from examples.methods import create
from examples.nets.model import FusionModel, build_model
from examples.recipes import Network, Recipe, Row
from examples.results import Results, Run
from examples.run.folder import RunFolder
from examples.run.start import PARTS, Start
from examples.run.task import FusionTask
from examples.run.training import train
from examples.transfer.findings import gains, sentences
from examples.transfer.plan import find_sources

SMALL = Network(width=8, residual_width=4, residual_blocks=1, latent=6, codes=5, head_width=4, head_hidden=8)
MASK = Row("complementary_mask", arguments={"mask_weight": 1e-3, "init": 0.0015, "threshold": 0.0005})
ROWS = {"mask": MASK, "plain": Row("concatenation", quantise=False)}
UTD = """
data: utd-mhad
seeds: 2
epochs: 1
batch_size: 9
data_options: {modalities: [skeleton, inertial], training: [3]}
network: {width: 4, residual_width: 2, residual_blocks: 0, latent: 3, head_width: 4, head_hidden: 8}
comparison:
  concatenation: {method: concatenation, quantise: false}
  mask: {method: complementary_mask, quantise: false, arguments: {init: 0.0015, threshold: 0.001}}
"""


def recipe(**settings: object) -> Recipe:
    values = {"epochs": 2, "batch_size": 8, "network": SMALL, **settings}
    return Recipe(data="toy", comparison=ROWS, **values)


def toy(seed: int = 0, classes: tuple[str, ...] = ("a", "b", "c"), names: str = "vi") -> MultimodalData:
    random, samples = torch.Generator().manual_seed(seed), 48
    target = torch.arange(samples) % len(classes)
    image = torch.randn(samples, 1, 8, 8, generator=random) + target[:, None, None, None]
    vector = torch.randn(samples, 5, generator=random) + target[:, None]
    order = np.arange(samples)
    return split_and_standardise(
        "toy",
        {name: {"v": vector, "i": image, "w": vector}[name] for name in names},
        target,
        kinds={name: "image" if name == "i" else "vector" for name in names},
        classes=classes,
        split=Split(order[:24], order[:0], order[24:]),
    )


def finished(
    path: Path, row: str = "mask", data: MultimodalData | None = None, **settings: object
) -> RunFolder:
    folder, asked = RunFolder(path), recipe(**settings).of_row(row)
    folder.claim(row, 0, asked)
    folder.finish(train(row, asked, data or toy(), seed=0, folder=folder), keep=True)
    return folder


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    return finished(tmp_path_factory.mktemp("source"))


def weights(folder: RunFolder) -> dict[str, torch.Tensor]:
    state = torch.load(folder.last, weights_only=True)["state_dict"]
    return {name.removeprefix("model."): value for name, value in state.items() if name.startswith("model.")}


def first_weights(tmp_path: Path, initialise: Callable[[FusionModel], None]) -> dict[str, torch.Tensor]:
    """What the network of a new run, on other data, holds before its first step."""
    seen: dict[str, torch.Tensor] = {}

    def note(model: FusionModel) -> None:
        initialise(model)
        seen.update({name: value.clone() for name, value in model.state_dict().items()})

    settings = recipe(epochs=1).of_row("mask")
    train("mask", settings, toy(seed=1), seed=3, folder=RunFolder(tmp_path), initialise=note)
    return seen


@pytest.mark.parametrize("parts", [PARTS[:3], PARTS, ("mask",), ("head",)])
def test_carried_weights_are_equal_and_others_fresh(
    tmp_path: Path, source: RunFolder, parts: tuple[str, ...]
):
    there, fresh = weights(source), first_weights(tmp_path / "fresh", lambda _: None)
    here = first_weights(tmp_path / "carried", Start(source, parts).initialise)
    prefixes = tuple("fusion." if part == "mask" else f"{part}." for part in parts)
    carried = [name for name in here if name.startswith(prefixes)]
    assert len({name.split(".")[0] for name in carried}) == len(parts)
    for name, value in here.items():
        assert torch.equal(value, (there if name in carried else fresh)[name]), name
    moved = [name for name in carried if not torch.equal(there[name], fresh[name])]
    assert {name.split(".")[0] for name in moved} == {name.split(".")[0] for name in carried}


def test_modalities_that_the_source_lacks_start_fresh(source: RunFolder):
    model = build_model(toy(names="vw"), SMALL, quantise=True)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    Start(source, PARTS[:3]).initialise(model)
    there = weights(source)
    for name, value in model.state_dict().items():
        carried = name.split(".")[0] in PARTS[:3] and name.split(".")[1] == "v"
        assert torch.equal(value, (there if carried else before)[name]), name


@pytest.mark.parametrize(
    ("parts", "network", "message"),
    [
        (
            ("encoders",),
            replace(SMALL, width=4),
            r"'encoders\.v' of '.*' does not fit: `.*weight` is \(8, .*\) there and \(4, ",
        ),
        (
            ("quantizers",),
            replace(SMALL, codes=7),
            r"'quantizers\.v'.*`codebook` is \(5, 6\) there and \(7, 6\) here",
        ),
        (
            ("decoders",),
            replace(SMALL, residual_blocks=0),
            r"'decoders\.v'.*is \(.*\) there and missing here.*--carry without 'decoders'",
        ),
        (("head",), replace(SMALL, head_hidden=4), r"'head' of.*\(8, .*\) there and \(4, .*\) here"),
        (("mask",), replace(SMALL, latent=3), r"'mask' of.*`weight` is \(12,\) there and \(6,\) here"),
    ],
)
def test_what_does_not_fit_is_named(
    source: RunFolder, parts: tuple[str, ...], network: Network, message: str
):
    model = build_model(toy(), network, quantise=True)
    method = create(MASK.method, MASK.arguments)
    method.configure(model)
    with pytest.raises(UserError, match=message):
        Start(source, parts).initialise(model)


def test_a_source_without_that_part(tmp_path: Path):
    plain = finished(tmp_path, "plain")
    with pytest.raises(
        UserError, match=r"`carry` has 'quantizers', and '.*' has none for any of \['quantizers\.v'"
    ):
        Start(plain, ("encoders", "quantizers")).initialise(build_model(toy(), SMALL, quantise=True))
    Start(plain, PARTS[:3]).initialise(build_model(toy(), SMALL, quantise=False))  # nothing to carry them to
    with pytest.raises(UserError, match=r"`parts` has unknown names \['tail'\]"):
        Start(plain, ("tail",))


def test_sources_that_will_not_do(tmp_path: Path):
    folder = RunFolder(tmp_path / "begun")
    folder.claim("mask", 0, recipe().of_row("mask"))
    with pytest.raises(UserError, match="must be finished"):
        Start(folder, ("head",)).record()
    with pytest.raises(UserError, match="No run at"):
        Start(RunFolder(tmp_path / "none"), ("head",)).record()
    with pytest.raises(
        UserError, match=r"must be the folder of a run, or of a comparison with runs of row 'gate'"
    ):
        find_sources(tmp_path, "gate")
    done = finished(tmp_path / "done")
    checkpoint = torch.load(done.last, weights_only=True)
    torch.save({key: value for key, value in checkpoint.items() if key != "classes"}, done.last)
    with pytest.raises(UserError, match="earlier version"):
        Start(done).record()
    done.last.unlink()
    with pytest.raises(UserError, match="No checkpoint"):
        Start(done).record()


def test_classes_that_the_source_lacks_do_not_count(tmp_path: Path, source: RunFolder):
    target = Start(source).scored(toy(classes=("c", "x", "a", "y")))
    for part in (target.train, target.test):
        assert part.target.tolist() == [
            number if number in (0, 2) else UNSCORED for number in [0, 1, 2, 3] * 6
        ]
    assert target.classes == ("c", "x", "a", "y")
    with pytest.raises(UserError, match=r"`classes` .* must hold some of those of 'toy': \['x'\]"):
        Start(source).scored(toy(classes=("x",)))
    settings = recipe(epochs=1).of_row("mask")
    run = train("mask", settings, target, seed=0, folder=RunFolder(tmp_path / "some"))
    network = build_model(target, SMALL, quantise=True)
    method = create(MASK.method, MASK.arguments)
    method.configure(network)
    network.load_state_dict(weights(RunFolder(tmp_path / "some")))
    everything = target.test.everything()
    counts = everything.target != UNSCORED
    with torch.no_grad():
        guessed = network.eval()(everything.inputs).prediction.argmax(dim=1)
    assert counts.sum() == 12
    assert run.score == pytest.approx(100 * (guessed == everything.target)[counts].double().mean().item())


class Cut(Exception):  # noqa: N818 - not an error of the code under test
    """The lights go out."""


def test_goes_on_where_it_was_cut_and_carries_only_once(
    tmp_path: Path, source: RunFolder, monkeypatch: pytest.MonkeyPatch
):
    start, settings = Start(source, PARTS[:3]), recipe(epochs=3).of_row("mask")

    def run(name: str) -> Run:
        folder = RunFolder(tmp_path / name)
        return train("mask", settings, toy(seed=1), seed=2, folder=folder, initialise=start.initialise)

    whole = run("whole")
    with monkeypatch.context() as patch:
        before = FusionTask.training_step

        def lights_out(task: FusionTask, *batch: object) -> torch.Tensor:
            if task.global_step == 4:
                raise Cut
            return before(task, *batch)

        patch.setattr(FusionTask, "training_step", lights_out)
        with pytest.raises(Cut):
            run("cut")
    assert replace(run("cut"), seconds=0.0, processor_seconds=0.0) == replace(
        whole, seconds=0.0, processor_seconds=0.0
    )


def test_another_source_is_refused(tmp_path: Path, source: RunFolder):
    other = finished(tmp_path / "other", learning_rate=0.01)
    folder, settings = RunFolder(tmp_path / "target"), recipe().of_row("mask")
    folder.claim("mask", 0, settings, start=Start(source, ("encoders",)).record())
    folder.claim("mask", 0, settings, start=Start(source, ("encoders",)).record())
    for start in (Start(other, ("encoders",)), Start(source, ("encoders", "head")), Start(source)):
        with pytest.raises(UserError, match=r"other settings \(start\)"):
            folder.claim("mask", 0, settings, start=start.record())
    with pytest.raises(UserError, match=r"other settings \(start\)"):
        folder.claim("mask", 0, settings)


@pytest.fixture
def utd(tmp_path: Path, utd_arrays: dict[str, np.ndarray]) -> Path:
    arrays = {name: np.concatenate([values, values]) for name, values in utd_arrays.items()}
    arrays["subject"] = np.repeat(np.array([1, 3, 5, 2], dtype="uint8"), 27)
    np.savez(tmp_path / "utd_mhad.npz", **arrays)
    (tmp_path / "few.yaml").write_text(UTD)
    return tmp_path


def test_the_command(utd: Path, capsys: pytest.CaptureFixture[str]):
    place = ["--root", str(utd), "--workers", "1"]
    study, output = str(utd / "few.yaml"), ["--output", str(utd / "target")]
    sources = ["compare", study, *place, "--data_options.training", "[1]", "--seeds", "1", "--keep"]
    assert main([*sources, "--output", str(utd / "source")]) == 0
    asked = ["transfer", str(utd / "source"), study, *place, "--scratch", "mask", *output]
    assert main(asked) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "Carried: encoders, quantizers, decoders." in said
    assert "points against mask from scratch." in said
    results = Results.read(utd / "target" / "results.json")
    assert list(results.rows()) == ["concatenation-carried", "mask", "mask-carried"]
    assert results.samples["train"] == 27
    transfer = results.recipe["transfer"]
    assert transfer["sources"] == {
        "concatenation-carried": {"row": "concatenation", "seeds": [0]},
        "mask-carried": {"row": "mask", "seeds": [0]},
    }
    assert transfer["source_recipe"]["data_options"]["training"] == [1]
    plan = json.loads((utd / "target" / "mask-carried" / "seed-1" / "plan.json").read_text())
    assert (plan["start"]["row"], plan["start"]["seed"]) == ("mask", 0)
    assert list(gains(results)) == [("concatenation-carried", "mask"), ("mask-carried", "mask")]
    assert any(sentence.startswith("Best of the carried: ") for sentence in sentences(results))
    assert main(asked) == 0
    assert "6 of 6 runs are finished already" in capsys.readouterr().out
    assert main([*asked, "--carry", "encoders", "mask"]) == 2
    assert "other settings (start)" in " ".join(capsys.readouterr().err.split())
    assert main([*asked, "--network.width", "6", "--fresh"]) == 2
    assert "'encoders.skeleton' of" in " ".join(capsys.readouterr().err.split())


SHIPPED = Path(__file__).parents[3] / "examples" / "results"


@pytest.mark.parametrize("path", sorted(SHIPPED.glob("transfer-*.json")), ids=lambda path: path.stem)
def test_results_that_ship(path: Path):
    results = Results.read(path)
    assert "--root PATH" in results.command
    assert not results.failures
    assert all(len(runs) >= 3 for runs in results.rows().values())
    assert ("mask-carried", "mask") in gains(results)
    assert results.recipe["transfer"]["source_recipe"]["data"] == results.data


def test_training_subjects(utd: Path):
    from examples.data import load
    from examples.data.place import Place

    def subjects(**options: object) -> list[int]:
        data = load("utd-mhad", Place(utd), seed=0, options={"modalities": ["inertial"], **options})
        return sorted(set(data.train.labels["subject"].tolist()))

    assert subjects() == [1, 3, 5]
    assert subjects(training=[3]) == [3]
    assert subjects(training=[3], validation=[1]) == [3]
    with pytest.raises(UserError, match=r"`training` \(=\[1\]\) must be some of \[3, 5\]"):
        subjects(training=[1], validation=[1])
