"""Check a release as a user gets it: what is in sdist and wheel, and whether the wheel works where we say it does.

``make release-check`` builds both, reads their metadata and contents, and then, for every Python and every PyTorch, installs the wheel
into an environment of its own, imports it with nothing but its three dependencies, times that, and runs the tests of the library
against what was installed. It needs no package but Python's own; nothing is written but under ``--folder``.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator, Sequence
from pathlib import Path
from zipfile import ZipFile

ROOT = Path(__file__).resolve().parents[1]
PYTHONS = ("3.10", "3.11", "3.12", "3.13")
DEPENDENCIES = {"torch", "einops", "typing-extensions"}
TEST_PACKAGES = ("pytest>=9.0", "hypothesis>=6.100", "numpy>=1.26", "safetensors", "scipy")
OLDER_PACKAGES = ("numpy<2.4",)
"""Beside every PyTorch but the pinned one: the interpreter of its Triton, up to 3.2 at least, takes for numbers what NumPy 2.4 does not."""
ELSEWHERE = ("integrations", "networks")
"""Tests of the library that need more than the library: trainers, networks of transformers."""
COST = 0.1
"""How much of the time of PyTorch's own import ours may take."""
LENIENT = ("-W", "default::DeprecationWarning", "-W", "default::FutureWarning", "-W", "default::UserWarning")
"""For every PyTorch but the pinned one: what it warns of itself is no fault of ours."""

PROBE = """
import json, sys, time
start = time.process_time(); import torch, einops, typing_extensions
middle = time.process_time(); before = {name.split(".")[0] for name in sys.modules}
import maskfusion
end = time.process_time()
names = {name.split(".")[0] for name in sys.modules} - before - set(sys.stdlib_module_names)
print(json.dumps([middle - start, end - middle, sorted(names), maskfusion.__file__, maskfusion.__version__, torch.__version__]))
"""


class CheckError(Exception):
    """Something is not as it has to be; says what."""


def run(*command: object, cwd: Path, **environment: str) -> str:
    """Run a command, and return what it printed; show all of it where it fails."""
    done = subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise CheckError(
            f"{' '.join(map(str, command))} failed:\n{done.stdout[-6000:]}\n{done.stderr[-6000:]}"
        )
    return done.stdout


def expect(good: object, rule: str) -> None:
    """Stop where a rule is broken."""
    if not good:
        raise CheckError(rule)


def interpreters(wanted: Sequence[str]) -> Iterator[tuple[str, Path | None]]:
    """Find each Python by version or path; None where it is not there or does not start."""
    for name in wanted:
        found = shutil.which(name) or shutil.which(f"python{name}")
        if found is None:
            yield name, None
            continue
        asked = [found, "-c", "import ensurepip, sys; print(sys.executable)"]
        answer = subprocess.run(asked, capture_output=True, text=True, check=False)
        yield name, None if answer.returncode else Path(answer.stdout.strip())


def environment(folder: Path, python: Path, *packages: object) -> Path:
    """Make a virtual environment, install packages, and return its Python."""
    run(python, "-m", "venv", folder, cwd=ROOT)
    inside = folder / ("Scripts" if os.name == "nt" else "bin") / "python"
    run(inside, "-m", "pip", "install", "--quiet", *packages, cwd=ROOT)
    return inside


def build(folder: Path, python: Path) -> tuple[Path, Path]:
    """Build sdist and wheel, let twine read their metadata, and return both."""
    tools = environment(folder / "tools", python, "build>=1.2", "twine>=6.1")
    run(tools, "-m", "build", "--outdir", folder / "dist", ROOT, cwd=ROOT)
    (sdist,), (wheel,) = (sorted((folder / "dist").glob(pattern)) for pattern in ("*.tar.gz", "*.whl"))
    run(tools, "-m", "twine", "check", "--strict", sdist, wheel, cwd=ROOT)
    return sdist, wheel


def look_into(sdist: Path, wheel: Path) -> str:
    """Check names and metadata of what was built, and return the version."""
    with ZipFile(wheel) as archive:
        names = archive.namelist()
        (metadata,) = (archive.read(name).decode() for name in names if name.endswith(".dist-info/METADATA"))
    version = str(re.findall(r"^Version: (.+)$", metadata, re.MULTILINE)[0])
    info = f"maskfusion-{version}.dist-info/"
    strange = [name for name in names if not name.startswith(("maskfusion/", info))]
    strange += [
        name for name in names if name.startswith("maskfusion/") and not name.endswith((".py", "py.typed"))
    ]
    expect(not strange, f"The wheel must hold the package and its metadata only, but has {strange}.")
    modules = {path.relative_to(ROOT).as_posix() for path in (ROOT / "maskfusion").rglob("*.py")}
    expect(modules <= set(names), f"The wheel lacks {sorted(modules - set(names))}.")
    for name in ("maskfusion/py.typed", f"{info}licenses/LICENSE"):
        expect(name in names, f"The wheel lacks {name}.")
    needs = re.findall(r"^Requires-Dist: ([\w-]+)(?!.*extra ==)", metadata, re.MULTILINE)
    expect(set(needs) == DEPENDENCIES, f"The wheel must need {sorted(DEPENDENCIES)}, but needs {needs}.")
    nowhere = re.findall(r"\]\(((?!https:)[^)]*)\)", metadata)
    expect(not nowhere, f"PyPI would show a README whose links and pictures {nowhere} lead nowhere.")
    with tarfile.open(sdist) as archive:
        inner = {name.partition("/")[2] for name in archive.getnames()}
    wanted = {"LICENSE", "README.md", "pyproject.toml", "CHANGELOG.md", "tests/support/oracle.py", *modules}
    expect(wanted <= inner, f"The sdist lacks {sorted(wanted - inner)}.")
    rubbish = sorted(
        name for name in inner if re.search(r"__pycache__|\.ckpt$|^runs/|^\.(?!gitignore)", name)
    )
    expect(not rubbish, f"The sdist must not hold {rubbish}.")
    print(
        f"sdist {sdist.stat().st_size // 1024} KB, wheel {wheel.stat().st_size // 1024} KB, version {version}"
    )
    return version


