"""The quality gate: a gold slice and a fixed sample are annotated and judged before a run may spend and publish.

`gold` reads the slice, `sample` keeps the pinned sample, `verdict` judges figures; none of them needs Spark. `stage`
puts them together. Nothing is imported here: a cluster without Spark can ask whether a gate has been passed.
"""
