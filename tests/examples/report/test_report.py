"""The report: its sentence, its numbers, every section, and nothing from elsewhere."""

import copy
import json
import re
import shutil
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import torch

from examples.__main__ import main
from examples.data.contract import Samples, split_and_standardise
from examples.data.place import Place
from examples.data.splits import Split
from examples.methods.complementary_mask import MaskedFusion
from examples.nets.model import build_model
from examples.recipes import Network, Recipe, Row, load_recipe
from examples.report.gallery import galleries
from examples.report.measure import measure
from examples.report.page import render
from examples.report.reconstruct import PARTS
from examples.report.savings import savings
from examples.report.space import FUSED, project
from examples.report.subjects import Subject, gather
from examples.report.views import SECTIONS, recipe_of, view
from examples.run.folder import RunFolder
from examples.run.trained import Trained
from tests.examples.data.digit_files import SPEAKERS

NASTY = "<script>alert(\"x\")</script> & 'mask'"


class Page(HTMLParser):
    """What is in a page: elements, and all that it would load."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture(scope="module")
def subject(spoken_runs: Path, spoken_root: Path) -> Subject:
    return gather([spoken_runs / "mask"], Place(spoken_root)).subjects[0]


@pytest.fixture(scope="module")
def page(spoken_runs: Path, spoken_root: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The page about a finished run with a nasty name, two probes, a run cut short, and one without decoders."""
    folder = tmp_path_factory.mktemp("named")
    nasty, cut = (shutil.copytree(spoken_runs / "mask", folder / name) for name in ("nasty", "cut"))
    (cut / "run.json").unlink()
    for name in ("plan.json", "run.json"):
        values = json.loads((nasty / name).read_text())
        (nasty / name).write_text(json.dumps({**values, "row": NASTY}))
    probe = {
        "label": "speaker",
        "channels": "complementary",
        "accuracy": 61.25,
        "low": 50.5,
        "high": 70.0,
        "chance": 25.0,
        "control": 30.0,
    }
    (nasty / "probes.json").write_text(
        json.dumps([probe, {**probe, "channels": "contradictory", "accuracy": None}])
    )
    output = folder / "report.html"
    runs = [str(path) for path in (nasty, cut, spoken_runs / "plain")]
    assert main(["report", *runs, "--root", str(spoken_root), "--output", str(output), "--samples", "3"]) == 0
    return output.read_text(encoding="utf-8")


def test_every_run_has_every_section(page: str):
    read = Page(page)
    identifiers = [attributes["id"] for _, attributes in read.tags if "id" in attributes]
    assert len(identifiers) == len(set(identifiers))
    for number in range(3):
        assert {f"run-{number}-{name}" for name in SECTIONS} <= set(identifiers)
    links = [link["href"][1:] for link in read.all("a") if link["href"].startswith("#")]
    assert set(links) <= set(identifiers)
    assert len(read.all("h1")) == 1


def test_nothing_is_loaded_from_elsewhere(page: str):
    for _, attributes in Page(page).tags:
        for name in ("src", "href", "xlink:href", "data", "poster", "action", "srcset"):
            assert re.match(r"data:|#|$", attributes.get(name) or ""), attributes[name]
    assert not re.search(r"url\((?!#)|@import", page)
    assert "default-src 'none'" in page
    without_names = re.sub(r'xmlns(:xlink)?="[^"]*"', "", page)
    assert set(re.findall(r"https?://[^\s\"'<]+", without_names)) <= {
        "http://www.w3.org/2000/svg"
    }  # a name, in the script


def test_size(page: str):
    assert len(page.encode()) < 1_500_000


def test_names_are_escaped(page: str):
    assert NASTY not in page
    assert "&lt;script&gt;alert(" in page
    assert len(Page(page).all("script")) == 4  # the maps of three runs, and our own


def test_the_page_has_pictures_with_words_and_players(page: str):
    read = Page(page)
    pictures = read.all("img")
    assert len(pictures) == 2 * 2 * 3 * 5  # runs with decoders, modalities, samples, input and four parts
    assert all(image["alt"] for image in pictures)
    players = read.all("audio")
    assert len(players) == 2 * 3 * 5
    assert all(
        player["src"].startswith("data:audio/wav;base64,UklGR") and player["aria-label"] for player in players
    )
    assert all(drawing.get("aria-label") for drawing in read.all("svg") if drawing.get("role") == "img")
    assert len(read.all("caption")) == len(read.all("table"))


