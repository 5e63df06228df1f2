"""The experiment on zeta: its plan and truth, a tiny grid end to end, the file and back, findings by hand, the pictures."""

import io
import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from rich.console import Console

from examples.__main__ import main
from examples.data.sets.synthetic import generate
from examples.errors import UserError
from examples.results.origin import origin
from examples.typed import build
from examples.zeta import findings
from examples.zeta.dials import DIALS
from examples.zeta.experiment import experiment, plan, truth_of
from examples.zeta.figure import FIGURES, draw, figure
from examples.zeta.records import Trial, Truth, Turned, ZetaResults
from examples.zeta.trial import Job, MaskedNetwork, Settings, fit, run

SHIPPED = Path(__file__).parents[3] / "examples" / "results"
TINY = Settings(
    seeds=2, weights=(0.0, 0.1), steps=8, batch_size=8, train=32, test=16, hidden=4, channels=4, init=0.052
)
OPTIONS = ["--seeds", "1", "--steps", "4", "--train", "16", "--test", "8", "--hidden", "4", "--workers", "1"]


def trial(value: float, seed: int, zeta: float | None, opened: list[int], shapley: list[float]) -> Trial:
    return Trial("copy", value, 0.001, seed, 0.9, zeta, [zeta] * 4, opened, shapley, [0.5, 0.5])


def results(*trials: Trial) -> ZetaResults:
    truth = [
        Truth(0.9, [0.9, 0.1], [0.8, 0.0]),
        Truth(0.9, [0.9, 0.5], [0.6, 0.3]),
        Truth(0.9, [0.9, 0.9], [0.4, 0.4]),
    ]
    turned = Turned("b copies", "share", [0.0, 0.5, 1.0], truth)
    return ZetaResults(["a", "b"], 4, {}, {"copy": turned}, list(trials), **origin("typed", 1.0, "a machine"))


GROWING = results(
    trial(0.0, 0, 0.0, [4, 0], [0.8, 0.0]),
    trial(0.0, 1, 0.25, [4, 1], [0.7, 0.1]),
    trial(0.5, 0, 0.5, [2, 4], [0.6, 0.2]),
    trial(0.5, 1, 0.5, [4, 2], [0.5, 0.3]),
    trial(1.0, 0, 1.0, [3, 3], [0.4, 0.2]),
    trial(1.0, 1, None, [0, 0], [0.0, 0.0]),
)


def test_plan_turns_one_dial_at_a_time():
    jobs = plan(Settings(seeds=2, first_seed=5, weights=(0.1, 0.2)), ["noise", "samples"])
    assert len(jobs) == (5 + 4) * 2 * 2
    assert {job.seed for job in jobs} == {5, 6}
    assert len({(job.dial, job.value, job.weight, job.seed) for job in jobs}) == len(jobs)
    assert (
        {job.dial for job in plan(Settings())}
        == set(DIALS)
        == {name for group in FIGURES.values() for name in group}
    )


def test_unknown_dial():
    with pytest.raises(
        UserError, match=r"`dials` has unknown names \['volume'\]; there are \['redundancy', "
    ):
        plan(Settings(), ["noise", "volume"])


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"seeds": 0}, r"`seeds` \(=0\) must be above 0"),
        ({"steps": 6}, r"`steps` \(=6\) must be a multiple of 4"),
        ({"steps": 0}, r"`steps` \(=0\) must be above 0"),
        ({"weights": ()}, r"`weights` \(=\(\)\) must be"),
        ({"weights": (0.1, -0.1)}, r"`weights.1` \(=-0\.1\) must be at least 0"),
        ({"held_out": 1.0}, r"`held_out` \(=1\.0\) must be below 1"),
    ],
)
def test_impossible_settings(setting: dict[str, object], message: str):
    with pytest.raises(UserError, match=message):
        build(Settings, setting)


