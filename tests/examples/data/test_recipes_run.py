"""Every recipe that ships trains two steps of its first and last rows, on small files of the formats of its data set."""

from collections.abc import Callable
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch

from examples.__main__ import main
from examples.data import load
from examples.data.columns import Standardised
from examples.data.contract import MultimodalData, Samples
from examples.data.place import Place
from examples.recipes import FOLDER, Recipe, load_recipe
from examples.results import Results
from examples.run.folder import RunFolder
from examples.run.training import train
from tests.examples.data import crema_d_files as crema_d
from tests.examples.data.clip_files import Draw, grey, tone, write_clip
from tests.examples.data.crema_votes_files import votes_arrays, write_votes
from tests.examples.data.digit_files import mnist_arrays, write_fsdd_npz, write_mnist_npz, write_svhn
from tests.examples.data.grid_files import grid_arrays, write_grid
from tests.examples.data.nyuv2_files import TO_FORTY, TO_THIRTEEN, write_data, write_mappings, write_splits
from tests.examples.data.penn_files import annotation, write_frames, write_labels
from tests.examples.data.sets import test_cwfid as cwfid
from tests.examples.data.sets import test_rml as rml

pytestmark = pytest.mark.slow

PAIRS = {"pairs": 40, "validation_pairs": 20, "test_pairs": 20}
FEWER: dict[str, dict[str, object]] = {
    "mfeat": {"labels": 20, "validation": 10},
    "digits": PAIRS,
    "av-digits": {**PAIRS, "speakers": []},  # those that recipes name are not in the small files
    "utd-mhad": {"training": []},
    "crema-d-votes": {"actors": 3, "validation": 2, "test": 3},
    "cwfid": {"validation": 1},
    "grid": {"validation": 4, "test": 6},
    "penn-action": {"validation": 0.25},
    "nyuv2": {"size": 64},
}


def shade(number: int) -> Draw:
    """Return what draws a clip of one grey, which another clip has not."""
    return lambda _: grey(number)


def make_crema_d(root: Path) -> None:
    crema_d.write_lists(root, crema_d.NAMES)
    for number, name in enumerate(crema_d.NAMES):
        write_clip(
            crema_d.clip(root, name), draw=shade(number), sound=tone(1.5, 44100, 200 + 40 * number)[None]
        )


def make_rml(root: Path) -> None:
    for number, (speaker, code) in enumerate(product(range(1, 9), rml.CODES)):
        rml.write(root / rml.folder_of(speaker) / f"{code}1.avi", frames=50, draw=shade(number))


def make_penn_action(root: Path) -> None:
    for number in range(12):
        clip = annotation(number)
        write_labels(root, f"{number + 1:04d}", clip)
        write_frames(root, f"{number + 1:04d}", clip["nframes"])


def make_nyuv2(root: Path) -> None:
    write_data(root)
    write_splits(root, list(range(1, 9)), list(range(9, 13)))
    write_mappings(root, TO_FORTY, TO_THIRTEEN)


def make_digits(root: Path) -> None:
    write_mnist_npz(root, mnist_arrays())
    write_svhn(root)


def make_av_digits(root: Path) -> None:
    write_mnist_npz(root, mnist_arrays())
    write_fsdd_npz(root)


def make_cwfid(root: Path) -> None:
    (root / "train_test_split.yaml").write_text(cwfid.LISTS)
    for number in range(1, 8):
        cwfid.write_image(root, number)


def make_grid(root: Path) -> None:
    write_grid(root, *grid_arrays(sentences=40))


def make_crema_d_votes(root: Path) -> None:
    write_votes(root, *votes_arrays())


def make_utd_mhad(root: Path) -> None:
    """Give the clips of the fixture to all eight subjects, so that one can be held out."""
    path = root / "utd_mhad.npz"
    with np.load(path) as file:
        arrays = dict(file)
    np.savez(path, **{**arrays, "subject": np.arange(len(arrays["subject"]), dtype="uint8") % 8 + 1})


def make_arrays(root: Path) -> None:
    random = np.random.default_rng(0)
    np.savez(
        root / "my.npz",
        text=random.normal(size=(24, 5)),
        sound=random.normal(size=(24, 3, 16)),
        picture=random.normal(size=(24, 16, 16)),
        label=np.arange(24) % 3,
    )


