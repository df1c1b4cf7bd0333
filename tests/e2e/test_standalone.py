"""A real standalone cluster on whose machines nothing of this project is installed, used as docs/clusters.md says."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import venv
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import BIN, ROOT, SCRIPTED, annotate, read_rows, rows_on_store, run
from tests.support.clouds import CLOUDS, cloud, forget_clients
from tests.support.ray_cluster import ACCESS, bare_environment, ray_head
from tests.support.standalone_cluster import StandaloneCluster, standalone_cluster
from uniner_dist.storage.filesystem import find_details, open_fs, read_bytes, write_bytes

pytestmark = [pytest.mark.e2e, pytest.mark.spark, pytest.mark.ray, pytest.mark.slow]
#: A JVM that is warm soon.
QUICK_JAVA = "-XX:+UseSerialGC -XX:TieredStopAtLevel=1"
#: Folder of what the cluster's machines write down.
LOGS = "cluster"
LOGS_OF_SPARK = ("master.log", "stdout", "stderr")
LOGS_OF_RAY = (".log", ".out", ".err")
Rows = dict[tuple[str, str], dict[str, Any]]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StandaloneCluster]:
    with standalone_cluster(tmp_path_factory.mktemp(LOGS), without=["PYTHONPATH"]) as running:
        yield running


@pytest.fixture(scope="module")
def bare_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An interpreter with the standard library alone."""
    folder = tmp_path_factory.mktemp("bare")
    venv.create(folder, with_pip=False)
    python = folder / "bin/python"
    env = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    for package in ("uniner_dist", "pyarrow", "pyspark"):
        done = subprocess.run([python, "-c", f"import {package}"], cwd=folder, env=env, capture_output=True, text=True)
        assert "ModuleNotFoundError" in done.stderr
    return python


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `make package` writes; the environment it packs from is the one that runs this test."""
    folder = tmp_path_factory.mktemp("dist")
    run(["make", "-C", str(ROOT), "-o", ".venv/.ready", "package", f"DIST={folder}", "MORE=gcsfs adlfs"])
    return folder


@pytest.fixture
def small_defaults(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cluster's own settings (SPARK_CONF_DIR), fit for a few rows: Spark's 200 shuffle partitions take minutes."""
    folder = tmp_path_factory.mktemp("conf")
    lines = ["spark.sql.shuffle.partitions 2", "spark.ui.enabled false", "spark.executor.memory 768m"]
    lines += [f"spark.{part}.extraJavaOptions {QUICK_JAVA}" for part in ("driver", "executor")]
    (folder / "spark-defaults.conf").write_text("\n".join(lines))
    monkeypatch.setenv("SPARK_LOCAL_IP", "127.0.0.1")
    monkeypatch.setenv("SPARK_CONF_DIR", str(folder))