def test_a_run_that_was_cut_short_says_so_at_the_top(page: str):
    words = "mask, seed 0 was cut short after epoch 2 of 2. It has no score yet"
    assert words in page
    assert page.index(words) < page.index("<h2")
    assert page.count('role="note"') == 1


def test_a_run_without_decoders_says_so(page: str):
    assert "This run has no decoders" in page
    assert page.count("This run has no decoders") == 1
    assert "trained with <code>quantise: false</code>. Rows" in page


def test_probes_are_shown(page: str):
    assert '<th scope="row">speaker</th><td>complementary</td><td>61.25</td><td>50.5</td>' in page
    assert "<td>contradictory</td><td>-</td>" in page
    assert page.count("No probes were run") == 2


def test_numbers_are_those_of_the_run(page: str, subject: Subject):
    assert subject.result is not None
    assert f"<dd>{subject.result.score:.1f} %</dd>" in page
    assert f"<dd>{sum(subject.result.complementary.values()):.1f} %</dd>" in page


@pytest.mark.unchecked  # the exporter cannot trace checks of shapes
def test_what_the_closed_channels_spare(subject: Subject):
    assert subject.trained is not None
    trained = replace(subject.trained, model=copy.deepcopy(subject.trained.model))
    mask = trained.model.mask
    assert mask is not None
    parts = [torch.full((n,), -1.0 if name == "sound" else 1.0) for name, n in mask.channels.items()]
    mask.load_state_dict({"weight": torch.cat(parts)})
    found = savings(trained)
    assert found is not None
    rows = {row[0]: row[1:] for row in found.table.rows}
    parameters = sum(parameter.numel() for parameter in trained.model.parameters())
    assert rows["the whole network"][0].startswith(f"{parameters:,} \N{RIGHTWARDS ARROW} ")
    assert all(cell.endswith("\N{RIGHTWARDS ARROW} 0 (0 %)") for cell in rows["sound"])
    assert "Not needed any more: sound." in found.notes
    bare = build_model(trained.data, trained.recipe.network, quantise=False)
    assert savings(replace(trained, model=bare)) is None
    assert savings(None) is None


def test_measured_is_what_training_measured(subject: Subject):
    measured = measure(subject.trained)
    run = subject.result
    assert measured.confusion.sum() == 40
    assert 100 * np.trace(measured.confusion) / 40 == pytest.approx(run.score)
    assert 100 * measured.contributions.with_all == pytest.approx(run.score)
    assert {name: 100 * value for name, value in measured.contributions.alone.items()} == pytest.approx(
        run.alone
    )
    assert measured.usage["sound"].shape == (5,)
    assert measured.usage["image"].sum() == 40 * 8 * 8


def test_predictions_are_laid_over_pictures_where_each_pixel_has_a_class():
    random = np.random.default_rng(0)
    data = split_and_standardise(
        "fields",
        {name: torch.as_tensor(random.normal(size=(24, 1, 16, 16))) for name in ("nir", "red")},
        torch.as_tensor(random.integers(0, 3, (24, 16, 16))),
        kinds={"nir": "image", "red": "image"},
        classes=("soil", "crop", "weed"),
        split=Split(np.arange(8), np.arange(8, 12), np.arange(12, 24)),
        task="segmentation",
        labels={"field": torch.arange(24)},
    )
    network = Network(width=8, residual_width=4, residual_blocks=1, latent=6, codes=5, head_width=4)
    method = MaskedFusion()
    model = build_model(data, network, quantise=False)
    method.configure(model)
    recipe = Recipe("cwfid", {"mask": Row("complementary_mask", quantise=False)}, network=network)
    trained = Trained(RunFolder(Path()), "mask", 0, recipe, {}, data, method, model.eval(), [], None)
    (made,) = galleries(trained, samples=4)
    assert (made.first, list(made.parts), len(made.inputs)) == ("target", list(PARTS), 4)
    assert list(made.legend.values()) == ["crop", "weed"]
    assert made.captions[0].startswith("test sample ")
    assert made.captions[0].split("; ")[1].startswith("field ")
    assert measure(trained).confusion.sum() == 12 * 16 * 16
    assert set(project(trained).labels) == {"field"}


