"""Settings of an export that all formats share."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class ExportSettings:
    """Small and picklable: it travels to every task.

    Args:
        labels: every entity type of the annotations, in the order in which they were asked.
        models: names of the models that made the annotations.
        licences: of the answers.
        language: spaCy's code of the language whose rules make tokens; `xx` is for any.
        comments: whether CoNLL files say ids, texts and answered types in comments.
    """

    labels: tuple[str, ...]
    models: tuple[str, ...] = field(default_factory=tuple)
    licences: tuple[str, ...] = field(default_factory=tuple)
    language: str = "xx"
    comments: bool = True