def import_alone(python: Path, folder: Path, version: str) -> str:
    """Import what was installed, with its dependencies only, three times, and return the version of PyTorch."""
    answers = [json.loads(run(python, "-W", "ignore", "-c", PROBE, cwd=folder)) for _ in range(3)]
    _, _, names, file, found, torch_version = answers[0]
    expect(
        "site-packages" in file and found == version,
        f"{file} of version {found} was imported, not the wheel.",
    )
    expect(names == ["maskfusion"], f"`import maskfusion` must load nothing else, but loads {names}.")
    theirs, ours = (min(answer[i] for answer in answers) for i in range(2))
    said = f"import: {ours:.3f} s beside {theirs:.2f} s of its dependencies, {100 * ours / theirs:.1f} %"
    print(f"  {said}")
    expect(ours <= COST * theirs, f"{said}; it must be at most {100 * COST:.0f} %.")
    return str(torch_version)


def test(python: Path, folder: Path, *, pinned: bool) -> None:
    """Run the tests of the library in a folder without it, so that only the installed one can be found."""
    packages = TEST_PACKAGES if pinned else TEST_PACKAGES + OLDER_PACKAGES
    run(python, "-m", "pip", "install", "--quiet", *packages, cwd=folder)
    shutil.copytree(ROOT / "tests", folder / "tests", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("conftest.py", "pyproject.toml"):
        shutil.copy(ROOT / name, folder)
    ignored = [f"--ignore=tests/library/{name}" for name in ELSEWHERE]
    warnings = () if pinned else LENIENT
    said = run(
        python, "-m", "pytest", "-q", "-rfEs", "--tb=short", *warnings, *ignored, "tests/library", cwd=folder
    )
    print("  " + "\n  ".join(said.strip().splitlines()[-12:]))


def check_one(python: Path, wheel: Path, version: str, torch: str, folder: Path, parsed: Namespace) -> None:
    """Install the wheel beside one PyTorch, and see whether it works."""
    shutil.rmtree(folder, ignore_errors=True)
    inside = environment(folder / "venv", python, f"torch=={torch}", wheel)
    found = import_alone(inside, folder, version)
    expect(found.partition("+")[0] == torch, f"PyTorch {found} was installed, not {torch}.")
    if not parsed.no_tests:
        test(inside, folder, pinned=torch == pinned_torch())
    if not parsed.keep:
        shutil.rmtree(folder)


def pinned_torch() -> str:
    """Return the version in constraints.txt."""
    return str(re.findall(r"^torch==(\S+)$", (ROOT / "constraints.txt").read_text(), re.MULTILINE)[0])


def main(arguments: Sequence[str] | None = None) -> int:
    """Check everything that was asked for; 0 where all is well."""
    parser = ArgumentParser(description="Check a release as a user gets it.")
    parser.add_argument(
        "--python", nargs="+", default=PYTHONS, help="Versions or paths of Python (default: %(default)s)."
    )
    parser.add_argument(
        "--torch", nargs="+", default=[pinned_torch()], help="Versions of PyTorch (default: %(default)s)."
    )
    parser.add_argument("--folder", type=Path, default=ROOT / "dist" / "release-check", help="Where to work.")
    parser.add_argument("--no-tests", action="store_true", help="Install and import only.")
    parser.add_argument("--keep", action="store_true", help="Leave the environments where they are.")
    parsed = parser.parse_args(arguments)
    folder = parsed.folder.resolve()
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    failed: list[str] = []
    tried = 0
    try:
        sdist, wheel = build(folder, Path(sys.executable))
        version = look_into(sdist, wheel)
    except CheckError as error:
        print(error, file=sys.stderr)
        return 1
    for name, python in interpreters(parsed.python):
        for torch in parsed.torch:
            what = f"Python {name}, PyTorch {torch}"
            if python is None:
                print(f"{what}: skipped, there is no such interpreter")
                continue
            print(f"{what}:", flush=True)
            tried += 1
            try:
                check_one(python, wheel, version, torch, folder / str(tried), parsed)
            except CheckError as error:
                failed.append(what)
                print(f"  FAILED: {error}", file=sys.stderr)
    print(f"{tried - len(failed)} of {tried} passed" + (f"; failed: {'; '.join(failed)}" if failed else ""))
    return 0 if tried and not failed else 1


if __name__ == "__main__":
    sys.exit(main())
