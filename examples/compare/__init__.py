"""A comparison: every row of a recipe with every seed, spread over processes."""
