"""What `make release-check` refuses, on archives made here."""

import importlib.util
import io
import re
import sys
import tarfile
from pathlib import Path
from types import ModuleType
from zipfile import ZipFile

import pytest

from tests.support.paths import ROOT

SOURCE = ROOT / "tools" / "release_check.py"
METADATA = """Name: maskfusion
Version: 1.2.3
Requires-Dist: einops>=0.8
Requires-Dist: torch>=2.6
Requires-Dist: typing-extensions>=4.10
Requires-Dist: numpy>=1.26; extra == 'examples'

[PyTorch](https://pytorch.org)
"""
MODULES = sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "maskfusion").rglob("*.py"))
INFO = "maskfusion-1.2.3.dist-info"
WHEEL = [*MODULES, "maskfusion/py.typed", f"{INFO}/licenses/LICENSE", f"{INFO}/RECORD"]
SDIST = [
    *MODULES,
    "LICENSE",
    "README.md",
    "pyproject.toml",
    "CHANGELOG.md",
    "tests/support/oracle.py",
    ".gitignore",
]


@pytest.fixture(scope="module")
def release() -> ModuleType:
    """The script, which is no package."""
    spec = importlib.util.spec_from_file_location("release_check", SOURCE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def archives(
    folder: Path, *, wheel: list[str] = WHEEL, sdist: list[str] = SDIST, metadata: str = METADATA
) -> tuple[Path, Path]:
    """An sdist and a wheel of empty files."""
    with ZipFile(folder / "a.whl", "w") as archive:
        for name in wheel:
            archive.writestr(name, "")
        archive.writestr(f"{INFO}/METADATA", metadata)
    with tarfile.open(folder / "a.tar.gz", "w:gz") as archive:
        for name in sdist:
            archive.addfile(tarfile.TarInfo(f"maskfusion-1.2.3/{name}"), io.BytesIO())
    return folder / "a.tar.gz", folder / "a.whl"


def test_good_archives(release: ModuleType, tmp_path: Path) -> None:
    assert release.look_into(*archives(tmp_path)) == "1.2.3"


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"wheel": [*WHEEL, "tests/support/oracle.py"]}, r"must hold the package.*tests/support/oracle\.py"),
        ({"wheel": [*WHEEL, "maskfusion/notes.txt"]}, r"must hold the package.*maskfusion/notes\.txt"),
        ({"wheel": [name for name in WHEEL if "typed" not in name]}, r"wheel lacks maskfusion/py\.typed"),
        ({"wheel": [name for name in WHEEL if "LICENSE" not in name]}, "wheel lacks .*LICENSE"),
        ({"wheel": WHEEL[1:]}, r"wheel lacks \['maskfusion/__init__\.py'\]"),
        ({"metadata": METADATA + "Requires-Dist: numpy>=1\n"}, "must need .* but needs .*numpy"),
        ({"metadata": METADATA.replace("Requires-Dist: einops>=0.8\n", "")}, "must need .*einops"),
        ({"metadata": METADATA + "\nSee [a page](docs/page.md)."}, r"links and pictures \['docs/page\.md'\]"),
        ({"sdist": SDIST[:-2]}, r"sdist lacks \['tests/support/oracle\.py'\]"),
        ({"sdist": [*SDIST, "runs/a.json"]}, r"sdist must not hold \['runs/a\.json'\]"),
        ({"sdist": [*SDIST, "tests/__pycache__/a.pyc"]}, "sdist must not hold"),
    ],
)
def test_what_is_refused(release: ModuleType, tmp_path: Path, settings: dict, said: str) -> None:
    with pytest.raises(release.CheckError, match=said):
        release.look_into(*archives(tmp_path, **settings))


def test_interpreters(release: ModuleType) -> None:
    found = dict(release.interpreters([sys.executable, "0.9"]))
    assert found["0.9"] is None
    assert found[sys.executable].exists()


def test_commands_that_fail_are_shown(release: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(release.CheckError, match=r"(?s)failed:.*no good"):
        release.run(sys.executable, "-c", "raise SystemExit('no good')", cwd=tmp_path)


def test_the_oldest_torch_is_the_same_everywhere() -> None:
    (oldest,) = re.findall(r'"torch>=([\d.]+)"', (ROOT / "pyproject.toml").read_text())
    for name, said in {
        "README.md": f"any PyTorch from {oldest} that you have",
        "docs/index.md": f"({oldest} or newer)",
        "docs/versions.md": f"| {oldest}.0 | 3.10",
        "constraints.txt": f"any torch >= {oldest}.",
        "Makefile": f"--torch {oldest}.0 ",
        ".github/workflows/ci.yml": f"--torch {oldest}.0 ",
    }.items():
        assert said in (ROOT / name).read_text(encoding="utf-8"), name


def test_torch_of_the_constraints(release: ModuleType) -> None:
    assert f"torch=={release.pinned_torch()}\n" in (ROOT / "constraints.txt").read_text()
