"""The command line, end to end on a tiny recipe."""

import io
import json
import os
import sys
from itertools import chain
from pathlib import Path

import pytest
import torch
from rich.console import Console

from examples import cli
from examples.__main__ import COMMANDS, main
from examples.cli import show
from examples.compare.study import Study, compare
from examples.data.place import Place
from examples.recipes import load_recipe
from examples.results import Results
from tests.support.real_data import real_data

REPOSITORY = Path(__file__).parents[3]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": str(torch.get_num_threads())}


def numbers(folder: Path) -> list[dict[str, object]]:
    """Everything of the runs but the time they took."""
    runs = json.loads((folder / "results.json").read_text())["runs"]
    return [{key: value for key, value in run.items() if "seconds" not in key} for run in runs]


def run(recipe: Path, root: Path, output: Path, *more: str) -> int:
    return main(["compare", str(recipe), "--root", str(root), "--output", str(output), *more])


def test_end_to_end(recipe_file: Path, mfeat_root: Path, tmp_path: Path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    output = tmp_path / "out"
    assert run(recipe_file, mfeat_root, output, "--workers", "1") == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    assert "6/6 runs: mask, seed 1" in captured.out
    assert "closed completely" in captured.out
    assert sorted(path.name for path in output.iterdir() if path.is_file()) == [
        "complementarity.png",
        "mask.png",
        "results.json",
        "scores.png",
        "summary.json",
    ]
    assert sorted(path.name for path in (output / "mask" / "seed-1").iterdir()) == ["plan.json", "run.json"]
    assert not (tmp_path / "lightning_logs").exists()

    results = Results.read(output / "results.json")
    assert results.samples == {"train": 20, "test": 20}
    assert results.command.startswith("python -m examples compare /")
    assert results.recipe["network"]["width"] == 8
    assert {"python", "torch", "maskfusion"} <= set(results.versions)
    assert [(run.row, run.seed) for run in results.runs] == [
        (row, seed) for row in ("pix", "concatenation", "mask") for seed in (0, 1)
    ]
    masked = results.runs[-1]
    assert [len(record.mask) for record in masked.epochs] == [36, 36]
    assert masked.epochs[-1].complementary == pytest.approx(masked.complementary, rel=1e-5)
    assert masked.complementary["pix"] == pytest.approx(100 * masked.epochs[-1].mask[:6].count("1") / 36)
    alone, concatenated = results.runs[0], results.runs[2]
    assert (alone.zeta, concatenated.zeta) == (None, 1.0)
    assert sum(concatenated.complementary.values()) == pytest.approx(100)


def test_progress_is_one_bar_on_a_terminal(recipe_file: Path, mfeat_root: Path, tmp_path: Path):
    screen = io.StringIO()
    study = Study(load_recipe(recipe_file), tmp_path, Place(mfeat_root), rows=["pix"])
    compare(study, workers=1, command="", console=Console(file=screen, force_terminal=True, width=100))
    assert "2/2 runs" in screen.getvalue()
    assert "pix, seed 1, loss" in screen.getvalue()


def test_interrupted(recipe_file: Path, mfeat_root: Path, tmp_path: Path, capsys, monkeypatch):
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("examples.cli.compare.compare", interrupt)
    assert run(recipe_file, mfeat_root, tmp_path / "out") == 130
    assert capsys.readouterr().err == "Stopped; the same command goes on from here.\n"


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--rows", "masks"), "`rows` has unknown names ['masks']"),
        (("--data", "mnist"), "`data` (='mnist') must be one of"),
        (("--panel", "all"), "`panel` (='all') must be one of ['"),
        (("--data_options", "{label: 3}"), "`data_options` has unknown keys ['label']"),
        (("--data_options.labels", "25"), "`labels` (=25) must be a multiple of 10"),
        (("--data_options", "{split: '[x]'}"), "`data_options` has unknown keys ['split']"),
        (("--epochs", "0"), "`epochs` (=0) must be above 0"),
        (
            ("--select", "validation"),
            "`select` (='validation') needs a validation part; 'mfeat' is split without",
        ),
        (("--patience", "3"), "`patience` (=3) must go with `select: validation`"),
        (("--gradient_clip", "0"), "`gradient_clip` (=0.0) must be above 0"),
        (("--comparison", "{a: {method: b}}"), "`method` (='b') must be one of"),
    ],
)
def test_wrong_input_is_one_sentence(
    recipe_file: Path, mfeat_root: Path, tmp_path: Path, capsys, more, message
):
    assert run(recipe_file, mfeat_root, tmp_path / "out", *more) == 2
    captured = capsys.readouterr()
    assert message in " ".join(captured.err.split())
    assert "Traceback" not in captured.err
    assert not (tmp_path / "out").exists()


