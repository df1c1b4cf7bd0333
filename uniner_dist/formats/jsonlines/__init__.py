"""One JSON document a line, read and written."""
