"""Annotates a whole Spark DataFrame by the three stages, with the warm pool for completions.

Takes a DataFrame of a classic session; returns one that reads the published annotations. The rows go to the workdir as
Parquet and never through this process; from there on it is the main job, with its checks and its store.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from uniner_dist.errors import ConfigError
from uniner_dist.notebook.inputs import Columns
from uniner_dist.notebook.warm_pool import WarmPool
from uniner_dist.pipeline.spark_for import silence_py4j
from uniner_dist.pipeline.stages import annotate
from uniner_dist.runtime.signals import StopRequest
from uniner_dist.schemas import ANNOTATION_FIELDS
from uniner_dist.spark.datasets import read_table, write_table
from uniner_dist.spark.stage import stage
from uniner_dist.spark.types import column
from uniner_dist.storage.filesystem import join

#: Names of the stages' job groups in Spark, which a stop must cancel.
_GROUPS = tuple(f"uniner-dist {name}" for name in ("corpus", "prompts", "annotations"))


def annotate_frame(warm: WarmPool, data: Any, columns: Columns, types: Any) -> Any:
    """Annotate every row of a Spark DataFrame.

    Args:
        warm: the pool that answers; its folders get the rows, the run and the annotations.
        data: a DataFrame of a classic session, which also runs the stages.
        columns: id, text and kept columns of `data`.
        types: entity types in any form that `config.questions.parse_types` takes.

    Returns:
        A DataFrame of the same session that reads the published annotations from the workdir: id, kept columns, and
        `schemas.ANNOTATION_FIELDS`. It can be read as long as the workdir exists.

    Raises:
        ConfigError: wrong types, or no folder that Spark's machines share.
        UninerError: what `pipeline.annotate` raises.
    """
    spark = data.sparkSession
    _check_workdir(spark, warm)
    folder = join(warm.frames, f"{warm.session}-{warm.next_number()}")
    options = {
        "corpus__path": join(folder, "corpus"),
        "corpus__id_column": columns.id_name,
        "corpus__text_column": columns.text,
        "corpus__keep_columns": columns.keep,
        "output__path": join(folder, "annotations"),
        "output__partition_by": (),
        "workdir": warm.workdir,
        "types": types,
    }
    warm.config(**options)  # wrong types are reported before Spark writes anything
    silence_py4j()
    names = dict.fromkeys([columns.id_name, columns.text, *columns.keep])
    try:
        with stage(spark, "corpus"):
            write_table(data.select(*[column(name) for name in names]), options["corpus__path"])
        pool = warm.pool()
        annotate(warm.config(**options), warm.say, pool)
        return _read(spark, options["output__path"], columns)
    except BaseException:
        if StopRequest.current is not None and StopRequest.current.requested:
            _cancel(spark)
        raise


def _read(spark: Any, path: str, columns: Columns) -> Any:
    kept: Sequence[str] = list(dict.fromkeys([columns.id_name, *columns.keep]))
    return read_table(spark, path).select(*[column(name) for name in [*kept, *(f.name for f in ANNOTATION_FIELDS)]])


def _check_workdir(spark: Any, warm: WarmPool) -> None:
    master = spark.sparkContext.master
    if warm.is_temporary and not master.startswith("local"):
        raise ConfigError(
            f"workdir: Spark runs on {master}, whose machines need a folder that all see: "
            "Annotator(workdir='s3://…' or another shared place)"
        )


def _cancel(spark: Any) -> None:
    """Cancel the Spark jobs of a stopped call, which would continue otherwise."""
    for group in _GROUPS:
        spark.sparkContext.cancelJobGroup(group)
