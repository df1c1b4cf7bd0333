"""The pool: replicas that are asked for, fed with work items, watched and replaced until every shard has its file."""

from __future__ import annotations

from uniner_dist.completions.pool.pool import Pool

__all__ = ["Pool"]
