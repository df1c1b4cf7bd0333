"""brat's standoff files, read and written."""
