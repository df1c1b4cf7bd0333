"""Uses of Ray's private modules."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

#: Loggers that report each step of starting Ray on Spark's executors.
SPARK_CLUSTER_LOGGERS: Final = ("ray.util.spark", "ray.autoscaler._private.spark.spark_job_server")


def address_of_this_machine() -> str | None:
    """Return `host:port` of the cluster that `ray.init("auto")` would join; None where there is none.

    Ray's public functions say so only by trying to join.
    """
    from ray._private import services

    try:
        address: str | None = services.canonicalize_bootstrap_address("auto")
    except ConnectionError:
        return None
    return address


@contextmanager
def environment_read_again(alone: bool) -> Iterator[None]:
    """Let Ray reread its mode, token and port range: it reads them when it is imported, perhaps long ago by the user.

    Args:
        alone: whether the cluster is one of ours, on loopback; then Ray's support for clusters of several machines
            (`ENABLE_RAY_CLUSTER`) is off during the block.

    Yields:
        Nothing; the environment has been read again when the block begins.
    """
    from ray._private import ray_constants

    with suppress(ImportError, AttributeError):  # internals of Ray that it uses for this itself
        from ray._raylet import AuthenticationTokenLoader, Config  # type: ignore[attr-defined]

        Config.initialize("")
        AuthenticationTokenLoader.instance().reset_cache()
    if not alone or not hasattr(ray_constants, "ENABLE_RAY_CLUSTER"):
        yield
        return
    before, ray_constants.ENABLE_RAY_CLUSTER = ray_constants.ENABLE_RAY_CLUSTER, False
    try:
        yield
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = before
