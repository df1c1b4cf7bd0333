"""Pure functions of values: no Spark, no Ray, no vLLM, no I/O. The same in a notebook, a Spark UDF and a Ray actor."""
