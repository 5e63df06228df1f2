"""What people and networks know: the measure by hand, the command on small runs, the picture, the results that ship."""

from pathlib import Path

import numpy as np
import pytest

from examples.__main__ import main
from examples.people import worth
from examples.people.figure import JOINED, MASK, OURS, draw
from examples.people.informed import answers, informedness, majority, opinions
from examples.people.records import Network, PeopleResults, Raters
from examples.results.origin import origin
from tests.examples.data.crema_votes_files import votes_arrays, write_votes

TINY = """
data: crema-d-votes
data_options: {actors: 5, validation: 2, test: 3}
seeds: 1
epochs: 2
batch_size: 20
learning_rate: 0.01
select: validation
network: {encoder: plain, plain_layers: 2, width: 8, latent: 6, head_hidden: 8, residual_width: 4}
alone: [sound, faces]
comparison:
  concatenation: {method: concatenation, quantise: false}
  mask: {method: complementary_mask, quantise: false}
"""


def test_informed_by_hand():
    confusion = np.array([[8.0, 2.0, 0.0], [1.0, 3.0, 0.0], [0.0, 5.0, 5.0]])
    expected = [0.8 - (0.25 + 0) / 2, 0.75 - (0.2 + 0.5) / 2, 0.5 - 0]
    np.testing.assert_allclose(informedness(confusion), expected, atol=1e-12)


def test_who_does_not_look_knows_nothing_whatever_they_like_to_say():
    target = np.arange(60) % 6
    liked = np.tile([0.1, 0, 0, 0, 0.7, 0.2], (60, 1))
    np.testing.assert_allclose(informedness(opinions(liked, target)), 0, atol=1e-12)
    np.testing.assert_allclose(informedness(answers(target, target, 6)), 1, atol=1e-12)


def test_its_mean_is_the_accuracy_corrected_for_chance():
    random = np.random.default_rng(0)
    target = np.arange(600) % 6
    said = np.where(random.random(600) < 0.4, target, random.integers(0, 6, 600))
    accuracy = (said == target).mean()
    assert informedness(answers(said, target, 6)).mean() == pytest.approx((accuracy - 1 / 6) / (5 / 6))


