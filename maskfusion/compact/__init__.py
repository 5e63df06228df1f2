"""A smaller network without the closed channels."""
