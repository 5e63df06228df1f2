"""Small files of the formats that the loaders read, and a recipe that takes a second."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from examples.data import load
from examples.data.place import Place
from examples.recipes import load_recipe
from examples.run.folder import RunFolder
from tests.examples.data.digit_files import mnist_arrays, write_fsdd_npz, write_mnist_npz

TINY = """
data: mfeat
data_options: {labels: 20}
seeds: 2
epochs: 2
batch_size: 8
network: {width: 8, residual_width: 4, residual_blocks: 1, latent: 6, codes: 5, head_width: 4, head_hidden: 8}
comparison:
  pix: {method: unimodal, arguments: {modality: pix}}
  concatenation: {method: concatenation, quantise: false}
  mask: {method: complementary_mask, arguments: {mask_weight: 0.001, init: 0.0015, threshold: 0.0005}}
"""


@pytest.fixture(scope="session", autouse=True)
def _measured_by_one_step() -> Iterator[None]:
    """What a comparison says of the time that it will take is rougher than for a user, who has more to wait for."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("examples.compare.estimate._STEPS", 1)
        yield


@pytest.fixture
def mfeat_arrays() -> dict[str, np.ndarray]:
    random = np.random.default_rng(0)
    digit = np.repeat(np.arange(10, dtype="uint8"), 4)
    sizes = {"pix": 240, "fou": 76, "fac": 216, "kar": 64, "zer": 47, "mor": 6}
    arrays = {name: (digit[:, None] + random.normal(size=(40, size))) for name, size in sizes.items()}
    return {**{name: values.astype("float16") for name, values in arrays.items()}, "digit": digit}


@pytest.fixture
def mfeat_root(tmp_path: Path, mfeat_arrays: dict[str, np.ndarray]) -> Path:
    root = tmp_path / "mfeat"
    root.mkdir()
    np.savez_compressed(root / "mfeat.npz", **mfeat_arrays)
    return root


@pytest.fixture
def utd_arrays() -> dict[str, np.ndarray]:
    random = np.random.default_rng(0)
    clips = 54
    return {
        "depth": random.integers(0, 255, (clips, 16, 56, 56), dtype="uint8"),
        "skeleton": random.normal(size=(clips, 48, 20, 3)).astype("float16"),
        "inertial": random.normal(size=(clips, 128, 6)).astype("float16"),
        "action": np.tile(np.arange(27, dtype="uint8"), 2),
        "subject": np.repeat(np.array([1, 2], dtype="uint8"), 27),
    }


@pytest.fixture
def utd_root(tmp_path: Path, utd_arrays: dict[str, np.ndarray]) -> Path:
    root = tmp_path / "utd"
    root.mkdir()
    np.savez_compressed(root / "utd_mhad.npz", **utd_arrays)
    return root


@pytest.fixture
def recipe_file(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.yaml"
    path.write_text(TINY)
    return path


SPOKEN = """
data: av-digits
data_options: {pairs: 60, validation_pairs: 20, test_pairs: 40}
epochs: 2
batch_size: 20
select: validation
network: {width: 8, residual_width: 4, residual_blocks: 1, latent: 6, codes: 5, head_width: 4, head_hidden: 8}
comparison:
  mask: {method: complementary_mask, arguments: {mask_weight: 0.01, init: 0.0015, threshold: 0.0005}}
  plain: {method: complementary_mask, quantise: false, arguments: {mask_weight: 0.0}}
  concatenation: {method: concatenation}
"""


@pytest.fixture(scope="session")
def spoken_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Made MNIST and FSDD files."""
    root = tmp_path_factory.mktemp("digits")
    write_mnist_npz(root, mnist_arrays())
    write_fsdd_npz(root)
    return root


@pytest.fixture(scope="session")
def spoken_runs(spoken_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of each row of `SPOKEN`, with its checkpoints. Copy before changing anything."""
    from examples.run.training import train  # takes seconds

    folder = tmp_path_factory.mktemp("runs")
    path = folder / "spoken.yaml"
    path.write_text(SPOKEN)
    recipe = load_recipe(path)
    data = load(recipe.data, Place(spoken_root), seed=0, options=recipe.data_options)
    for row in recipe.comparison:
        run, own = RunFolder(folder / row), recipe.of_row(row)
        run.claim(row, 0, own)
        run.finish(train(row, own, data, seed=0, folder=run), keep=True)
    return folder
