"""Stage 1 (Spark): a corpus becomes prompt shards, occurrences and rejects."""

from uniner_dist.prompts.stage import write_prompts

__all__ = ["write_prompts"]
