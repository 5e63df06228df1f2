"""Recipes, a YAML file each, and their reader."""

from examples.recipes.reading import FOLDER, is_recipe, load_recipe, recipe_path
from examples.recipes.recipe import LossWeights, Network, Recipe, Row, Value

__all__ = [
    "FOLDER",
    "LossWeights",
    "Network",
    "Recipe",
    "Row",
    "Value",
    "is_recipe",
    "load_recipe",
    "recipe_path",
]
