"""The channel mask, and how it gets onto a network."""
