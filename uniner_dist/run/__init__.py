"""A run: its name, its pinned configuration, and what its rows come from."""
