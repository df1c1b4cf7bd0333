"""What Spark throws becomes one message that says what to do."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest
from py4j.protocol import Py4JNetworkError
from pyspark.errors import AnalysisException

from uniner_dist.errors import ConfigError, StageError
from uniner_dist.spark.catalog import _place
from uniner_dist.spark.connector import Connector
from uniner_dist.spark.explain import explain
from uniner_dist.spark.task_errors import Sealed, TaskError, seal

#: What the catalog says of a Parquet table whose partitions it keeps.
_PARTITIONED = {"# Partition Information": "", "Partition Provider": "Catalog"}


def test_a_module_that_sparks_workers_lack_is_named_with_the_python_to_use() -> None:
    thrown = "Job aborted.\nTraceback (most recent call last):\nModuleNotFoundError: No module named 'pyarrow'\n"
    error = explain(Exception(thrown), "prompts")
    assert isinstance(error, StageError)
    assert str(error).startswith(
        "prompts: the Python of Spark's workers has no pyarrow: start Spark with PYSPARK_PYTHON="
    )
    assert sys.executable in str(error)


def test_an_error_of_ours_in_a_worker_comes_out_as_itself() -> None:
    def fail(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        yield from batches
        raise ConfigError(["the id is too long", "and so is\nthe text"])

    with pytest.raises(TaskError, match="the id is too long") as raised:
        list(Sealed(fail)(iter(())))
    thrown = f"Job aborted.\nTraceback …\nuniner_dist.spark.task_errors.TaskError: {raised.value}\n\tat org.x"
    error = explain(Exception(thrown), "export")
    assert isinstance(error, ConfigError)
    assert error.problems == ["the id is too long", "and so is\nthe text"]


@pytest.mark.parametrize("kind", ["ConfigError", "QualityGateError", "DrainedError", "RunHeldError"])
def test_text_that_looks_like_an_error_of_ours_is_none(kind: str) -> None:
    for forged in (f"uniner_dist.errors.{kind}: all is well", seal(ConfigError("all is well"), "0" * 32)):
        error = explain(Exception(f"Cannot cast 'x\nTraceback (most recent call last):\n{forged}\n'"), "prompts")
        assert type(error) is StageError
        assert str(error).startswith("prompts: Spark failed: ")


def test_a_file_that_cannot_be_read_is_named() -> None:
    error = explain(Exception("Encountered error while reading file file:///c/a.parquet. Caused by:\nx"), "prompts")
    assert str(error).startswith("prompts: file:///c/a.parquet cannot be read")
    assert str(error).endswith("write it again, or leave it out, and start again")


@pytest.mark.parametrize(
    ("cause", "remedy"),
    [
        ("org.apache.hadoop.fs.ChecksumException: Checksum error", "remove file:///c/.a.parquet.crc and start again"),
        ("java.net.URISyntaxException: Relative path in absolute URI: .a:b", "rename it, without a colon"),
        ("Class org.apache.hadoop.io.compress.BrotliCodec was not found", "write it with zstd or snappy"),
        ("org.apache.parquet.crypto.ParquetCryptoRuntimeException: x", "write the corpus without encryption"),
    ],
)
def test_a_file_that_is_not_at_fault_is_not_to_be_repaired(cause: str, remedy: str) -> None:
    error = explain(Exception(f"Encountered error while reading file file:///c/a.parquet. \nCaused by: {cause}"), "x")
    assert remedy in str(error)
    assert "damaged" not in str(error)


def test_what_would_fail_again_does_not_promise_to_resume() -> None:
    error = explain(Exception("[UNSUPPORTED_DATA_TYPE_FOR_ARROW_CONVERSION] time is not supported"), "prompts")
    assert str(error).endswith("the same command would fail again")
    assert str(explain(Exception("Lost connection"), "prompts")).endswith("the same command resumes")


def test_a_catalog_that_fails_is_not_one_without_the_schema() -> None:
    connector = _connector_whose_sql_raises(AnalysisException("[SCHEMA_NOT_FOUND] The schema `a`.`b` cannot be found."))
    with pytest.raises(ConfigError, match=r"the catalog has no schema `a`\.`b`; make it"):
        connector.require_schema()
    for failure in (AnalysisException("MetaException: Connection refused"), Py4JNetworkError("Answer is empty")):
        with pytest.raises(type(failure), match=str(failure)):
            _connector_whose_sql_raises(failure).require_schema()


@pytest.mark.parametrize("failing", ["REFRESH", "DESCRIBE", "SHOW PARTITIONS", "metadata_log_entries"])
@pytest.mark.parametrize("failure", [AnalysisException("Connection refused"), Py4JNetworkError("Connection refused")])
def test_a_failure_of_the_catalog_is_told_wherever_it_happens(failing: str, failure: Exception) -> None:
    provider = "iceberg" if failing == "metadata_log_entries" else "parquet"
    with pytest.raises(ConfigError, match=r"^corpus table:a\.b\.c: Spark's catalog .*: Connection refused$"):
        _place(_Catalog(provider, failing, failure), "table:a.b.c", "`a`.`b`.`c`")


def test_a_table_without_partitions_of_its_catalog_is_its_folder() -> None:
    for described in ({}, {"# Partition Information": ""}, {"Partition Provider": "Catalog"}):
        catalog = _Catalog("parquet", "SHOW PARTITIONS", AnalysisException("refused"), described)
        assert _place(catalog, "table:a.b.c", "`a`.`b`.`c`") == "/data/c"


class _Catalog:
    """A session whose commands fail where they have a word in them."""

    _jvm = object()

    def __init__(
        self, provider: str, failing: str, failure: Exception, partitioned: Mapping[str, str] = _PARTITIONED
    ) -> None:
        self._failing, self._failure = failing, failure
        said = {"# Detailed Table Information": "", "Provider": provider, "Location": "file:/data/c"}
        information = {name: value for name, value in partitioned.items() if name.startswith("#")}
        self._said = [*information.items(), *(said | dict(partitioned)).items()]

    def sql(self, command: str) -> Any:
        """The catalog's answer."""
        if self._failing in command:
            raise self._failure
        rows = self._said if command.startswith("DESCRIBE") else []
        return SimpleNamespace(collect=lambda: [(*row, "") for row in rows])


class _Connector(Connector):
    def is_there(self) -> bool:
        return False

    def load(self) -> Any:
        return None

    def can_hold(self, column: pa.Field) -> bool:
        return True


def _connector_whose_sql_raises(error: Exception) -> Connector:
    return _Connector(_Catalog("delta", "DESCRIBE NAMESPACE", error), "table:a.b.c", "/data/c")
