"""Every form of a checkpoint that is accepted is loaded by the real vLLM, which is asked exactly as often as needed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from sentencepiece import SentencePieceProcessor

from tests.support.checkpoints_alone import FORMS, PROMPTS
from tests.support.llama_vocabulary import sentencepiece_model
from uniner_dist.core.template import get_template

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.slow
@pytest.mark.ray
@pytest.mark.vllm
@pytest.mark.timeout(2400)
def test_real_vllm_loads_every_accepted_form_and_asks_nothing_twice(tmp_path: Path) -> None:
    processor, template = SentencePieceProcessor(model_proto=sentencepiece_model()), get_template("ie_as_qa")
    prefix, suffix = template.prefix("Marie Curie"), template.suffix("person")
    prompt = [1, *processor.encode(prefix), 2, *processor.encode(suffix)]
    environment = {
        "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
        "VLLM_CPU_OMP_THREADS_BIND": "nobind",
        "VLLM_CPU_KVCACHE_SPACE": "1",
        "VLLM_NO_USAGE_STATS": "1",
        "OMP_NUM_THREADS": "1",
        "UNINER_DIST_CACHE": str(tmp_path / "cache"),
    }
    command = [sys.executable, "-m", "tests.support.checkpoints_alone", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, env=os.environ | environment, capture_output=True, text=True, timeout=2200)
    assert done.returncode == 0, done.stderr[-2000:]
    results = json.loads(done.stdout.splitlines()[-1])
    assert results.keys() == FORMS.keys()
    for form, result in results.items():
        assert result["prompt"] == prompt, form
        assert {int(last): ids for last, ids in result["answers"].items()} == PROMPTS, form
        # Only the answer that stopped inside, behind a word, is asked a second time.
        assert {int(last): count for last, count in result["asked"].items()} == {
            last: 2 if last == 1002 else 1 for last in PROMPTS
        }, form
