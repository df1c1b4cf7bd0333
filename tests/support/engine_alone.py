"""One engine in a process of its own: `python -m tests.support.engine_alone texts.json '{"block_size": 32}'`.

Enters: a JSON list of texts, and fields of `EngineSpec` as JSON. Leaves, as the last line of the output: how many
prompt tokens were computed, every answer, and what a slot of prefix tails takes.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

from uniner_dist import model
from uniner_dist.completions.engine import EngineSpec, create_engine
from uniner_dist.config.schema import ModelConfig
from uniner_dist.core.template import DEFAULT_TEMPLATE, get_template
from uniner_dist.core.tokens import PromptTokenizer, shared_tokens

TYPES = ["person", "location", "organization", "chemical element", "date", "award"]


def ask(texts: list[str], fields: dict[str, Any]) -> dict[str, Any]:
    """All types of all texts, handed over at once."""
    demo = ModelConfig(name="demo", max_tokens=24)
    tokenizer = PromptTokenizer.from_json(model.load_tokenizer_json(demo), get_template(DEFAULT_TEMPLATE))
    passages = [str(number) for number in range(len(texts)) for _ in TYPES]
    prompts = [tokenizer.prompt_ids(text, kind) for text in texts for kind in TYPES]
    deep_copies = fields.pop("deep_copies", False)
    engine: Any = create_engine(EngineSpec("vllm", demo, **{"max_model_len": 2048, **fields}))
    engine._params.skip_clone = engine._to_the_end.skip_clone = not deep_copies
    state = repr((engine._params, engine._to_the_end))
    for number, (ids, shared) in enumerate(zip(prompts, shared_tokens(passages, prompts), strict=True)):
        engine.add(str(number), ids, shared)
    answers: dict[int, Any] = {}
    cached = 0
    while len(answers) < len(prompts):
        for answer in engine.step():
            # vLLM puts something of its own behind our name.
            answers[int(answer.request_id.split("-")[0])] = [*answer.token_ids, *(answer.logprobs or ())]
            cached += answer.cached_tokens
    slots = slot_bytes(engine)
    assert repr((engine._params, engine._to_the_end)) == state, "requests have changed what they share"
    engine.close()
    computed = sum(map(len, prompts)) - cached
    return {"computed": computed, "answers": [answers[n] for n in range(len(prompts))], "slot_bytes": slots}


def slot_bytes(engine: Any) -> list[int] | None:
    """Memory of one slot of prefix tails: as the worker has it, and as it was reckoned from the configuration."""
    from vllm.distributed.kv_transfer import get_kv_transfer_group, has_kv_transfer_group

    from uniner_dist.completions.engine.prefix_tails import MOST_SLOTS, slots_bytes

    if not has_kv_transfer_group():
        return None
    connector: Any = get_kv_transfer_group()
    return [connector._memory.nbytes // connector._num_slots, slots_bytes(engine._engine.vllm_config) // MOST_SLOTS]


if __name__ == "__main__":
    print(json.dumps(ask(json.loads(Path(sys.argv[1]).read_text()), json.loads(sys.argv[2]))), flush=True)
    os._exit(0)  # taking vLLM's modules apart takes seconds
