"""What Spark throws becomes one message that says what to do."""

from __future__ import annotations

import sys

from uniner_dist.errors import ConfigError, StageError
from uniner_dist.spark.explain import explain


def test_a_module_that_sparks_workers_lack_is_named_with_the_python_to_use() -> None:
    thrown = "Job aborted.\nTraceback (most recent call last):\nModuleNotFoundError: No module named 'pyarrow'\n"
    error = explain(Exception(thrown), "prompts")
    assert isinstance(error, StageError)
    assert str(error).startswith(
        "prompts: the Python of Spark's workers has no pyarrow: start Spark with PYSPARK_PYTHON="
    )
    assert sys.executable in str(error)


def test_an_error_of_ours_in_a_worker_comes_out_as_itself() -> None:
    error = explain(Exception("Traceback …\nuniner_dist.errors.ConfigError: the id is too long\n\tat org.x"), "export")
    assert isinstance(error, ConfigError)
    assert error.problems == ["the id is too long"]


def test_a_file_that_cannot_be_read_is_named() -> None:
    error = explain(Exception("Encountered error while reading file file:///c/a.parquet. Caused by:\nx"), "prompts")
    assert str(error).startswith("prompts: file:///c/a.parquet cannot be read")
