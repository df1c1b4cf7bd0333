"""The Spark session of one stage of the main job."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from uniner_dist.reporting.live import SparkWatch
from uniner_dist.run.run import Run
from uniner_dist.runtime.signals import uninterrupted


@contextmanager
def spark_for(run: Run, stage: str) -> Iterator[Any]:
    """Context of one stage's Spark session, whose progress is shown and written.

    Args:
        run: its configuration has the session's settings; for a corpus below `QUICK_BYTES` a local session is started
            in half the time.
        stage: name of the stage that is shown with the progress, such as "prompts".

    Yields:
        The session: the one that this process has already, else a new one that ends with the block.
    """
    from uniner_dist.spark.session import QUICK_BYTES, spark_session

    silence_py4j()
    with ExitStack() as stack:
        with uninterrupted():
            quick = run.corpus_bytes < QUICK_BYTES
            session = stack.enter_context(spark_session(run.config, quick=quick))
        stack.enter_context(SparkWatch(session, stage, run.layout.spark_progress))
        yield session


def silence_py4j() -> None:
    """Silence py4j, which logs a stack trace for every call that a stop interrupts."""
    logging.getLogger("py4j").setLevel(logging.CRITICAL + 1)
    logging.getLogger().addFilter(_is_not_py4j)


def _is_not_py4j(record: logging.LogRecord) -> bool:
    """False for what py4j says to the root logger instead of its own."""
    return record.msg != "Exception while sending command."
