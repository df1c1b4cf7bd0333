"""Datasets of Hugging Face, read and written."""
