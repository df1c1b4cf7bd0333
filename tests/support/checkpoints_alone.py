"""Published forms of checkpoints in the real engine: `python -m tests.support.checkpoints_alone FOLDER [FORM …]`.

Leaves, as the last line of the output: per form the ids of each answer, and how many requests the engine was given for
them. The weights are tiny and made so that each prompt of `PROMPTS` is answered as it says; the tokenizer is Llama's.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from tests.support.llama_checkpoint import settings, tiny_weights, write_config, write_tokenizer, write_weights
from uniner_dist.completions.engine import EngineSpec, create_engine
from uniner_dist.config.schema import ModelConfig
from uniner_dist.core.detokenize import AnswerDecoder
from uniner_dist.model import load_tokenizer_json
from uniner_dist.model.check import check_model

#: name → weights' form and precision, rows, and arguments of `write_tokenizer`.
FORMS: dict[str, tuple[str, str, int, dict[str, Any]]] = {
    "fp32 shards of PyTorch": ("bin", "float32", 32_000, {"own": settings()}),
    "fp16 shards of PyTorch": ("bin", "float16", 32_000, {"own": settings(legacy=False), "fast": True}),
    "safetensors": ("safetensors", "float32", 32_000, {"own": None}),
    "32,001 rows": ("safetensors", "float32", 32_001, {"own": settings(), "added": {"[PAD]": 32_000}}),
    "32,001 tokens over 32,000 rows": (
        "safetensors",
        "float32",
        32_000,
        {"own": {"tokenizer_class": "LLaMATokenizer", "bos_token": ""}, "added": {"[PAD]": 32_000}},
    ),
}
COLON, BLANK, BLANKS, NEWLINE, EMPTY, END, WORD = 29901, 29871, 259, 13, 5159, 2, 3148
#: The token behind each token.
FOLLOWING = {
    COLON: BLANK,
    BLANK: EMPTY,
    EMPTY: END,
    1000: EMPTY,
    1001: NEWLINE,
    NEWLINE: BLANKS,
    BLANKS: BLANK,
    1002: WORD,
    WORD: EMPTY,
    1003: END,
}
#: Last token of a prompt → its answer: a blank and an empty list, an empty list, one behind three tokens of blanks, a
#: word before an empty list, and nothing.
PROMPTS = {
    COLON: [BLANK, EMPTY],
    1000: [EMPTY],
    1001: [NEWLINE, BLANKS, BLANK, EMPTY],
    1002: [WORD, EMPTY, END],
    1003: [END],
}


def load(folder: Path, form: str) -> dict[str, Any]:
    """Write a checkpoint of that form, check it as the main job does, load it and ask it."""
    weights, dtype, rows, tokenizer_files = FORMS[form]
    write_tokenizer(folder, **tokenizer_files)
    write_config(folder, vocab_size=rows, torch_dtype=dtype)
    write_weights(folder, tiny_weights(rows, FOLLOWING), weights, dtype)
    config = ModelConfig(name=str(folder), max_tokens=8)
    tokenizer = check_model(config, ["person"])
    tokenizer_json = load_tokenizer_json(config)
    ids = tokenizer.prompt_ids("Marie Curie", "person")
    decoder = AnswerDecoder(tokenizer_json, anchor=ids[-1])
    empty = tuple(decoder.empty_list_ids())
    spec = EngineSpec("vllm", config, 512, eos_id=tokenizer.eos_id, empty_list_ids=empty, tokenizer_json=tokenizer_json)
    engine = create_engine(spec)
    requests = _count_requests(engine)
    prompts = {last: [*ids[:-1], last] for last in PROMPTS}
    for last, prompt in prompts.items():
        engine.add(str(last), prompt)
    answers: dict[int, list[int]] = {}
    while len(answers) < len(prompts):
        for answer in engine.step():
            answers[int(answer.request_id.split("-")[0])] = list(answer.token_ids)
    engine.close()
    asked = {last: sum(name.split("-")[0] == str(last) for name in requests) for last in prompts}
    return {"prompt": ids, "answers": answers, "asked": asked}


def _count_requests(engine: Any) -> list[str]:
    """Names of the requests that vLLM's engine is given from now on."""
    requests: list[str] = []
    add = engine._engine.add_request

    def counted(name: str, *more: Any) -> Any:
        requests.append(name)
        return add(name, *more)

    engine._engine.add_request = counted
    return requests


if __name__ == "__main__":
    root, *forms = sys.argv[1:]
    print(json.dumps({form: load(Path(root, str(n)), form) for n, form in enumerate(forms or FORMS)}))
