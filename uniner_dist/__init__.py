"""Distributed open named entity recognition over Parquet corpora.

Importing this package needs neither Spark, Ray nor vLLM; each stage imports its own engine when it runs.
"""

__version__ = "0.1.0"
