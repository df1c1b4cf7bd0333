"""Access to a Ray cluster: start one, join one, or start one on Spark's executors."""