MAKE: dict[str, Callable[[Path], None]] = {
    "arrays": make_arrays,
    "crema-d": make_crema_d,
    "crema-d-votes": make_crema_d_votes,
    "rml": make_rml,
    "penn-action": make_penn_action,
    "nyuv2": make_nyuv2,
    "digits": make_digits,
    "av-digits": make_av_digits,
    "cwfid": make_cwfid,
    "grid": make_grid,
    "utd-mhad": make_utd_mhad,
}


@pytest.fixture(scope="module")
def roots() -> dict[str, Path]:
    """Folders that are made already, by data set."""
    return {}


def first(samples: Samples, count: int) -> Samples:
    """Return the first samples of a part."""
    positions = np.arange(min(count, len(samples)))
    plain = torch.zeros(()), torch.ones(())
    columns = {name: Standardised(column, positions, *plain) for name, column in samples.inputs.items()}
    return Samples(columns, samples.target[: len(positions)])


def few(recipe: Recipe, root: Path) -> MultimodalData:
    """Load what the recipe says, and keep enough for two steps of two."""
    options = {**recipe.data_options, **FEWER.get(recipe.data, {})}
    data = load(recipe.data, Place(root), seed=0, options=options)
    return replace(
        data,
        train=first(data.train, 4),
        validation=None if data.validation is None else first(data.validation, 2),
        test=first(data.test, 2),
    )


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.yaml")), ids=lambda path: path.stem)
def test_two_steps(
    path: Path,
    roots: dict[str, Path],
    tmp_path_factory: pytest.TempPathFactory,
    request: pytest.FixtureRequest,
):
    recipe = load_recipe(path)
    name = recipe.data
    if name not in roots:
        fixture = {"mfeat": "mfeat_root", "utd-mhad": "utd_root"}.get(name)
        roots[name] = tmp_path_factory.mktemp(name) if fixture is None else request.getfixturevalue(fixture)
        MAKE.get(name, lambda _: None)(roots[name])
    short, data = replace(recipe, epochs=1, batch_size=2), few(recipe, roots[name])
    rows = list(short.comparison)
    for row in (rows[0], rows[-1]):
        folder = RunFolder(tmp_path_factory.mktemp(path.stem))
        run = train(row, short, data, seed=0, folder=folder)
        state = torch.load(folder.last, weights_only=True)
        assert state["global_step"] == 2
        assert np.isfinite(run.epochs[0].loss["total"])
        assert 0 <= run.score <= 100


def test_what_is_left_out_is_said_by_every_run_and_stands_in_its_results(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "data"
    root.mkdir()
    make_crema_d(root)
    crema_d.clip(root, crema_d.NAMES[3]).write_bytes(b"")
    crema_d.clip(root, "1064_TIE_SAD_XX").hardlink_to(crema_d.clip(root, crema_d.NAMES[0]))
    tiny = [
        "--epochs",
        "1",
        "--batch_size",
        "8",
        "--network.width",
        "4",
        "--network.latent",
        "4",
        "--network.codes",
        "4",
    ]
    common = ["crema-d", "--root", str(root), "--on-error", "skip", *tiny]
    reasons = {
        "1064_TIE_SAD_XX": "has no length",
        crema_d.NAMES[3]: f"'{crema_d.clip(root, crema_d.NAMES[3])}' is empty",
    }
    for seed, name in enumerate(("first", "second")):
        assert main(["train", *common, "--seed", str(seed), "--output", str(tmp_path / name)]) == 0
        captured = capsys.readouterr()
        assert f"1 of 30 samples cannot be read (left out):\n  {crema_d.NAMES[3]}: " in captured.err
        assert "Left out: 2 samples, 1064_TIE_SAD_XX has no length; 1001_DFA_HAP_XX '" in captured.out
        run = RunFolder(tmp_path / name).read_result()
        assert run is not None
        assert run.left_out == reasons
    arguments = ["--rows", "audio", "--seeds", "1", "--workers", "1", "--output", str(tmp_path / "compared")]
    assert main(["compare", *common, *arguments]) == 0
    assert "Left out: 2 samples, 1064_TIE_SAD_XX has no length" in " ".join(capsys.readouterr().out.split())
    assert [run.left_out for run in Results.read(tmp_path / "compared" / "results.json").runs] == [reasons]