def test_missing_data_says_where_to_get_it(tmp_path: Path, capsys):
    assert main(["compare", "--data", "utd-mhad", "--root", str(tmp_path)]) == 2
    text = "".join(capsys.readouterr().err.split())
    assert "utd_mhad.npz" in text
    assert "https://personal.utdallas.edu/~kehtar/UTD-MHAD.html" in text


@pytest.mark.parametrize(
    "arguments", [["compare", "--epoch_count", "3"], ["trial"], [], ["data"], ["compare", "--epochs", "x"]]
)
def test_unknown_arguments_stop(arguments: list[str], capsys):
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 2
    assert "error" in capsys.readouterr().err


def test_the_recipe_may_stand_anywhere(recipe_file: Path, mfeat_root: Path, tmp_path: Path):
    options = [
        ["--root", str(mfeat_root)],
        ["--epochs", "1"],
        ["--network.width", "6"],
        ["--rows", "pix"],
        ["--seeds", "1"],
        ["--workers", "1"],
    ]
    for place in (0, 2, len(options)):
        output = tmp_path / str(place)
        words = [*options[:place], [str(recipe_file)], *options[place:], ["--output", str(output)]]
        assert main(["compare", *chain.from_iterable(words)]) == 0
        recipe = Results.read(output / "results.json").recipe
        assert (recipe["epochs"], recipe["network"]["width"], recipe["network"]["latent"]) == (1, 6, 6)


def test_the_recipe_may_stand_behind_names(mfeat_root: Path, tmp_path: Path, capsys):
    """An option with many values takes the recipe too; then it is found among them."""
    sizes = ["--seeds", "1", "--epochs", "1", "--workers", "1", "--data_options.labels", "20"]
    sizes += ["--network.width", "4", "--network.latent", "4", "--network.codes", "4"]
    place = ["--root", str(mfeat_root), "--output", str(tmp_path)]
    assert main(["compare", *sizes, *place, "--panel", "paper", "--rows", "mask", "mfeat"]) == 2
    assert "mfeat.yaml': panel 'paper' has the rows [" in " ".join(capsys.readouterr().err.split())
    assert main(["compare", *sizes, *place, "--rows", "pix", "mfeat"]) == 0
    results = Results.read(tmp_path / "results.json")
    assert (list(results.rows()), results.data) == (["pix"], "mfeat")
    assert main(["train", "--panel", "published-rivals", "rml", "--row", "pmr", "--root", "nowhere"]) == 2
    assert "`root` (='nowhere')" in " ".join(capsys.readouterr().err.split())
    assert main(["compare", *sizes, "--rows", "mfeat", *place]) == 2  # the only name is that of a row
    assert "`rows` has unknown names ['mfeat']" in " ".join(capsys.readouterr().err.split())


