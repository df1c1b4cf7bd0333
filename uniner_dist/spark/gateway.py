"""Starts Spark's Java process without one warning that no setting of Java or Spark turns off.

Spark 4 adds the module `jdk.incubator.vector` to every Java process, and Java warns of it before it reads any
configuration. Everything else that the process writes to its standard error is passed on as it comes.
"""

from __future__ import annotations

import os
import threading
from typing import Any

from pyspark import SparkConf
from pyspark.java_gateway import launch_gateway

from uniner_dist.runtime.compat.spark_internals import has_gateway, use_gateway

_NOISE = b"WARNING: Using incubator modules"


def start_java(conf: SparkConf) -> None:
    """Start the process that the next session of this process will use, unless there is one already.

    Args:
        conf: what is to be known when Java starts: the driver's memory and Java's options.

    Raises:
        Exception: as pyspark raises it where Java does not start; what it printed has been passed on.
    """
    if has_gateway() or "PYSPARK_GATEWAY_PORT" in os.environ or "SPARK_REMOTE" in os.environ:
        return
    reading, writing = os.pipe()
    forwarding = threading.Thread(target=_forward, args=(reading,), name="standard error of Java", daemon=True)
    forwarding.start()
    started = False
    launch: Any = launch_gateway
    try:
        # This process handles signals to its whole group (timeout, systemd).
        gateway = launch(conf, {"stderr": writing, "process_group": 0})
        started = True
    finally:
        os.close(writing)
        if not started:
            forwarding.join(timeout=5)
    use_gateway(gateway, conf)


def _forward(reading: int) -> None:
    with open(reading, "rb", buffering=0) as stream:
        pending = b""
        while chunk := stream.read(1 << 16):
            *lines, pending = (pending + chunk).split(b"\n")
            _pass_on([line + b"\n" for line in lines])
            if not _NOISE.startswith(pending[: len(_NOISE)]):
                _pass_on([pending])
                pending = b""
        _pass_on([pending])


def _pass_on(lines: list[bytes]) -> None:
    text = b"".join(line for line in lines if not line.startswith(_NOISE))
    if text:
        os.write(2, text)
