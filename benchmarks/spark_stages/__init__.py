"""The Spark stages beside the barest Spark jobs that move the same rows: time, CPU, memory, shuffles, files."""
