"""How good annotations are: published annotations and gold answers enter, scores leave; nothing is ever changed."""

from uniner_dist.evaluation.importing import import_gold
from uniner_dist.evaluation.measure import evaluate
from uniner_dist.evaluation.plot import plot_scores
from uniner_dist.evaluation.show import print_scores

__all__ = ["evaluate", "import_gold", "plot_scores", "print_scores"]
