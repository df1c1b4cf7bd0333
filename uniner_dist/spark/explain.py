"""Explains Spark's exceptions: one message without a stack trace, with advice. Pure."""

from __future__ import annotations

import re
import sys

from uniner_dist.core.characters import visible
from uniner_dist.errors import StageError, UninerError
from uniner_dist.spark.task_errors import unsealed


def explain(error: Exception, name: str) -> UninerError:
    """Return an error of this package that explains a Spark exception in one message without a stack trace.

    Args:
        error: an exception of pyspark or Py4J.
        name: what was running, such as the stage `prompts`; messages begin with it.

    Returns:
        The error of this package that a task raised, if the exception carries one (`task_errors`); else a StageError
        that says what to do, and whether the same command would resume or fail again.
    """
    text = str(error)
    own = unsealed(text)
    if own is not None:
        return own
    file = re.search(r"(?:file|path):? +((?:file|s3a?|gs|hdfs|abfss?):[^\s,]+)", text)
    cause = _cause(text)
    module = re.search(r"ModuleNotFoundError: No module named '([^']+)'", text)
    if "conflicting directory structures" in text.lower():
        return StageError(
            f"{name}: the corpus's path has the partition folders of several datasets below it; give the folder of one"
        )
    if module:
        return StageError(
            f"{name}: the Python of Spark's workers has no {module.group(1)}: start Spark with PYSPARK_PYTHON="
            f"{sys.executable} (or the like, where its machines are others), or pack what they need (docs/clusters.md)"
        )
    if file:
        path = file.group(1).rstrip(".")
        return StageError(f"{name}: {path} cannot be read ({cause}); {_remedy(path, text)} and start again")
    if "OutOfMemoryError" in text:
        return StageError(
            f"{name}: Spark ran out of memory ({cause}); give it more by --set spark.conf or spark-submit"
        )
    if "No space left on device" in text:
        return StageError(f"{name}: no space left on device; free some and start the same command again")
    if _is_lasting(error, text):
        return StageError(f"{name}: Spark failed: {cause}; the same command would fail again")
    return StageError(f"{name}: Spark failed: {cause}; the same command resumes")


def _remedy(path: str, text: str) -> str:
    """Advice about a file that Spark cannot read, which is not always the file's own fault."""
    folder, _, file = path.rpartition("/")
    if "ChecksumException" in text:
        return f"its checksum file is of an earlier version of it: remove {folder}/.{file}.crc"
    if "URISyntaxException" in text:
        return "Hadoop cannot spell its name: rename it, without a colon"
    if "Codec" in text and "not found" in text:
        return "Spark has no codec for its compression: write it with zstd or snappy"
    if "Crypto" in text or "ncrypted" in text:
        return "it is encrypted: write the corpus without encryption"
    return "it is damaged, or written as this Spark does not read it: write it again, or leave it out,"


def _is_lasting(error: Exception, text: str) -> bool:
    """Whether the error is permanent, so that a retry fails in the same way."""
    kinds = {kind.__name__ for kind in type(error).__mro__}
    refused = {"AnalysisException", "ParseException", "IllegalArgumentException", "PySparkTypeError"}
    return bool(kinds & refused) or re.search(r"\[(UNSUPPORTED_|DATATYPE_|AMBIGUOUS_|UNRESOLVED_)", text) is not None


def _cause(text: str) -> str:
    """The deepest `Caused by` line, or Spark's own error class and its sentence, at most 300 characters."""
    python = re.findall(r"^[\w.]*(?:Error|Exception): .*$", text, re.MULTILINE) if "Traceback (most" in text else []
    causes = python or re.findall(r"^Caused by: (?:[\w.$]+\.)?(.*)$", text, re.MULTILINE)
    line = causes[-1] if causes else next((line for line in text.splitlines() if line.strip()), "no message")
    return line.strip()[:300].rstrip(".")


def is_from_spark(error: Exception) -> bool:
    """Return whether an exception comes from Spark or from the bridge to its JVM.

    Args:
        error: any exception; the module that defines its class decides.
    """
    return type(error).__module__.split(".")[0] in ("pyspark", "py4j")


def java_errors() -> tuple[type[Exception], ...]:
    """Return the classes in which Java's exceptions reach Python: some come as pyspark's own, the rest as Py4J's."""
    from py4j.protocol import Py4JError
    from pyspark.errors import PySparkException

    return (Py4JError, PySparkException)


def reason(error: Exception) -> str:
    """Return what went wrong in one line of at most 300 characters, all of them printable.

    Args:
        error: an exception of Py4J, pyspark or this package; of a Java exception its `toString()` is taken.
    """
    java = getattr(error, "java_exception", None)
    said = str(java.toString() if java is not None else error).strip() or type(error).__name__
    return visible(said.splitlines()[0])[:300]
