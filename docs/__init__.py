"""The pages; `docs.shown` makes what they show."""
