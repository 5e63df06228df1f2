"""Recipes as files: a recipe that ships by its name, others by their path, and keys that are changed for once."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from jsonargparse import get_loader

from examples.errors import UserError
from examples.recipes.recipe import Recipe
from examples.typed import build, explained

FOLDER = Path(__file__).parent
_EACH = "each"


def recipe_path(name: str) -> Path:
    """Return the recipe file of that name, one that ships or a path.

    Raises:
        UserError: There is none; names those that ship.
    """
    for path in _places(name):
        if path.is_file():
            return path
    raise UserError(f"No recipe '{name}'. It must be a YAML file or one of {_names(FOLDER)}.")


def is_recipe(name: str) -> bool:
    """Whether `recipe_path` finds a recipe file of that name."""
    return any(path.is_file() for path in _places(name))


def load_recipe(
    path: Path,
    changes: Mapping[str, Any] | None = None,
    *,
    modalities: Callable[[Recipe], Sequence[str]] | None = None,
) -> Recipe:
    """Read a recipe from a YAML file.

    Each modality in its `alone` has a row first; then come the rows of its `comparison`, then those of the panels in its `panel`,
    one or a list. What else its panel sets, such as the optimiser, holds where the recipe does not set it; a panel among `changes` holds
    over the recipe, too. ``alone: each`` is every modality of the data. Where no panel says what the rows alone are, they are plain
    networks if the whole `comparison` is.

    Args:
        path: The file.
        changes: Keys that have other values for once. Of what is a mapping, such as `network`, single keys are changed;
            a `comparison` is another one as a whole.
        modalities: Function that gives the names for ``alone: each``, of a recipe that is complete but for their rows; without it
            there are no such rows.

    Raises:
        UserError: An unknown key or a wrong value, named.
    """
    values = _read(path)
    alone = {**values, **(changes or {})}.get("alone")
    if alone == _EACH:
        rest = _made(path, values, changes or {}, [])
        alone = [] if modalities is None else list(modalities(rest))
        if len(alone) == 1:
            raise UserError(
                f"The data has one modality, {alone}, and recipe '{path.stem}' compares each alone with all of them joined: it needs two "
                f"or more."
            )
        clash = sorted(set(alone) & set(rest.comparison))
        if clash:
            raise UserError(
                f"The data has the modalities {clash}, and recipe '{path.stem}' has rows of these names; rename either."
            )
    return _made(path, values, changes or {}, alone)


def _made(path: Path, values: Mapping[str, Any], changes: Mapping[str, Any], alone: Any) -> Recipe:
    values, given = dict(values), dict(changes)
    nearer = "panel" in given
    panel, _, own = (given.pop(key, values.pop(key, None)) for key in ("panel", "alone", "comparison"))
    with explained(Recipe, f"Recipe '{path}'"):
        panels = {name: _panel(name) for name in ([panel] if isinstance(panel, str) else panel or [])}
        shared = {
            key: value
            for each in panels.values()
            for key, value in each.items()
            if key not in ("alone", "comparison")
        }
        values = values | shared if nearer else shared | values
        values["comparison"] = _joined(own or {}, alone or [], panels)
        for key, value in given.items():
            merged = isinstance(values.get(key), dict) and isinstance(value, Mapping)
            values[key] = {**values[key], **value} if merged else value
        return build(Recipe, values)


def _places(name: str) -> tuple[Path, Path]:
    return FOLDER / f"{name}.yaml", Path(name)


def _panel(name: str) -> dict[str, Any]:
    path = FOLDER / "panels" / f"{name}.yaml"
    if not path.is_file():
        raise UserError(f"`panel` (='{name}') must be one of {_names(path.parent)}.")
    return _read(path)


def _joined(own: Any, alone: Any, panels: Mapping[str, Mapping[str, Any]]) -> Any:
    """Return the rows of modalities alone, as a panel has them, of a recipe, and of panels that several recipes share."""
    if not isinstance(own, Mapping):
        return own  # which is said to be none
    if not isinstance(alone, list):
        raise UserError(f"`alone` (={alone!r}) must be a list of modalities, or '{_EACH}'.")
    row: dict[str, Any] = next(
        (panel["alone"] for panel in panels.values() if "alone" in panel),
        {"method": "unimodal", "quantise": _quantised(own)},
    )
    rows = {name: {**row, "arguments": {"modality": name, **row.get("arguments", {})}} for name in alone}
    places: dict[str, Mapping[str, Any]] = {"`comparison`": own}
    places |= {f"panel '{name}'": panel["comparison"] for name, panel in panels.items()}
    for place, more in places.items():
        twice = sorted(set(rows) & set(more))
        if twice:
            raise UserError(f"{place} has the rows {twice}, which are there already; rename them.")
        rows |= more
    return rows


def _quantised(rows: Mapping[str, Any]) -> bool:
    """Whether modalities alone have quantisers and decoders: only where rows that they are compared with have them too."""
    return not rows or any(not isinstance(row, Mapping) or row.get("quantise", True) for row in rows.values())


def _read(path: Path) -> dict[str, Any]:
    try:
        values = get_loader("yaml")(path.read_text(encoding="utf-8"))  # to which 1e-3 is a number
    except yaml.YAMLError as error:
        raise UserError(f"Recipe '{path}' is not YAML: {error}") from error
    if not isinstance(values, dict):
        raise UserError(f"Recipe '{path}' must be a mapping of keys to values.")
    return values


def _names(folder: Path) -> list[str]:
    return sorted(path.stem for path in folder.glob("*.yaml"))
