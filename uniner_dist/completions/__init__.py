"""Stage 2 (Ray): prompts shards become completions files. Never imports pyspark and needs no Java."""
