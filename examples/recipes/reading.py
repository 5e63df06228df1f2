"""Recipes as files: a recipe that ships by its name, others by their path, and keys that are changed for once."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from jsonargparse import get_loader

from examples.errors import UserError
from examples.recipes.recipe import Recipe
from examples.typed import build, explained

FOLDER = Path(__file__).parent


def recipe_path(name: str) -> Path:
    """Return the recipe file of that name, one that ships or a path.

    Raises:
        UserError: There is none; names those that ship.
    """
    for path in (FOLDER / f"{name}.yaml", Path(name)):
        if path.is_file():
            return path
    raise UserError(f"No recipe '{name}'. It must be a YAML file or one of {_names(FOLDER)}.")


def load_recipe(path: Path, changes: Mapping[str, Any] | None = None) -> Recipe:
    """Read a recipe from a YAML file; its own rows come before those of the panel that it names.

    Args:
        path: The file.
        changes: Keys that have other values for once. Of what is a mapping, such as `network`, single keys are changed;
            a `comparison` is another one as a whole.

    Raises:
        UserError: An unknown key or a wrong value, named.
    """
    values = _read(path)
    for key, value in (changes or {}).items():
        old = values.get(key)
        merged = isinstance(old, dict) and isinstance(value, Mapping) and key != "comparison"
        values[key] = {**values[key], **value} if merged else value
    with explained(Recipe, f"Recipe '{path}'"):
        panel = values.pop("panel", None)
        if panel is not None:
            values["comparison"] = _joined(values.get("comparison") or {}, panel)
        return build(Recipe, values)


def _joined(own: Mapping[str, Any], panel: str) -> dict[str, Any]:
    """Return some rows and, behind them, those of a panel, which several recipes share."""
    path = FOLDER / "panels" / f"{panel}.yaml"
    if not path.is_file():
        raise UserError(f"`panel` (='{panel}') must be one of {_names(path.parent)}.")
    more = _read(path)["comparison"]
    twice = sorted(set(own) & set(more))
    if twice:
        raise UserError(f"`comparison` and panel '{panel}' both have the rows {twice}.")
    return {**own, **more}


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
