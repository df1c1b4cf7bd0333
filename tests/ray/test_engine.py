"""What makes the real engine fast, on CPU: less is computed, and the answers are the same."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.support.engine_alone import TYPES
from tests.support.pool import sentences
from uniner_dist.completions.launch import replica_environment
from uniner_dist.config.loading import load_config

pytestmark = [pytest.mark.ray, pytest.mark.vllm]
#: A cache of 17 blocks of 32 tokens, hence one slot: requests wait for room, tails and whole passages are forgotten,
#: long texts take several steps, and vLLM preempts some requests in the middle of their answers (11 when last counted).
PRESSED = {
    "max_model_len": 512,
    "extra": {"num_gpu_blocks_override": 18, "max_num_batched_tokens": 96, "max_num_seqs": 24},
}


def run_engine(texts: Path, fields: dict[str, Any]) -> dict[str, Any]:
    options = {"corpus.path": "c", "output.path": "o", "types": "person"}
    env = {**os.environ, **replica_environment(load_config(None, options=options))}
    command = [sys.executable, "-m", "tests.support.engine_alone", str(texts), json.dumps(fields)]
    done = subprocess.run(command, env=env, check=True, capture_output=True, text=True, timeout=1200)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


#: No tails, no copies shared, no guessing: what everything else is compared with.
PLAIN = {"prefix_tails": False, "deep_copies": True, "extra": {"speculative_config": None}}


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    """45 passages. A text again is a hit to the last whole block, and its tail may be in no slot any more."""
    short = sentences(40)
    path = tmp_path / "texts.json"
    long = " ".join(short[:6])
    path.write_text(json.dumps([*short, "", "A", long, short[0], long + " Again."]))
    return path


def run_engines(texts: Path, ways: list[dict[str, Any]]) -> list[dict[str, Any]]:
    with ThreadPoolExecutor(2) as threads:
        return list(threads.map(lambda fields: run_engine(texts, fields), ways))


def test_a_tail_is_computed_once_and_no_answer_changes(texts: Path) -> None:
    off, on, pressed = run_engines(texts, [PLAIN, {}, PRESSED])
    assert on["answers"] == off["answers"]
    assert pressed["answers"] == off["answers"]
    # What a question costs beyond the shared tokens: the end of a turn, the question and the type.
    assert on["computed"] < 0.6 * off["computed"]
    assert pressed["computed"] > on["computed"]
    assert len(on["answers"]) == 45 * len(TYPES)
    assert off["slot_bytes"] is None
    # 32 tokens, 6 layers, keys and values of 6 heads of 32 float32 numbers: what is taken off a GPU's memory for each.
    assert on["slot_bytes"] == pressed["slot_bytes"] == [32 * 6 * 2 * 6 * 32 * 4] * 2


@pytest.mark.slow
def test_tails_change_no_score(texts: Path) -> None:
    scored, plain = run_engines(texts, [{"scores": True}, {"scores": True, **PLAIN}])
    assert len(scored["answers"]) == 45 * len(TYPES)
    for one, other in zip(scored["answers"], plain["answers"], strict=True):
        assert one == pytest.approx(other, abs=1e-4)


def test_an_answer_ends_at_an_empty_list_only_if_it_is_its_first_token(tmp_path: Path) -> None:
    texts = tmp_path / "texts.json"
    texts.write_text(json.dumps(sentences(30)))
    whole = run_engine(texts, {})["answers"]
    first = Counter(answer[0] for answer in whole).most_common(1)[0][0]
    inner = Counter(token for answer in whole for token in answer[1:-1]).most_common(1)[0][0]
    cut = run_engine(texts, {"empty_list_ids": [first, inner]})["answers"]
    assert sum(answer[0] == first for answer in whole) > 90
    assert sum(inner in answer[1:] for answer in whole) > 10
    assert inner != first
    assert cut == [answer[:1] if answer[0] in (first, inner) else answer for answer in whole]