def test_help_of_one_command_builds_one_parser(monkeypatch: pytest.MonkeyPatch, capsys):
    for name in [name for name in sys.modules if name.startswith("examples.cli.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(cli, "show", show)  # what is imported anew is forgotten again
    with pytest.raises(SystemExit):
        main(["show", "--help"])
    assert "python -m examples show folder" in capsys.readouterr().out
    assert [name for name in sys.modules if name.startswith("examples.cli.")] == ["examples.cli.show"]


def test_every_command_has_a_file_of_its_own():
    files = {path.stem for path in Path(cli.__file__).parent.glob("*.py")}
    assert files - {"__init__", "options", "watched"} == set(COMMANDS)


def test_a_fault_of_the_program_shows_its_traceback(monkeypatch: pytest.MonkeyPatch):
    def fault(*_: object, **__: object) -> None:
        raise ValueError("a fault")

    monkeypatch.setattr("examples.cli.show.present", fault)
    with pytest.raises(ValueError, match="a fault"):
        main(["show", "nowhere"])


def test_unknown_recipe(capsys):
    assert main(["compare", "mnist"]) == 2
    assert "No recipe 'mnist'. It must be a YAML file or one of ['arrays', 'av-digits', " in " ".join(
        capsys.readouterr().err.split()
    )


def test_help_names_every_option(capsys):
    with pytest.raises(SystemExit):
        main(["compare", "--help"])
    text = capsys.readouterr().out
    for option in ("--root", "--rows", "--output", "--workers", "[study]", "--seeds", "--network.width"):
        assert option in text


def test_show_reads_the_results_and_nothing_else(recipe_file: Path, mfeat_root: Path, tmp_path: Path, capsys):
    assert run(recipe_file, mfeat_root, tmp_path / "out", "--workers", "1", "--rows", "mask") == 0
    first = capsys.readouterr().out
    (tmp_path / "out" / "mask.png").unlink()
    (mfeat_root / "mfeat.npz").unlink()
    assert main(["show", str(tmp_path / "out")]) == 0
    assert first.endswith(capsys.readouterr().out)
    assert (tmp_path / "out" / "mask.png").is_file()
    assert main(["show", str(tmp_path)]) == 2
    assert "No results at" in capsys.readouterr().err


def test_what_is_finished_is_not_run_again(recipe_file: Path, mfeat_root: Path, tmp_path: Path, capsys):
    more = ("--workers", "1", "--rows", "pix", "--seeds", "1")
    output = tmp_path / "out"
    assert run(recipe_file, mfeat_root, output, *more) == 0
    first = numbers(output)
    result = output / "pix" / "seed-0" / "run.json"
    written = result.stat().st_mtime_ns
    capsys.readouterr()

    assert run(recipe_file, mfeat_root, output, "--workers", "1", "--rows", "pix") == 0  # and another seed
    assert "1 of 2 runs are finished already; --fresh runs them again." in capsys.readouterr().out
    assert numbers(output)[:1] == first
    assert result.stat().st_mtime_ns == written

    assert run(recipe_file, mfeat_root, output, *more, "--epochs", "1") == 2
    text = " ".join(capsys.readouterr().err.split())
    assert "holds a run with other settings (epochs). --fresh starts it anew" in text
    assert result.stat().st_mtime_ns == written

    assert run(recipe_file, mfeat_root, output, *more, "--epochs", "1", "--fresh") == 0
    assert len(numbers(output)[0]["epochs"]["mask"]) == 1


def test_data_check(mfeat_root: Path, capsys):
    assert main(["data", "check", "mfeat"]) == 0
    assert "All there." in capsys.readouterr().out
    assert main(["data", "check", "mfeat", "--root", str(mfeat_root)]) == 1
    text = " ".join(capsys.readouterr().out.split())
    assert "2,000 digits 40 wrong" in text
    assert "UCI Multiple Features" in text
    assert main(["data", "check", "mfeat", "--root", str(mfeat_root.parent)]) == 2
    assert main(["data", "check", "mfeat", "--root", str(mfeat_root / "nowhere")]) == 2
    assert "must be a folder or a file that is there" in " ".join(capsys.readouterr().err.split())
    assert main(["data", "check", "study-cwfid", "--root", str(mfeat_root)]) == 2  # a recipe: its data set
    assert "No 'cwfid_quarter.npz'" in capsys.readouterr().err
    assert main(["data", "check", "imagenet"]) == 2
    assert "`data` (='imagenet') must be one of" in capsys.readouterr().err


@pytest.mark.slow
def test_utd_mhad_real_data(tmp_path: Path):
    root = real_data("utd_mhad")
    arguments = ["--epochs", "1", "--seeds", "1", "--rows", "skeleton", "vq-mask", "--workers", "1"]
    arguments += ["--network.width", "8", "--network.latent", "8", "--network.codes", "16"]
    assert (
        main(["compare", "--data", "utd-mhad", "--root", str(root), "--output", str(tmp_path), *arguments])
        == 0
    )
    masked = Results.read(tmp_path / "results.json").runs[-1]
    assert list(masked.channels) == ["depth", "skeleton"]
