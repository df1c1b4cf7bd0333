"""A real HDFS on loopback: a namenode and a datanode of Hadoop 2.7, whose jars pyspark 2.4.8 brought along on PyPI.

They are fetched once into a cache outside of the repository (220 MB), and run on the Java that Spark runs on.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

PYSPARK = "pyspark==2.4.8"
#: Beginnings of the jars' names that the two servers need.
_JARS = (
    *("hadoop-", "jetty-", "jersey-", "javax.", "commons-", "guava-", "log4j-", "slf4j-", "protobuf-", "netty-"),
    *("htrace-", "jsp-api-", "xmlenc-", "xercesImpl-", "leveldbjni-", "jackson-core-asl-", "jackson-mapper-asl-"),
)
_SERVERS = "org.apache.hadoop.hdfs.server"
#: What Hadoop 2.7 reaches into and newer Javas keep closed.
_OPENED = (
    "--add-exports=java.security.jgss/sun.security.krb5=ALL-UNNAMED",
    *(f"--add-opens=java.base/{package}=ALL-UNNAMED" for package in ("java.lang", "java.nio", "sun.nio.ch")),
)
_SETTINGS = {
    "dfs.replication": "1",
    "dfs.permissions.enabled": "false",
    "dfs.webhdfs.enabled": "false",
    "dfs.namenode.http-address": "127.0.0.1:0",
    "dfs.namenode.safemode.threshold-pct": "0",
    "dfs.datanode.address": "127.0.0.1:0",
    "dfs.datanode.ipc.address": "127.0.0.1:0",
    "dfs.datanode.http.address": "127.0.0.1:0",
}
_PATIENCE_S = 1200.0


@contextmanager
def hdfs() -> Iterator[str]:
    """URL of the root of an empty HDFS, for as long as the block lasts; skips the test where it cannot be had."""
    pytest.importorskip("hdfs_native")
    jars = _jars()
    with tempfile.TemporaryDirectory(prefix="hdfs-") as folder, socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
        probe.close()
        java = _configure(Path(folder), jars, port)
        subprocess.run([*java, f"{_SERVERS}.namenode.NameNode", "-format", "-nonInteractive"], check=True, stderr=-3)
        names = ("namenode.NameNode", "datanode.DataNode")
        servers = [subprocess.Popen([*java, f"{_SERVERS}.{name}"], stdout=-3, stderr=-3) for name in names]
        try:
            _wait(f"hdfs://127.0.0.1:{port}", servers)
            yield f"hdfs://127.0.0.1:{port}"
        finally:
            for server in servers:
                server.kill()
            for server in servers:
                server.wait(60)


def _configure(folder: Path, jars: Path, port: int) -> list[str]:
    """Write what both servers read; returns the command line before the name of a server."""
    own = {"fs.defaultFS": f"hdfs://127.0.0.1:{port}", "hadoop.tmp.dir": str(folder / "data")}
    for name, settings in {"core-site.xml": own, "hdfs-site.xml": _SETTINGS}.items():
        entries = [f"<property><name>{key}</name><value>{value}</value></property>" for key, value in settings.items()]
        (folder / name).write_text(f"<configuration>{''.join(entries)}</configuration>")
    for place in ("hdfs", "datanode"):  # their pages are not in the jars, and the servers insist on a folder of them
        web = folder / "webapps" / place / "WEB-INF"
        web.mkdir(parents=True)
        (web / "web.xml").write_text("<web-app/>")
    return ["java", "-Xmx256m", "-cp", f"{folder}:{jars}/*", *_OPENED]


def _wait(url: str, servers: list[subprocess.Popen[bytes]]) -> None:
    """Wait until a file can be written, which takes a namenode and a datanode that know of each other."""
    from uniner_dist.storage.filesystem import remove, write_bytes
    from uniner_dist.storage.retries import StorageError

    port = int(url.rsplit(":", 1)[1])
    deadline = time.monotonic() + _PATIENCE_S
    words = "nobody listens"
    while True:
        assert [server.poll() for server in servers] == [None, None], "a server of HDFS ended"
        assert time.monotonic() < deadline, f"HDFS does not take files: {words}"
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            write_bytes(f"{url}/ready", b"1")
            return remove(f"{url}/ready")
        except (OSError, StorageError) as error:
            words = str(error)
        time.sleep(1)


def _jars() -> Path:
    """A folder of jars, fetched when it is not in the cache yet."""
    folder = Path("~/.cache/uniner-dist/tests").expanduser() / "hadoop-2.7.3"
    if folder.is_dir():
        return folder
    with tempfile.TemporaryDirectory(prefix="hadoop-") as place:
        constraint = Path(place) / "constraint.txt"
        constraint.write_text("pypandoc<1.8\n")  # what the package's build of its time asks for
        command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--no-binary", ":all:", "-d", place]
        environment = {**os.environ, "PIP_CONSTRAINT": str(constraint)}
        done = subprocess.run([*command, PYSPARK], env=environment, capture_output=True, text=True)
        if done.returncode:
            pytest.skip(f"pip cannot fetch {PYSPARK}: {done.stderr[-300:]}")
        partial = folder.with_name(f"{folder.name}.{os.getpid()}")
        partial.mkdir(parents=True)
        with tarfile.open(next(Path(place).glob("pyspark-*.tar.gz"))) as archive:
            for member in archive:
                name = member.name.rpartition("/")[2]
                content = archive.extractfile(member) if name.endswith(".jar") and name.startswith(_JARS) else None
                if content is not None:
                    with content, (partial / name).open("wb") as target:
                        shutil.copyfileobj(content, target)
        with contextlib.suppress(OSError):
            partial.replace(folder)
    return folder
