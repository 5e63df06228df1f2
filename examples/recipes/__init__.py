"""Recipes, a YAML file each, and their reader."""

from examples.recipes.recipe import (
    FOLDER,
    LossWeights,
    Network,
    Recipe,
    Row,
    Value,
    add_recipe_arguments,
    build_recipe,
    load_recipe,
    recipe_path,
)

__all__ = [
    "FOLDER",
    "LossWeights",
    "Network",
    "Recipe",
    "Row",
    "Value",
    "add_recipe_arguments",
    "build_recipe",
    "load_recipe",
    "recipe_path",
]
