"""The study behind Table 6: each row carried from its own source, and from scratch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from examples.data.contract import MultimodalData
from examples.errors import UserError
from examples.methods import create
from examples.nets.model import build_model
from examples.recipes import Recipe
from examples.run.folder import RunFolder
from examples.run.start import Part, Start

CARRIED = "-carried"
"""What the name of a carried row ends with; the row without it starts from scratch."""
_NOT_SHOWN = ("row", "seed", "versions", "method", "quantise", "arguments", "settings", "tune")


@dataclass(frozen=True)
class Sources:
    """The runs that a row may start from.

    Args:
        runs: Seed to finished run.
    """

    runs: Mapping[int, RunFolder]

    def of(self, seed: int) -> RunFolder:
        """Return the run of the same seed; where there is none, the runs by seed, over and over."""
        in_order = [self.runs[number] for number in sorted(self.runs)]
        return self.runs.get(seed, in_order[seed % len(in_order)])


def find_sources(path: Path, row: str) -> Sources:
    """Return the runs of a row.

    Args:
        path: Folder of one run, which every row and seed starts from, or of a comparison, with a folder for each row.
        row: Name.

    Raises:
        UserError: There are none; says how to make them.
    """
    folders = [path] if (path / "plan.json").is_file() else sorted((path / row).glob("seed-*"))
    runs = {int(RunFolder(folder).read_plan()["seed"]): RunFolder(folder) for folder in folders}
    if not runs:
        raise UserError(
            f"`source` (='{path}') must be the folder of a run, or of a comparison with runs of row '{row}'. "
            f"`python -m examples compare --keep --rows {row} --output {path}` makes them."
        )
    return Sources(runs)


@dataclass(frozen=True)
class Transfer:
    """What is carried where.

    Args:
        recipe: Recipe of the target, with a row for each that is carried and each from scratch.
        sources: Row to the runs that it starts from, or is scored like.
        parts: Parts that the carried rows carry.
    """

    recipe: Recipe
    sources: Mapping[str, Sources]
    parts: tuple[Part, ...]

    def start(self, row: str, seed: int) -> Start:
        """Return what a run starts from."""
        return Start(self.sources[row].of(seed), self.parts if row.endswith(CARRIED) else ())

    def check(self, data: MultimodalData) -> None:
        """Build the network of each carried row and carry into it, so that what does not fit is known before a run.

        Args:
            data: The target.

        Raises:
            UserError: The source has no class of the target, or a part does not fit; says what.
        """
        seed = self.recipe.first_seed
        for name in self.sources:
            own = self.recipe.of_row(name, self.recipe.comparison[name].trials()[0])
            row = own.comparison[name]
            method = create(row.method, row.arguments)
            chosen = self.start(name, seed).scored(data.select(method.inputs(list(data.modalities))))
            model = build_model(chosen, own.network, quantise=row.quantise)
            method.configure(model)
            self.start(name, seed).initialise(model)

    def described(self) -> dict[str, Any]:
        """Return what goes into the results beside the settings: what was carried, and how the sources were made."""
        sources = {}
        for row, found in self.sources.items():
            if row.endswith(CARRIED):
                plans = [run.read_plan() for run in found.runs.values()]
                sources[row] = {"row": plans[0]["row"], "seeds": [plan["seed"] for plan in plans]}
        first = next(iter(self.sources.values())).of(self.recipe.first_seed)
        settings = {key: value for key, value in first.read_plan().items() if key not in _NOT_SHOWN}
        return {"carry": list(self.parts), "sources": sources, "source_recipe": settings}


def plan_transfer(
    source: Path,
    recipe: Recipe,
    rows: Sequence[str] | None,
    scratch: Sequence[str] | None,
    parts: Sequence[Part],
) -> Transfer:
    """Return what is to be run.

    Args:
        source: Folder of a run or of a comparison, see `find_sources`.
        recipe: Recipe of the target.
        rows: Rows that are carried, all rows of the recipe when none are named.
        scratch: Rows that are trained from scratch too; the same rows when none are named.
        parts: Parts that are carried.

    Raises:
        UserError: There is no source for a row.
        UserError: A row is not in the recipe.
    """
    carried, alone = recipe.rows(rows), recipe.rows(scratch or rows)
    comparison, sources = {}, {}
    for name, row in recipe.rows([*carried, *alone]).items():
        found = find_sources(source, name if name in carried else next(iter(carried)))
        if name in alone:
            comparison[name], sources[name] = row, found
        if name in carried:
            comparison[f"{name}{CARRIED}"], sources[f"{name}{CARRIED}"] = row, found
    return Transfer(replace(recipe, comparison=comparison), sources, tuple(parts))
