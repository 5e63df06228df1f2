"""Figures, from results and from nothing else."""
