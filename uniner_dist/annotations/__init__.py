"""Stage 3 (Spark): completions become annotations, audited and published."""

from uniner_dist.annotations.card import write_card
from uniner_dist.annotations.publication import check_present, publish
from uniner_dist.annotations.stage import write_annotations

__all__ = ["check_present", "publish", "write_annotations", "write_card"]
