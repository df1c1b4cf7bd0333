"""The quality gate: a gold slice and a fixed sample are annotated and judged before a run may spend and publish.

`sample` stores the pinned sample, and `verdict` judges figures; neither needs Spark. `before_bulk` and `before_publish`
are the two places where it judges. Nothing is imported here: a cluster without Spark can ask whether a gate has been
passed.
"""
