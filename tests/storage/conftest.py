"""An S3 server on loopback that can be made sick."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.flaky import FlakyProxy, client_environment, flaky_s3
from uniner_dist.storage import retries


@pytest.fixture(scope="session")
def s3_server() -> Iterator[FlakyProxy]:
    """The server, once for all tests."""
    pytest.importorskip("s3fs")
    with flaky_s3() as proxy:
        yield proxy


@pytest.fixture
def s3(s3_server: FlakyProxy, monkeypatch: pytest.MonkeyPatch) -> Iterator[FlakyProxy]:
    """The server, well to begin with; this process talks to it at `s3://bucket`."""
    from s3fs import S3FileSystem

    for name, value in client_environment(s3_server, attempts=1).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(retries, "_WAITS_S", (0.01, 0.02, 0.04))
    # Tries of s3fs itself, with waits of up to a second between them, before each of ours.
    monkeypatch.setattr(S3FileSystem, "retries", 2)
    S3FileSystem.clear_instance_cache()
    s3_server.plan = lambda method, path: None
    s3_server.spoiled.clear()
    s3_server.requests.clear()
    yield s3_server
    s3_server.plan = lambda method, path: None
    S3FileSystem.clear_instance_cache()
