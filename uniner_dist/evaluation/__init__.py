"""How good annotations are: published annotations and gold answers enter, scores leave; nothing is ever changed."""

from uniner_dist.evaluation.measure import evaluate
from uniner_dist.evaluation.show import print_scores

__all__ = ["evaluate", "print_scores"]
