"""Settings of an export that all formats share."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class ExportSettings:
    """Settings of one export; small and picklable, as every Spark task receives them.

    Args:
        labels: every entity type of the annotations, in the order in which they were asked.
        models: names of the models that made the annotations.
        licences: licences of the answers, which are those of the models' weights.
        language: spaCy's code of the language whose rules make tokens; `xx` is for any.
        comments: whether CoNLL files have ids, texts and answered types in comments.
    """

    labels: tuple[str, ...]
    models: tuple[str, ...] = field(default_factory=tuple)
    licences: tuple[str, ...] = field(default_factory=tuple)
    language: str = "xx"
    comments: bool = True
