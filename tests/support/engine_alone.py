"""One engine in a process of its own: `python -m tests.support.engine_alone texts.json '{"block_size": 32}'`.

Enters: a JSON list of texts, and fields of `EngineSpec` as JSON. Leaves, as the last line of the output: how many
prompt tokens were computed, and every answer.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from uniner_dist.completions.engine import EngineSpec, create_engine
from uniner_dist.config.schema import ModelConfig
from uniner_dist.core.template import DEFAULT_TEMPLATE, get_template
from uniner_dist.core.tokens import PromptTokenizer, shared_tokens
from uniner_dist.model import identity as model

TYPES = ["person", "location", "organization", "chemical element", "date", "award"]


def ask(texts: list[str], fields: dict[str, Any]) -> dict[str, Any]:
    """All types of all texts, handed over at once."""
    demo = ModelConfig(name="demo", max_tokens=24)
    tokenizer = PromptTokenizer.from_json(model.load_tokenizer_json(demo), get_template(DEFAULT_TEMPLATE))
    passages = [str(number) for number in range(len(texts)) for _ in TYPES]
    prompts = [tokenizer.prompt_ids(text, kind) for text in texts for kind in TYPES]
    engine = create_engine(EngineSpec("vllm", demo, **{"max_model_len": 2048, **fields}))
    for number, (ids, shared) in enumerate(zip(prompts, shared_tokens(passages, prompts), strict=True)):
        engine.add(str(number), ids, shared)
    answers: dict[int, Any] = {}
    cached = 0
    while len(answers) < len(prompts):
        for answer in engine.step():
            # vLLM puts something of its own behind our name.
            answers[int(answer.request_id.split("-")[0])] = [*answer.token_ids, *(answer.logprobs or ())]
            cached += answer.cached_tokens
    engine.close()
    return {"computed": sum(map(len, prompts)) - cached, "answers": [answers[n] for n in range(len(prompts))]}


if __name__ == "__main__":
    print(json.dumps(ask(json.loads(Path(sys.argv[1]).read_text()), json.loads(sys.argv[2]))))
