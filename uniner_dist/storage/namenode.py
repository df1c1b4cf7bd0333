"""Check that the namenode of an HDFS URL accepts connections: its client would try for minutes without a message."""

from __future__ import annotations

import socket
from functools import cache
from urllib.parse import urlsplit

from uniner_dist.storage.retries import StorageError, format_storage_error, with_retries

_TIMEOUT_S = 10.0


def require_namenode(url: str) -> None:
    """Connect to a namenode, once per process and namenode that answers.

    A URL without a port names a nameservice of HADOOP_CONF_DIR, which is left to the client.

    Args:
        url: an `hdfs://` URL of any path.

    Raises:
        StorageError: it accepts no connection.
    """
    parts = urlsplit(url)
    if parts.hostname and parts.port:
        _connect(parts.hostname, parts.port, f"{parts.scheme}://{parts.netloc}")


@cache
def _connect(host: str, port: int, url: str) -> None:
    try:
        with_retries(url, lambda: socket.create_connection((host, port), _TIMEOUT_S).close())
    except StorageError as error:
        words = format_storage_error(error.__cause__) if isinstance(error.__cause__, Exception) else str(error)
        raise StorageError(f"{url}: the namenode cannot be reached: {words}") from error
