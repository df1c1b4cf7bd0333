"""The interface for Python: a warm pool that annotates what a notebook holds, and the main job as a function."""

from uniner_dist.notebook.annotator import Annotator
from uniner_dist.notebook.display import show
from uniner_dist.notebook.job import annotate, plan
from uniner_dist.notebook.job_results import Plan, Report
from uniner_dist.notebook.results import Annotations

__all__ = ["Annotations", "Annotator", "Plan", "Report", "annotate", "plan", "show"]
