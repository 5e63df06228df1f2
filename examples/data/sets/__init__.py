"""One file per data set: how its files lie, what a sample is, and who learns from what."""