@pytest.mark.parametrize("name", DIALS)
def test_truth_of_every_dial(name: str):
    turned = truth_of(DIALS[name])
    assert len(turned.truth) == len(turned.values) >= 4
    for truth in turned.truth:
        assert truth.joint - 1 / 16 == pytest.approx(sum(truth.shapley), abs=2e-4)
        assert max(truth.alone) <= truth.joint <= 1
    balance = [truth.balance for truth in turned.truth]
    if name in {"redundancy", "synergy", "scale"}:
        assert balance == pytest.approx([1.0] * len(balance))
    elif name == "samples":
        assert len(set(balance)) == 1
    else:
        assert balance in (sorted(balance), sorted(balance, reverse=True))
        assert min(balance) < 0.2
        assert max(balance) == pytest.approx(1)


def test_same_seed_same_trial_and_nothing_outside_is_touched():
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    job = Job("unique", 0.25, 0.1, 1, TINY)
    first = run(job)
    assert torch.equal(torch.rand(2), expected)
    assert run(job) == first
    assert run(replace(job, seed=2)) != first
    assert len(first.course) == 4
    assert first.course[-1] == first.zeta
    assert all(0 <= count <= 4 for count in first.open)


def test_without_penalty_little_closes_and_with_it_all():
    """Omega starts 0.002 above the threshold, and Adam takes two steps of 0.001 to it."""
    free, pushed = (run(Job("unique", 0.5, weight, 0, TINY)) for weight in (0.0, 100.0))
    assert sum(free.open) > 0
    assert (pushed.open, pushed.zeta, pushed.shapley) == ([0, 0], None, [0.0, 0.0])


def test_omega_follows_the_held_out_samples_and_the_weights_the_others():
    """Where the held-out labels are wrong, every channel harms there, and the weights know nothing of it."""
    settings = replace(TINY, steps=200, held_out=0.5, learning_rate=0.01, batch_size=64, hidden=32)
    inputs, target = generate(DIALS["unique"].turn(0.5).data, 400, features=settings.features, seed=0)
    wrong = target.clone()
    wrong[200:] = target[200:].roll(1)
    omega, missed = [], []
    for labels in (target, wrong):
        torch.manual_seed(0)
        model = MaskedNetwork(("a", "b"), 16, settings)
        fit(model, (inputs, labels), 0.0, settings)
        omega.append(float(model.fusion.weight.detach().mean()))
        model.fusion.weight.data.fill_(1.0)
        missed.append(float((model(inputs).argmax(1) != target)[:200].float().mean()))
    assert omega[0] > settings.init
    assert omega[1] < 0
    assert missed[0] < 0.1


@pytest.mark.slow
def test_another_process_makes_the_same_trial():
    jobs = plan(TINY, ["samples"])[:2]
    made = experiment(jobs, workers=2, command="", console=Console(file=io.StringIO()))
    assert made.trials == [run(job) for job in jobs]


def test_only_the_dials_that_were_turned_are_in_the_results():
    jobs = plan(TINY, ["samples"])[:1]
    made = experiment(jobs, workers=4, command="", console=Console(file=io.StringIO()))
    assert list(made.dials) == ["samples"]
    assert made.trials == [run(jobs[0])]


