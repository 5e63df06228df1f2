"""One run: its network and loop, its folder, what it starts from, and how it is read again."""
