"""Token ids of prompts: each passage is tokenised once, each question once."""

from __future__ import annotations

import pyarrow as pa

from uniner_dist.core.tokens import PromptTokenizer


def assemble(tokenizer: PromptTokenizer, prompts: pa.Table) -> list[list[int]]:
    """Return the token ids of every prompt, in order.

    Args:
        tokenizer: of the model that answers; says whether prefix and suffix may be tokenised apart.
        prompts: rows of `schemas.PROMPTS`; those of a passage are neighbours.

    Raises:
        ConfigError: a special token's id came out of a text; see `PromptTokenizer.prefix_ids`.
    """
    texts = prompts.column("text").to_pylist()
    passages = prompts.column("passage_id").to_pylist()
    types = prompts.column("entity_type").to_pylist()
    if not tokenizer.assembled:
        return [tokenizer.prompt_ids(text, kind) for text, kind in zip(texts, types, strict=True)]
    firsts = [i for i in range(len(passages)) if i == 0 or passages[i] != passages[i - 1]]
    prefixes = tokenizer.prefix_ids([texts[i] for i in firsts])
    suffixes = {kind: tokenizer.suffix_ids(kind) for kind in dict.fromkeys(types)}
    prompt_ids, position = [], -1
    for i, kind in enumerate(types):
        position += position + 1 < len(firsts) and firsts[position + 1] == i
        prompt_ids.append(prefixes[position] + suffixes[kind])
    return prompt_ids
