"""The main job as a stage of a Spark ML pipeline.

Spark's own transformers describe columns that are computed when they are needed, perhaps several times. Answers of a
model are too expensive for that, so this one is eager: `transform` runs the job once, publishes, and
returns a DataFrame that reads what is published. Its parameters are those of `uniner_dist.annotate`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pyspark.ml import Transformer
from pyspark.ml.param import Param, Params, TypeConverters
from pyspark.ml.util import DefaultParamsReadable, DefaultParamsWritable
from pyspark.sql import DataFrame

from uniner_dist.errors import ConfigError
from uniner_dist.notebook.job import annotate
from uniner_dist.spark.datasets import read_table


def _as_json(value: Any) -> Any:
    """A value as Spark stores it: lists for tuples, dicts for other mappings."""
    if isinstance(value, Mapping):
        return {str(key): _as_json(one) for key, one in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_as_json(one) for one in value]
    return value


def _as_list(value: Any) -> list[str]:
    return TypeConverters.toListString([value] if isinstance(value, str) else value)


class AnnotationTransformer(Transformer, DefaultParamsReadable["AnnotationTransformer"], DefaultParamsWritable):
    """Annotates the rows of a DataFrame, and returns the published annotations: one row for each document and type.

    Saved and loaded by Spark's own means, alone or in a `Pipeline`. The rows are written anew by each `transform`, so
    the same rows again are another run, which takes the committed answers of earlier ones from the store and asks only
    the rest. Changed rows bring the output up to date, and documents that are gone leave it; rows of another corpus
    need another output, such as `transform(rows, {stage.output: "other/"})`. The columns of the annotations are
    described at `Annotator.annotate`; errors of `transform` are those of `uniner_dist.annotate`.

    Every parameter may also be set later, by Spark's `set` or by the `params` of `transform`. One that is None is not
    set.

    Args:
        types: what to look for: ["person", "location"], "PER=person,ORG=company or institution", "@types.yaml" (a
            file), or {label: phrase or definition}. Must be set before `transform`.
        output: path or URL of the folder for the annotations: new, empty, or annotations of ours. Must be set before
            `transform`. The rows are written to `OUTPUT.corpus` first.
        id_column: column of unique ids, strings or integers; None: `doc_id`.
        text_column: column of texts; None: `text`.
        keep_columns: further columns to carry into the annotations.
        model: "demo" (a small demonstration model for CPUs), a Hugging Face name, or a folder with a model. None: what
            `settings` or `config` say, else "demo".
        scores: compute confidences in [0, 1] of answers and mentions; else the columns `score` are null.
        workdir: path or URL of the folder of runs; None: `OUTPUT.work`.
        config: path of a YAML file of the configuration, or several of which later ones win.
        settings: any other option by its dotted name, such as {"pool.replicas": 2}.

    Example:
        >>> stage = ud.AnnotationTransformer(types=["person"], output="annotations/")  # doctest: +SKIP
        >>> annotations = Pipeline(stages=[stage]).fit(rows).transform(rows)           # doctest: +SKIP
        >>> people = annotations.where("outcome = 'found'").select("doc_id", "entities.text")  # doctest: +SKIP
    """

    __module__ = "uniner_dist"  # the name that is saved is the public one

    types = Param(Params._dummy(), "types", "entity types: list, text or {label: question}", _as_json)
    output = Param(Params._dummy(), "output", "folder for the annotations", TypeConverters.toString)
    id_column = Param(Params._dummy(), "id_column", "column of unique ids", TypeConverters.toString)
    text_column = Param(Params._dummy(), "text_column", "column of texts", TypeConverters.toString)
    keep_columns = Param(Params._dummy(), "keep_columns", "columns to carry into the annotations", _as_list)
    model = Param(Params._dummy(), "model", "demo, a Hugging Face name, or a folder", TypeConverters.toString)
    scores = Param(Params._dummy(), "scores", "whether confidences are written", TypeConverters.toBoolean)
    workdir = Param(Params._dummy(), "workdir", "folder of runs", TypeConverters.toString)
    config = Param(Params._dummy(), "config", "YAML files", _as_list)
    settings = Param(Params._dummy(), "settings", "any other option by its dotted name", _as_json)

    def __init__(
        self,
        *,
        types: str | Sequence[str] | Mapping[str, str] | None = None,
        output: str | None = None,
        id_column: str | None = None,
        text_column: str | None = None,
        keep_columns: str | Sequence[str] | None = None,
        model: str | None = None,
        scores: bool | None = None,
        workdir: str | None = None,
        config: str | Sequence[str] | None = None,
        settings: Mapping[str, object] | None = None,
    ) -> None:
        super().__init__()
        given = {
            "types": types,
            "output": output,
            "id_column": id_column,
            "text_column": text_column,
            "keep_columns": keep_columns,
            "model": model,
            "scores": scores,
            "workdir": workdir,
            "config": config,
            "settings": settings,
        }
        self._set(**{name: value for name, value in given.items() if value is not None})

    def _transform(self, dataset: DataFrame) -> DataFrame:
        """Annotate, publish, and read what is published.

        Raises:
            ConfigError: types or output are not set, or what `uniner_dist.annotate` says.
        """
        given = {param.name: self.getOrDefault(param) for param in self.params if self.isDefined(param)}
        if missing := [name for name in ("types", "output") if name not in given]:
            raise ConfigError([f"{name}: is not set: AnnotationTransformer({name}=…)" for name in missing])
        report = annotate(dataset, given.pop("types"), **given)
        return read_table(dataset.sparkSession, report.output)
