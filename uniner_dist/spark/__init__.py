"""How the Spark stages read, write and shuffle: the session, datasets, and what tasks do with files."""
