"""Recipes, a YAML file each, and their reader."""

from examples.recipes.reading import FOLDER, load_recipe, recipe_path
from examples.recipes.recipe import LossWeights, Network, Recipe, Row, Value

__all__ = ["FOLDER", "LossWeights", "Network", "Recipe", "Row", "Value", "load_recipe", "recipe_path"]
