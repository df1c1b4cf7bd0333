"""What only an accelerator can show; skipped, never faked, where there is none."""

from __future__ import annotations

import pytest

from uniner_dist.completions.engine import EngineSpec, create_engine
from uniner_dist.config.schema import ModelConfig

torch = pytest.importorskip("torch")
pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU on this machine")]


@pytest.mark.parametrize("prefix_tails", [False, True])
def test_the_engine_answers_on_a_gpu_and_hits_the_prefix_cache(prefix_tails: bool) -> None:
    demo = ModelConfig(name="demo", max_tokens=16)
    engine = create_engine(EngineSpec("vllm", demo, 2048, gpus=1, block_size=16, prefix_tails=prefix_tails))
    prefix = [1, *range(10, 110)]
    for number in range(64):
        engine.add(f"1:{number}", [*prefix, 2, 5, 10 + number], shared_tokens=103)
    answers = []
    while len(answers) < 64:
        answers += engine.step()
    engine.close()
    assert len({answer.request_id for answer in answers}) == 64
    assert max(answer.cached_tokens for answer in answers) == (103 if prefix_tails else 96)
