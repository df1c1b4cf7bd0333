"""Ways of answering the same prompts with the same model, compared: `python -m benchmarks.throughput`."""
