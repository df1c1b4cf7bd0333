"""Scores of published annotations against gold answers; nothing is ever changed.

Functions are imported when they are first used: a start that finds nothing to do needs few modules of this package.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from uniner_dist.evaluation.importing import import_gold
    from uniner_dist.evaluation.measure import evaluate
    from uniner_dist.evaluation.plot import plot_scores
    from uniner_dist.evaluation.show import print_scores

_PLACES = {"evaluate": "measure", "import_gold": "importing", "plot_scores": "plot", "print_scores": "show"}

__all__ = ["evaluate", "import_gold", "plot_scores", "print_scores"]


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_PLACES[name]}"), name)
