"""The interface for notebooks: a warm pool that annotates strings, tables and DataFrames, and shows what it found."""

from uniner_dist.annotator.annotator import Annotator
from uniner_dist.annotator.frames import Annotations
from uniner_dist.annotator.showing import show

__all__ = ["Annotations", "Annotator", "show"]
