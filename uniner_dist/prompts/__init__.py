"""Stage 1 (Spark): a corpus becomes prompt shards, occurrences and rejects; only `budget` does without pyspark."""
