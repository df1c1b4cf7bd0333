"""The interface for notebooks: a warm pool that annotates strings, tables and DataFrames, and shows what it found."""

from uniner_dist.notebook.annotator import Annotator
from uniner_dist.notebook.display import show
from uniner_dist.notebook.results import Annotations

__all__ = ["Annotations", "Annotator", "show"]