@pytest.fixture(scope="module")
def local_rows(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Rows:
    """What this machine alone publishes."""
    output = tmp_path_factory.mktemp("local") / "out"
    run(annotate(corpus, output, *SCRIPTED))
    return read_rows(output)


def documented(replace: Mapping[str, str], *more: str) -> list[str]:
    """The spark-submit command of docs/clusters.md, with its placeholders replaced."""
    page = (ROOT / "docs/clusters.md").read_text()
    words = page[page.index("spark-submit --master") : page.index("```\n", page.index("spark-submit --master"))]
    for placeholder, value in replace.items():
        assert placeholder in words, placeholder
        words = words.replace(placeholder, value)
    return [*shlex.split(words.replace("\\\n", " ")), *more]


def test_executors_need_nothing_but_python(
    cluster: StandaloneCluster,
    bare_python: Path,
    dist: Path,
    corpus: Path,
    small_defaults: None,
    local_rows: Rows,
    tmp_path: Path,
) -> None:
    places = {
        "spark-submit --master": f"{BIN}/spark-submit --master",
        "spark://host:7077": cluster.url,
        "dist/": f"{dist}/",
        "python=python3.11": f"python={bare_python}",
        ".venv/bin/python": sys.executable,
        "jobs/": f"{ROOT}/jobs/",
        "CORPUS": str(corpus),
        "OUTPUT": str(tmp_path / "out"),
    }
    run(documented(places, *SCRIPTED))
    assert read_rows(tmp_path / "out") == local_rows


def test_ray_runs_on_the_executors_of_the_same_cluster(
    cluster: StandaloneCluster, corpus: Path, local_rows: Rows, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_ON_SPARK_RAY_WORKER_NODE_STARTUP_INTERVAL", "1")  # seconds between two nodes, not 10
    quick = f"spark.executor.extraJavaOptions: {QUICK_JAVA}"
    conf = f"{{spark.executor.memory: 512m, spark.sql.shuffle.partitions: '2', {quick}}}"
    nodes = "{max_worker_nodes: 1, num_cpus_worker_node: 1, num_gpus_worker_node: 0, memory_worker_node: 536870912}"
    settings = {"spark.master": cluster.url, "spark.conf": conf, "ray.address": "spark", "ray.spark": nodes}
    more = [word for key, value in settings.items() for word in ("--set", f"{key}={value}")]
    run(annotate(corpus, tmp_path / "out", *SCRIPTED, *more))
    assert read_rows(tmp_path / "out") == local_rows


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("scheme", CLOUDS)
def test_three_jobs_on_two_clusters_share_nothing_but_the_storage(
    scheme: str,
    cluster: StandaloneCluster,
    bare_python: Path,
    dist: Path,
    corpus: Path,
    small_defaults: None,
    local_rows: Rows,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Spark's machines have no Ray and no project, Ray's neither Spark, project nor Java; they share a bucket.

    The credentials of the bucket are in the environment of the starting machine only, and in nobody's files.
    """
    with cloud(scheme) as store, ray_head(bare_environment(tmp_path)) as head:
        for name, value in {**store.environment, **ACCESS}.items():
            monkeypatch.setenv(name, value)
        forget_clients()
        for path in corpus.rglob("*.parquet"):
            write_bytes(f"{store.url}/corpus/{path.relative_to(corpus)}", path.read_bytes())
        options = ["--archives", f"{dist}/uniner-dist-spark.tar.gz#uniner-dist"]
        for name, setting in {
            "spark.executorEnv.PYTHONPATH": "uniner-dist",
            "spark.pyspark.python": bare_python,
            "spark.pyspark.driver.python": sys.executable,
        }.items():
            options += ["--conf", f"{name}={setting}"]
        submit = [f"{BIN}/spark-submit", "--master", cluster.url, *options]
        places = ["--corpus", f"{store.url}/corpus", "--output", f"{store.url}/out", "--types", "person,location"]
        where = ["--workdir", f"{store.url}/work"]
        joined = ["--set", f"ray.address={head.address}"]
        said = run([*submit, f"{ROOT}/jobs/prompts.py", *places, *where, *SCRIPTED, *joined], timeout_s=1200)
        said += run([sys.executable, f"{ROOT}/jobs/completions.py", *where, *joined], timeout_s=1200)
        said += run([*submit, f"{ROOT}/jobs/annotations.py", *where], timeout_s=1200)
        assert rows_on_store(f"{store.url}/out") == local_rows
        assert not head.tripped.exists(), "somebody called for Java on Ray's machine"
        written = {"terminal": said} | {name: read_bytes(name).decode(errors="replace") for name in files(store.url)}
        for folder in (tmp_path.parent / f"{LOGS}0", head.folder):
            logs = [file for file in folder.rglob("*") if file.name in LOGS_OF_SPARK or file.suffix in LOGS_OF_RAY]
            assert logs
            written |= {str(file): file.read_text(errors="replace") for file in logs}
        assert [name for name, text in written.items() if any(secret in text for secret in store.secrets)] == []
    forget_clients()


def files(url: str) -> list[str]:
    """Every object of a bucket, hidden ones too, as URLs."""
    fs, stripped = open_fs(url)
    return [f"{url}{name[len(stripped) :]}" for name in find_details(fs, stripped)]