def test_a_modality_that_is_the_same_in_every_sample_has_no_map(subject: Subject):
    """Rounding is no difference: the mean of equal numbers may be another number."""
    trained, test = subject.trained, subject.trained.data.test
    same = torch.ones(len(test), *trained.data.modalities["image"].shape)
    still = Samples({**test.inputs, "image": same}, test.target, test.labels)
    space = project(replace(trained, data=replace(trained.data, test=still)), most=30)
    assert set(space.places) == {FUSED, "sound"}


def test_maps_are_seeded_and_of_every_modality(subject: Subject):
    first, again = (project(subject.trained, most=30) for _ in range(2))
    assert first == again
    assert set(first.places) <= {FUSED, "image", "sound"}
    assert FUSED in first.places
    for sides in first.places.values():
        for projections in sides.values():
            for places in projections.values():
                assert np.array(places).shape == (30, 2)
                assert 0 <= np.min(places) <= np.max(places) <= 1
    assert set(first.labels) == {"class", "speaker"}
    assert len(first.names) == 30
    spoken = [name.split("; ")[2] for name in first.names]
    assert spoken == first.labels["speaker"]
    assert set(spoken) <= {f"speaker {name}" for name in SPEAKERS}


def test_the_recipe_in_the_page_trains_the_same_run(subject: Subject, tmp_path: Path):
    path = tmp_path / "recipe.yaml"
    path.write_text(recipe_of(subject.plan))
    assert replace(load_recipe(path).of_row("mask"), seeds=3) == subject.trained.recipe


def test_a_comparison_without_checkpoints_needs_no_data(recipe_file: Path, mfeat_root: Path, tmp_path: Path):
    output = tmp_path / "out"
    more = ["--workers", "1", "--epochs", "1", "--output", str(output)]
    assert main(["compare", str(recipe_file), "--root", str(mfeat_root), *more]) == 0
    assert main(["report", str(output), "--output", str(tmp_path / "page.html")]) == 0
    text = (tmp_path / "page.html").read_text()
    assert "Did adding" in text
    assert "python -m examples compare" in text
    assert "<td>100</td>" in text
    assert "Dots: the seeds." in text
    assert re.search(r"the best alone: [+\N{MINUS SIGN}]\d", text)
    assert 'id="run-0"' not in text


def test_a_finished_run_without_its_checkpoint(spoken_runs: Path, spoken_root: Path, tmp_path: Path):
    folder = shutil.copytree(spoken_runs / "mask", tmp_path / "run", ignore=shutil.ignore_patterns("*.ckpt"))
    given = gather([folder], Place(spoken_root))
    views = [view(given.subjects[0], 0, root=None, samples=2)]
    text = render(given, views, command="typed")
    assert text.count("The checkpoint of this run is not there") == 5
    assert "What the mask keeps open" in text
    (folder / "run.json").unlink()
    given = gather([folder], Place())
    text = render(given, [view(given.subjects[0], 0, root=None, samples=2)], command="typed")
    assert "cut short before the first of its 2 epochs ended" in text
    assert re.findall(r"<h3 [^>]*>(.*?)</h3>", text) == ["Settings, and how to repeat it"]
    assert "none of them is finished" in text


def test_what_is_wrong_is_said(spoken_runs: Path, spoken_root: Path, tmp_path: Path, capsys):
    def complaint(*arguments: object) -> str:
        assert main(["report", *map(str, arguments)]) == 2
        return " ".join(capsys.readouterr().err.split())

    assert "No run at" in complaint(tmp_path)
    assert "`samples` (=0) must be at least 1." in complaint(spoken_runs / "mask", "--samples", 0)
    assert "must be a folder or a file that is there" in complaint(
        spoken_runs / "mask", "--root", tmp_path / "none"
    )
    other = shutil.copytree(spoken_runs / "mask", tmp_path / "other")
    plan = json.loads((other / "plan.json").read_text())
    (other / "plan.json").write_text(json.dumps({**plan, "data": "mfeat"}))
    assert "All runs of a report must have the same `data`" in complaint(spoken_runs / "mask", other)
    probed = shutil.copytree(
        spoken_runs / "mask", tmp_path / "probed", ignore=shutil.ignore_patterns("*.ckpt")
    )
    (probed / "probes.json").write_text("{}")
    assert "must hold a list of probes" in complaint(probed, "--root", spoken_root)