def test_end_to_end(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    command = [
        "zeta",
        *OPTIONS,
        "--dials",
        "unique",
        "scale",
        "--weights",
        "[0.001]",
        "--output",
        str(tmp_path / "out"),
    ]
    assert main(command) == 0
    made = ZetaResults.read(tmp_path / "out" / "zeta.json")
    assert made.command.startswith("python -m examples zeta --seeds 1")
    assert made.settings["weights"] == [0.001]
    assert {"python", "torch", "maskfusion"} <= set(made.versions)
    assert [(trial.dial, trial.value) for trial in made.trials] == [
        (name, value) for name in ("unique", "scale") for value in DIALS[name].values
    ]
    capsys.readouterr()
    assert (
        main(["zeta", "--read", str(tmp_path / "out" / "zeta.json"), "--output", str(tmp_path / "again")])
        == 0
    )
    names = ["zeta-information.svg", "zeta-nuisance.svg"]
    assert capsys.readouterr().out.split() == [str(tmp_path / "again" / name) for name in names]
    for name in names:
        assert (tmp_path / "again" / name).read_bytes() == (tmp_path / "out" / name).read_bytes()


def test_wrong_input_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    for more, message in (
        (["--dials", "volume"], "unknown names"),
        (["--read", str(tmp_path / "none")], "No results"),
    ):
        assert main(["zeta", *more, "--output", str(tmp_path / "out")]) == 2
        assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_interrupted(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("examples.cli.zeta.experiment", interrupt)
    assert main(["zeta", *OPTIONS, "--output", str(tmp_path / "out")]) == 130
    assert capsys.readouterr().err == "Stopped.\n"
    assert not (tmp_path / "out").exists()


def test_written_and_read(tmp_path: Path):
    path = tmp_path / "new" / "zeta.json"
    GROWING.write(path)
    assert ZetaResults.read(path) == GROWING
    assert len(path.read_text().splitlines()) < 80


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda raw: raw.update(format=9), r"`format` \(=9\) must be 1"),
        (lambda raw: raw["trials"][0].pop("zeta"), r"`trials.0` lacks 'zeta'"),
        (lambda raw: raw["dials"]["copy"].update(x=1), r"`dials.copy` has the unknown key 'x'; it knows"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, change, message: str):
    path = tmp_path / "zeta.json"
    GROWING.write(path)
    raw = json.loads(path.read_text())
    change(raw)
    path.write_text(json.dumps(raw))
    with pytest.raises(UserError, match=message):
        ZetaResults.read(path)
    path.write_text("{")
    with pytest.raises(UserError, match="is not JSON"):
        ZetaResults.read(path)


def test_shares():
    first = GROWING.trials[1]
    assert GROWING.kept(first) == [100, 25]
    assert GROWING.complementary(first) == [50, 12.5]
    assert GROWING.contradictory(first) == [0, 37.5]
    assert GROWING.truth(first).balance == 0
    assert GROWING.weights == [0.001]


def test_findings_by_hand():
    assert findings.rank_correlation([1, 2, 3, None], [2, 4, 9, 1]) == pytest.approx(1)
    assert findings.rank_correlation([1, 2, 3], [3, 1, 2]) == pytest.approx(-0.5)
    assert math.isnan(findings.rank_correlation([1, 1], [1, 2]))
    assert math.isnan(findings.rank_correlation([None], [1]))
    means = findings.zeta_along(GROWING, "copy", 0.001)
    assert [mean and (mean.mean, mean.count) for mean in means] == [(0.125, 2), (0.5, 2), (1.0, 1)]
    assert findings.spread_over_seeds(GROWING, "copy", 0.001) == pytest.approx(math.sqrt((2 * 0.125**2) / 2))
    assert findings.zeta_with_dial(GROWING, "copy", 0.001) > 0.9
    assert findings.zeta_with_balance(GROWING, GROWING.trials) > 0.9
    assert findings.worth_with_truth(GROWING, GROWING.trials) > 0.5
    assert findings.distance_from_truth(GROWING, GROWING.trials) == pytest.approx(
        (0.2 + 0.1 + 0.1 + 0.2 + 0.8) / 12
    )
    assert findings.ranked_right(GROWING.trials) == (3, 5)
    assert -1 <= findings.channels_with_worth(GROWING, GROWING.trials) <= 1


def test_picture_shows_truth_and_trials():
    made = figure(GROWING, ["copy"])
    top, middle, bottom = made.axes
    assert [line.get_linestyle() for line in top.lines].count(":") == 1
    assert [text.get_text() for text in made.legends[0].get_texts()] == [
        "ζ at λ = 0.001", "modality a", "modality b", "true"
    ]  # fmt: skip
    assert bottom.get_xlabel() == "share"
    assert list(middle.lines[0].get_ydata()) == [100, 75, 37.5]


def test_no_dial_no_picture(tmp_path: Path):
    assert draw(replace(GROWING, dials={}, trials=[]), tmp_path) == []


@pytest.mark.parametrize("name", ["zeta", "zeta-held-out"])
def test_results_that_ship(name: str):
    path = SHIPPED / f"{name}.json"
    shipped = ZetaResults.read(path)
    assert path.stat().st_size < 200_000
    assert shipped.dials == {name: truth_of(dial) for name, dial in DIALS.items()}
    for dial, turned in shipped.dials.items():
        for value in turned.values:
            assert all(len(shipped.of(dial, weight, value)) >= 5 for weight in shipped.weights)
