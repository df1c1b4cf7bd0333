"""Published annotations in the formats of other tools: spaCy, Label Studio, Hugging Face, brat, CoNLL, JSON lines.

`joining` brings mentions and texts together with Spark, `writing` turns them into files inside of Spark's tasks, and
one module per format says what its files look like. The way back, corrected annotations as gold, is
`uniner_dist.formats.sources`.
"""
