"""The folder of one run: what it was asked for, how far it is, and what came out."""

import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock
from pydantic import TypeAdapter

from examples.errors import UserError
from examples.recipes import Recipe
from examples.results import Run
from examples.results.origin import versions
from examples.typed import explained, read

LAST, BEST = "last.ckpt", "best.ckpt"
RECIPE_ONLY = {
    "comparison",
    "seeds",
    "first_seed",
    "tuning_seeds",
}  # keys of a recipe that do not matter to one run
_PLAN, _RESULT = "plan.json", "run.json"


@dataclass(frozen=True)
class RunFolder:
    """One row with one seed has one folder. The same command typed again goes on where it stopped.

    Args:
        path: The folder.
        shared: Folder for stages that several runs may need, so that each is trained once; by default they are in the run's own.
    """

    path: Path
    shared: Path | None = None

    def stage(self, name: str, seed: int, recipe: Recipe) -> "RunFolder":
        """Return the folder of a stage of this run.

        Args:
            name: Name of the stage, the only row of `recipe`.
            seed: Seed of the run.
            recipe: All settings of the stage.
        """
        if self.shared is None:
            return RunFolder(self.path / name)
        plan = json.dumps(_plan(name, seed, recipe), sort_keys=True)
        return RunFolder(self.shared / f"{name}-{hashlib.sha256(plan.encode()).hexdigest()[:16]}")

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Keep other processes of the same command from working on this run at the same time."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{self.path}.lock"):
            yield

    @property
    def last(self) -> Path:
        """Checkpoint after the last epoch that was finished."""
        return self.path / LAST

    @property
    def best(self) -> Path:
        """Checkpoint after the epoch with the lowest validation task loss."""
        return self.path / BEST

    @property
    def split(self) -> Path:
        """Names of the samples of each part, where they have names."""
        return self.path / "split.json"

    def claim(
        self,
        row: str,
        seed: int,
        recipe: Recipe,
        *,
        fresh: bool = False,
        start: Mapping[str, object] | None = None,
    ) -> Run | None:
        """Make the folder this run's own; return the run where it is finished already.

        Args:
            row: Name of the row in the recipe.
            seed: Seed of the run.
            recipe: All settings.
            fresh: Whether to start anew.
            start: Start of the run and classes that are scored, if unusual.

        Raises:
            UserError: The folder holds a run with other settings or versions; names them. Nothing is changed.
        """
        if fresh:
            self.clear()
        plan = {**_plan(row, seed, recipe), **({"start": start} if start else {})}
        plan = json.loads(json.dumps(plan))
        known = self._known()
        differ = sorted(key for key in plan | known if plan.get(key) != known.get(key)) if known else []
        if differ:
            raise UserError(
                f"'{self.path}' holds a run with other settings ({', '.join(differ)}). --fresh starts it anew, "
                "another --output leaves it alone."
            )
        self.path.mkdir(parents=True, exist_ok=True)
        (self.path / _PLAN).write_text(json.dumps(plan, indent=1) + "\n", encoding="utf-8")
        return self.read_result()

    def read_plan(self) -> dict[str, Any]:
        """Return what the run was asked for: row, seed, method, arguments, the settings of the recipe, versions.

        Raises:
            UserError: No run was ever started here.
        """
        plan = self._known()
        if not plan:
            raise UserError(
                f"No run at '{self.path}'. `python -m examples train --output {self.path}` makes one."
            )
        return plan

    def read_result(self) -> Run | None:
        """Return what came out; None where the run is not finished."""
        path = self.path / _RESULT
        return read(Run, path, "python -m examples train") if path.is_file() else None

    def take(self, other: "RunFolder") -> None:
        """Take over the checkpoints and the split of the same run in another folder, which keeps them."""
        for path in (other.last, other.best, other.split):
            if path.is_file():
                shutil.copyfile(path, self.path / path.name)

    def chosen(self, select: str) -> Path:
        """Return the checkpoint with the weights that were scored, or the last one of a run that was cut short.

        Args:
            select: Selection as in the recipe.

        Raises:
            UserError: It was not kept; says how to keep it.
        """
        path = self.best if self.read_result() is not None and select == "validation" else self.last
        if not path.is_file():
            raise UserError(
                f"No checkpoint at '{path}'. `train` keeps it, `compare` with --keep; a run without one is made again "
                "with --fresh."
            )
        return path

    def finish(self, run: Run, *, keep: bool) -> None:
        """Write what came out.

        Args:
            run: Result of the run.
            keep: Whether the checkpoints stay.
        """
        fresh = self.path / f"{_RESULT}.new"
        fresh.write_text(json.dumps(asdict(run), indent=1, allow_nan=False) + "\n", encoding="utf-8")
        fresh.replace(self.path / _RESULT)
        if not keep:
            self.last.unlink(missing_ok=True)
            self.best.unlink(missing_ok=True)

    def clear(self) -> None:
        """Remove the folder, if it is one of ours."""
        if (self.path / _PLAN).is_file():
            shutil.rmtree(self.path)

    def _known(self) -> dict[str, Any]:
        path = self.path / _PLAN
        if not path.is_file():
            return {}
        with explained(dict, f"'{path}'"):
            return TypeAdapter(dict[str, Any]).validate_json(path.read_bytes())


def _plan(row: str, seed: int, recipe: Recipe) -> dict[str, Any]:
    """Return everything that decides the numbers of a run."""
    settings = {key: value for key, value in asdict(recipe).items() if key not in RECIPE_ONLY}
    return {"row": row, "seed": seed, **asdict(recipe.comparison[row]), **settings, "versions": versions()}
