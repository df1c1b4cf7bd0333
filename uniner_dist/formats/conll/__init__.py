"""Tokens in columns: CoNLL files and their relatives, read and written."""
