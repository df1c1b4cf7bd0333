"""What can be known of a cluster and of an engine is told before a run's folder is made and before Spark starts."""

from __future__ import annotations

import importlib.util
import re
import socket
from pathlib import Path
from typing import Any

import pytest

from uniner_dist import demo
from uniner_dist.cluster.reachable import unreachable
from uniner_dist.config.loading import load_config
from uniner_dist.errors import ConfigError
from uniner_dist.pipeline.engines import require_engines
from uniner_dist.pipeline.stages import annotate
from uniner_dist.runtime.compat.vllm_sources import known_quantizations


def config(folder: Path, **settings: Any) -> Any:
    options = {"corpus.path": demo.corpus_path(), "output.path": f"{folder}/out", "types": "person"}
    return load_config(None, options={**options, **{key.replace("__", "."): value for key, value in settings.items()}})


@pytest.fixture
def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@pytest.mark.parametrize("address", ["nowhere", "host:", ":6379", "http://host:8265", "ray://host", "a b:1"])
def test_an_address_that_names_no_cluster_is_refused(address: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r'ray.address: .* is none of "local"'):
        config(tmp_path, ray__address=address)


@pytest.mark.parametrize("form", ["127.0.0.1:{}", "ray://127.0.0.1:{}"])
def test_a_cluster_that_is_not_there_is_told_before_a_folder_is_made(
    form: str, closed_port: int, tmp_path: Path
) -> None:
    address = form.format(closed_port)
    with pytest.raises(ConfigError, match=re.escape(f"ray.address {address}: Connection refused: start the cluster")):
        annotate(config(tmp_path, ray__address=address))
    assert list(tmp_path.iterdir()) == []


def test_auto_means_what_ray_address_names(closed_port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", f"127.0.0.1:{closed_port}")
    assert unreachable("auto") == f"auto (RAY_ADDRESS is 127.0.0.1:{closed_port}): Connection refused"
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setenv("RAY_ADDRESS", f"127.0.0.1:{server.getsockname()[1]}")
        assert unreachable("auto") is None
    assert unreachable("local") is None
    assert unreachable("spark") is None
    assert unreachable("no-such-host.invalid:6379") is not None


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("fp9", "vLLM knows none that is called 'fp9'; did you mean 'fp8'?"),
        ("zzz", "vLLM knows none that is called 'zzz'; it knows awq, "),
        ("fp8", "vLLM runs weights that are quantized by fp8 in bfloat16 or float16 only"),
    ],
)
def test_a_quantization_that_cannot_run_is_told_without_vllm(name: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=re.escape(words)):
        require_engines(config(tmp_path, model__quantization=name), "pool")


def test_quantizations_that_need_half_precision_are_those_of_vllm() -> None:

    found = importlib.util.find_spec("vllm")
    assert found is not None
    folder = Path(str(found.origin)).parent / "model_executor" / "layers" / "quantization"
    assert {"fp8", "fp8_per_tensor", "gptq", "awq"} <= set(known_quantizations())
    for name in ("fp8.py", "auto_gptq.py", "auto_awq.py", "online/base.py"):
        taken = re.search(r"def get_supported_act_dtypes.*?return (\[.*?\])", (folder / name).read_text(), re.DOTALL)
        assert taken is not None
        assert "float32" not in taken[1], f"{name} takes float32 now: pipeline.engines refuses it"
