"""Two published annotations datasets side by side: what appeared, vanished and moved; nothing is ever changed."""

from uniner_dist.comparison.joining import Side, compare
from uniner_dist.comparison.show import print_comparison

__all__ = ["Side", "compare", "print_comparison"]
