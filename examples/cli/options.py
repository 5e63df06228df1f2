"""Options that several commands share: where the files of a data set lie, and every key of a recipe."""

from argparse import SUPPRESS
from dataclasses import fields, replace
from pathlib import Path

from jsonargparse import ArgumentParser, Namespace

from examples.data import find
from examples.data.place import OnError, Place
from examples.errors import UserError
from examples.recipes import Recipe, Row, is_recipe, load_recipe, recipe_path
from examples.run.hardware import Accelerator
from examples.run.loading import loaded

_NO_DEFAULT = ("data", "comparison")
_SHIPS = "mfeat"
"""The data set that ships with the repository, and its recipe."""


def add_place_arguments(parser: ArgumentParser) -> None:
    """Let a parser read ``--root``, ``--cache`` and ``--on-error``."""
    parser.add_argument("--root", type=Path | None, default=None, help="Folder of the data files.")
    parser.add_argument("--cache", type=Path | None, default=None, help="Folder for decoded copies.")
    parser.add_argument(
        "--on_error", "--on-error", type=OnError, default="raise", help="At files that are damaged."
    )


def parsed_place(parsed: Namespace) -> Place:
    """Return what was parsed.

    Raises:
        UserError: There is nothing at `root`.
    """
    if parsed.root is not None and not parsed.root.exists():
        raise UserError(f"`root` (='{parsed.root}') must be a folder or a file that is there.")
    return Place(parsed.root, parsed.cache, parsed.on_error)


def add_run_arguments(parser: ArgumentParser) -> None:
    """Let a parser read where runs go, what becomes of earlier ones, and what they run on."""
    parser.add_argument("--output", type=Path | None, default=None, help="Folder to write to.")
    parser.add_argument("--fresh", action="store_true", help="Start anew what is finished or was cut short.")
    parser.add_argument("--accelerator", type=Accelerator, default="cpu", help="What Lightning runs on.")


def add_spread_arguments(parser: ArgumentParser) -> None:
    """Let a parser read which rows are run, by how many processes, and whether checkpoints stay."""
    parser.add_argument(
        "--rows", type=str, nargs="+", default=None, help="Rows of the recipe (default: all)."
    )
    parser.add_argument(
        "--workers", type=int | None, default=None, help="Processes (default: one for each core)."
    )
    parser.add_argument("--keep", action="store_true", help="Keep the checkpoints of finished runs.")


def add_recipe_arguments(parser: ArgumentParser) -> None:
    """Let a parser read every key of a recipe as an option; it parses those that are given and no others."""
    before = set(parser.get_defaults().keys())
    parser.add_class_arguments(Recipe, fail_untyped=True, skip=set(_NO_DEFAULT))
    parser.add_argument("--data", type=str, help="Name of the data set.")
    parser.add_argument("--comparison", type=dict[str, Row], help="Rows of the table by name.")
    parser.add_argument("--panel", type=str, nargs="+", help="Files of `panels/` with further rows.")
    added = set(parser.get_defaults().keys()) - before
    parser.set_defaults(dict.fromkeys(added, SUPPRESS))


def parsed_recipe(parsed: Namespace) -> Recipe:
    """Return the recipe of STUDY, or that of the data set, or of the data that ships, with the keys that were given.

    Options with many values take all words that follow, so a recipe that stands last among the names of rows or panels
    becomes STUDY here.

    Raises:
        UserError: There is no such recipe, or a key has a wrong value; says what.
    """
    for names in (parsed.get("rows"), parsed.get("panel")):
        if parsed.study is None and names and len(names) > 1 and is_recipe(names[-1]):
            parsed.study = names.pop()
    given = parsed.as_dict()
    keys = {*(key.name for key in fields(Recipe)), "panel"}
    name = given.get("study") or given.get("data", _SHIPS)
    place = parsed_place(parsed)

    def modalities(recipe: Recipe) -> list[str]:
        known = _identified(recipe, place)
        return list(loaded(known.data, place, seed=known.first_seed, options=known.data_options).modalities)

    changes = {key: given[key] for key in keys if key in given}
    return _identified(load_recipe(recipe_path(name), changes, modalities=modalities), place)


def run_name(parsed: Namespace, recipe: Recipe) -> str:
    """Return the name of the folder for the runs of a recipe: its own, and that of the data where it may be any."""
    name = Path(parsed.study or recipe.data).stem
    root = parsed_place(parsed).root
    return name if root is None or find(recipe.data).identify is None else f"{name}-{root.resolve().stem}"


def _identified(recipe: Recipe, place: Place) -> Recipe:
    """Return the recipe with what tells its data from others, where the data may be any."""
    identify = find(recipe.data).identify
    return (
        recipe
        if identify is None
        else replace(recipe, data_options={**recipe.data_options, **identify(place)})
    )
