"""Published annotations in the formats of other tools: spaCy, Label Studio, Hugging Face, brat, CoNLL, JSON lines.

`joining` joins mentions and texts with Spark, `writing` turns them into files inside Spark's tasks, and the modules of
`uniner_dist.formats.writers` make the files of each format. `uniner_dist.formats.sources` reads corrected files back as
gold.
"""
