"""Encoders, decoders, heads, and the model that joins them for any number of modalities."""
