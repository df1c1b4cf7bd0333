"""spaCy's own files, read and written."""
