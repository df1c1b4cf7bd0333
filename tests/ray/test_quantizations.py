"""A quantization that the device cannot run is refused in vLLM's words, before anything is started or asked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.ray.conftest import MakeRun
from tests.support.llama_checkpoint import write_config
from tests.support.pool import complete
from tests.support.tokenizer_factory import llama_json
from uniner_dist.completions.engine import quantization
from uniner_dist.config.loading import validate_tree
from uniner_dist.config.schema import Config
from uniner_dist.errors import ConfigError, PoolError
from uniner_dist.pipeline.engines import require_engines

pytestmark = [pytest.mark.ray, pytest.mark.vllm, pytest.mark.timeout(2400)]
AWQ = {"quant_method": "awq", "bits": 4, "group_size": 64, "version": "gemm", "zero_point": True}
WORDS = r"torch\.float32 is not supported for quantization method awq\. Supported dtypes: "


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNINER_DIST_CACHE", str(tmp_path / "cache"))


def quantized(folder: Path, method: dict[str, Any]) -> Path:
    folder.mkdir()
    (folder / "tokenizer.json").write_text(llama_json(legacy=True))
    write_config(folder, quantization_config=method)
    return folder


def configured(folder: Path, **model: Any) -> Config:
    tree = {"corpus": {"path": "c"}, "output": {"path": "o"}, "types": "person", "ray": {"address": "local"}}
    return validate_tree({**tree, "model": {"name": str(folder), **model}})


def test_the_vllm_of_this_machine_says_what_it_does_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = quantized(tmp_path / "m", AWQ)
    with pytest.raises(ConfigError, match="quantized by awq in bfloat16 or float16 only"):
        require_engines(configured(folder), "pool")  # known without asking; vLLM's own words are in the test below
    with pytest.raises(ConfigError, match="Unsupported num_bits = 3"):
        require_engines(configured(quantized(tmp_path / "three", {**AWQ, "bits": 3}), dtype="bfloat16"), "pool")
    require_engines(configured(folder, dtype="bfloat16"), "pool")
    monkeypatch.setattr(quantization, "_ask_in_a_process", None)  # what was accepted is not asked again
    require_engines(configured(folder, dtype="bfloat16"), "pool")


@pytest.mark.slow
def test_where_vllm_is_elsewhere_the_first_replica_decides(ray: Any, make_run: MakeRun, tmp_path: Path) -> None:
    folder = quantized(tmp_path / "m", AWQ)
    engine = {"kind": "vllm", "extra": {"load_format": "dummy"}}
    run = make_run(
        [["Marie Curie"]], ["person"], engine=engine, model={"name": str(folder)}, pool={"max_start_failures": 1}
    )
    require_engines(
        run.config.model_copy(update={"ray": run.config.ray.model_copy(update={"address": "auto"})}), "pool"
    )
    with pytest.raises(PoolError, match=WORDS):
        complete(run)
    assert not list(Path(run.layout.completions).glob("*.parquet"))