def test_a_tie_is_shared():
    votes = np.array([[3, 1, 0], [2, 2, 1], [1, 1, 1]])
    np.testing.assert_allclose(majority(votes), [[1, 0, 0], [0.5, 0.5, 0], [1 / 3] * 3])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The runs of a tiny comparison, and the data."""
    folder = tmp_path_factory.mktemp("people")
    write_votes(folder / "data", *votes_arrays())
    (folder / "tiny.yaml").write_text(TINY)
    typed = ["compare", str(folder / "tiny.yaml"), "--root", str(folder / "data"), "--workers", "1", "--keep"]
    assert main([*typed, "--output", str(folder / "runs")]) == 0
    return folder


def ask(folder: Path, output: Path, *runs: Path) -> int:
    return main(["people", *map(str, runs), "--root", str(folder / "data"), "--output", str(output)])


def test_command(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    runs = [folder / "runs" / row / "seed-0" for row in ("concatenation", "faces", "mask", "sound")]
    assert ask(folder, tmp_path, *runs) == 0
    told = capsys.readouterr().out
    assert "1/4 runs: concatenation, seed 0" in told
    assert "people, face: " in told
    results = PeopleResults.read(tmp_path / "people.json")
    assert (results.data, results.data_options["actors"], len(results.classes)) == ("crema-d-votes", 5, 6)
    assert [(each.given, each.seed, each.clips) for each in results.raters] == [
        ("voice", 0, 36),
        ("face", 0, 36),
        ("both", 0, 36),
    ]
    voice, face, both = results.raters
    assert min(face.majority) > 0.9 > max(*voice.majority, *both.majority), "as the small files were made"
    assert np.mean(face.single) < np.mean(face.majority)
    by_row = {each.row: each for each in results.networks}
    assert by_row["faces"].shapley == {}
    assert by_row["concatenation"].kept == {}
    assert by_row["mask"].kept == {"sound": 100.0, "faces": 100.0}
    assert by_row["mask"].zeta == 1
    for row in ("concatenation", "mask"):
        parts = np.sum(list(by_row[row].shapley.values()), axis=0)
        np.testing.assert_allclose(parts, by_row[row].informed, atol=2e-5)


def test_other_runs_are_refused(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    run = folder / "runs" / "faces" / "seed-0"
    other = tmp_path / "other"
    other.mkdir()
    plan = (run / "plan.json").read_text()
    (other / "plan.json").write_text(plan.replace('"crema-d-votes"', '"mfeat"'))
    assert ask(folder, tmp_path, run, other) == 2
    assert "`runs` must be of 'crema-d-votes', whose clips people have judged; one is of 'mfeat'" in " ".join(
        capsys.readouterr().err.split()
    )
    (other / "plan.json").write_text(plan.replace('"actors": 5', '"actors": 4'))
    assert ask(folder, tmp_path, run, other) == 2
    assert "`runs` must have the same `data_options`" in " ".join(capsys.readouterr().err.split())


@pytest.fixture
def results() -> PeopleResults:
    """Two seeds; the voice is worth a third of the face to people, and half of it inside the network."""
    raters = [
        Raters(seed, given, 10, [known + 0.01 * seed] * 6, [known] * 6)
        for seed in (1, 0)
        for given, known in (("voice", 0.2), ("face", 0.6), ("both", 0.8))
    ]
    known = {"sound": 0.2, "faces": 0.5, OURS: 0.7, JOINED: 0.6, MASK: 0.6}
    networks = [
        Network(
            row,
            seed,
            ["sound", "faces"],
            [value] * 6,
            {"sound": [value / 3] * 6, "faces": [2 * value / 3] * 6},
            {"sound": 50.0, "faces": 100.0},
            None if row == MASK and seed else 0.5,
        )
        for row, value in known.items()
        for seed in (0, 1)
    ]
    return PeopleResults(
        "crema-d-votes", {}, list("abcdef"), raters, networks, **origin("typed", 1.0, "a machine")
    )


def test_worth(results: PeopleResults):
    people = worth.worth_to_people(results)
    assert people["sound"][0] == pytest.approx([0.2] * 6)  # half of 0.2 - 0 and of 0.8 - 0.6
    assert people["faces"][0] == pytest.approx([0.6] * 6)
    assert worth.balance(people).mean == pytest.approx((0.2 / 0.6 + 0.205 / 0.605) / 2)
    assert worth.balance(worth.worth_inside(results, MASK)).mean == pytest.approx(0.5)
    assert worth.balance(worth.worth_apart(results, OURS)).mean == pytest.approx(0.2 / 0.5)
    assert [part.mean for part in worth.of_sound(worth.worth_inside(results, MASK))] == pytest.approx(
        [100 / 3] * 7
    )
    assert worth.zetas(results, MASK).count == 1
    assert worth.open_of_sound(results, MASK).mean == pytest.approx(100 / 3)
    assert worth.overall(worth.of_people(results, "voice")).mean == pytest.approx(0.205)


def test_picture(results: PeopleResults):
    panels = draw(results).axes
    assert [label.get_text() for label in panels[0].get_yticklabels()] == [*"abcdef", "all six"]
    shown = panels[0].containers[1]
    assert shown.get_label() == "face"
    assert shown[0].get_xdata() == pytest.approx([0.605] * 7)
    assert len(panels[1].containers) == 4
    legend = [text.get_text() for text in panels[2].get_legend().get_texts()]
    assert "of the open channels, under a mask" in legend


def test_file_and_back(results: PeopleResults, tmp_path: Path):
    results.write(tmp_path / "people.json")
    assert PeopleResults.read(tmp_path / "people.json") == results
